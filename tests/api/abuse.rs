//! What no honest client sends: a clear complaint or a closed connection, and nothing else suffers.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bailey_tests::http::{exchange, read_answer};
use bailey_tests::suite::SharedCase;
use bailey_tests::{Client, TestApp, cases};
use serde_json::json;

pub const CASES: &[SharedCase] = cases![
    bodies_cut_off_half_way_store_nothing,
    huge_heads_are_refused,
    broken_http_is_refused,
    invalid_utf8_is_refused,
    nul_is_refused,
    numbers_out_of_range_are_refused,
    deep_json_is_refused,
    the_last_of_equal_keys_counts,
    half_surrogates_are_refused,
    a_client_that_hangs_up_harms_nobody,
];

/// Sends bytes and ends the sending side; the status, or nothing if the server closed.
fn status_of(client: &Client, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(client.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    match read_answer(&mut stream) {
        Ok(answer) => Some(answer.status),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("neither an answer nor a closed connection to {:?}", String::from_utf8_lossy(&bytes[..80]))
        }
        Err(_) => None,
    }
}

#[track_caller]
fn assert_refused(client: &Client, bytes: &[u8]) {
    let status = status_of(client, bytes);
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
    assert!(status.is_none_or(|status| (400..500).contains(&status)), "{shown:?}: {status:?}");
}

fn total(client: &Client) -> u64 {
    client.describe("/v1/secrets")["total"].as_u64().unwrap()
}

fn bodies_cut_off_half_way_store_nothing(app: &TestApp) {
    let client = app.client();
    let body = json!({ "payload": "a".repeat(10_000), "payload_content_type": "text/plain" });
    let whole = client.post("/v1/secrets").json(&body).bytes();
    let head = whole.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    for length in [10, head - 10, head, head + 1, head + 5_000, whole.len() - 1] {
        assert_refused(&client, &whole[..length]);
    }
    let href = client.create(&json!({}));
    let put = client.put(&href).payload("application/octet-stream", vec![b'a'; 10_000]).bytes();
    assert_refused(&client, &put[..put.len() - 1]);
    assert!(client.describe(&href).get("content_types").is_none());

    let chunked = "PUT {} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n";
    let (_, path) = href.split_once(&client.base()).unwrap();
    let mut head = chunked.replace("{}", path);
    for name in ["X-Project-Id", "X-User-Id", "X-Roles"] {
        let value = client.get("/").bytes();
        let text = String::from_utf8(value).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        head += &format!("{line}\r\n");
    }
    head += "Content-Type: application/octet-stream\r\n\r\n";
    for chunks in ["5\r\nhello\r\n", "5\r\nhel", "zz\r\nhello\r\n0\r\n\r\n", "FFFFFFFFFFFFFFFFF\r\nhello"] {
        assert_refused(&client, format!("{head}{chunks}").as_bytes());
    }
    assert!(client.describe(&href).get("content_types").is_none());
    assert_eq!(total(&client), 1);
    let whole = exchange(client.address(), format!("{head}5\r\nhello\r\n0\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(whole.status, 204, "{whole}");
    assert_eq!(client.payload(&href), b"hello");
}

fn huge_heads_are_refused(app: &TestApp) {
    let client = app.client();
    let megabyte = "a".repeat(1024 * 1024);
    assert_refused(&client, &client.get("/v1/secrets").header("X-Padding", &megabyte).bytes());
    assert_refused(&client, &client.get("/v1/secrets").header("X-Auth-Token", &megabyte).bytes());
    assert_refused(&client, &client.get(&format!("/v1/secrets?name={megabyte}")).bytes());
    let mut many = client.get("/v1/secrets");
    for number in 0..5_000 {
        many = many.header(&format!("X-Padding-{number}"), "a");
    }
    assert_refused(&client, &many.bytes());
    assert_eq!(total(&client), 0);
}

fn broken_http_is_refused(app: &TestApp) {
    let client = app.client();
    for bytes in [
        "\0\0\0\0\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n",
        "POST /v1/secrets HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/secrets HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /v1/secrets HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "POST /v1/secrets HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "POST /v1/secrets HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n{}",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
    ] {
        assert_refused(&client, bytes.as_bytes());
    }
    assert_eq!(total(&client), 0);
}

fn invalid_utf8_is_refused(app: &TestApp) {
    let client = app.client();
    let text = b"{\"name\": \"\xff\xfe\"}".to_vec();
    let answer = client.post("/v1/secrets").payload("application/json", text).send().expect(400);
    assert!(answer.json()["title"].is_string());

    let mut project = b"GET /v1/secrets HTTP/1.1\r\nHost: h\r\nX-Project-Id: \xff\xfe\r\n\r\n".to_vec();
    assert_refused(&client, &project);
    project.splice(4..4, *b"/\xff\xfe");
    assert_refused(&client, &project);
    for path in ["/v1/secrets/%ff%fe", "/v1/%ff", "/v1/secrets/%ff/payload", "/v1/secrets/%c0%ae%c0%ae"] {
        let _ = client.get(path).send().expect(404);
    }
    let path = format!("{}/metadata/%ff", client.create(&json!({})));
    let status = client.get(&path).send().status;
    assert!(status == 404 || status == 400, "{status}");
}

fn nul_is_refused(app: &TestApp) {
    let client = app.client();
    for body in [
        r#"{"name": "a\u0000b"}"#,
        r#"{"algorithm": "\u0000"}"#,
        r#"{"mode": "\u0000"}"#,
        r#"{"na\u0000me": "a"}"#,
        r#"{"payload": "a\u0000b", "payload_content_type": "text/plain"}"#,
        "{\"name\": \"a\0b\"}",
    ] {
        let _ = client.post("/v1/secrets").payload("application/json", body).send().expect(400);
    }
    let path = format!("{}/metadata", client.create(&json!({})));
    let body = r#"{"metadata": {"a": "b\u0000c"}}"#;
    let _ = client.put(&path).payload("application/json", body).send().expect(400);
    let body = r#"{"key": "a", "value": "\u0000"}"#;
    let _ = client.post(&path).payload("application/json", body).send().expect(400);
    let status = client.get(&format!("{path}/a%00b")).send().status;
    assert!(status == 404 || status == 400, "{status}");
    assert_refused(&client, &client.get("/v1/secrets").header("X-User-Id", "a\0b").bytes());
    // Payloads that are bytes may hold it.
    let href = client.create(&json!({}));
    let _ = client.put_payload(&href, "text/plain", b"a\0b").expect(204);
    assert_eq!(client.payload(&href), b"a\0b");
}

fn numbers_out_of_range_are_refused(app: &TestApp) {
    let client = app.client();
    let digits = "9".repeat(10_000);
    for number in
        ["1e400", "-1e400", "99999999999999999999", "0.1e-400", "1e-5", &digits, "NaN", "Infinity", "0x10", "+1"]
    {
        let body = format!("{{\"bit_length\": {number}}}");
        let answer = client.post("/v1/secrets").payload("application/json", body).send();
        assert_eq!(answer.status, 400, "{answer}");
    }
}

fn deep_json_is_refused(app: &TestApp) {
    let client = app.client();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [1_000, 10_000] {
            let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for body in [
                value.clone(),
                format!("{{\"name\": {value}}}"),
                format!("{{\"unknown\": {value}}}"),
                open.repeat(depth),
            ] {
                let answer = client.post("/v1/secrets").payload("application/json", body).send();
                assert!(matches!(answer.status, 400 | 413), "{answer}");
            }
        }
    }
}

fn the_last_of_equal_keys_counts(app: &TestApp) {
    let client = app.client();
    let body = r#"{"name": "first", "name": "second", "bit_length": -1, "bit_length": 128}"#;
    let answer = client.post("/v1/secrets").payload("application/json", body).send().expect(201);
    let described = client.describe(&answer.string("secret_ref"));
    assert_eq!((&described["name"], &described["bit_length"]), (&json!("second"), &json!(128)));
    let body = r#"{"name": "first", "name": 5}"#;
    let _ = client.post("/v1/secrets").payload("application/json", body).send().expect(400);
}

fn half_surrogates_are_refused(app: &TestApp) {
    let client = app.client();
    for text in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\u12", r"\x41", "\n\t\u{1}"] {
        let body = format!("{{\"name\": \"{text}\"}}");
        let answer = client.post("/v1/secrets").payload("application/json", body).send();
        assert_eq!(answer.status, 400, "{answer}");
    }
    let body = r#"{"name": "\ud83d\ude00"}"#;
    let answer = client.post("/v1/secrets").payload("application/json", body).send().expect(201);
    assert_eq!(client.describe(&answer.string("secret_ref"))["name"], json!("😀"));
}

fn a_client_that_hangs_up_harms_nobody(app: &TestApp) {
    let client = app.client();
    let body = json!({ "payload": "text", "payload_content_type": "text/plain" });
    let request = client.post("/v1/secrets").json(&body).bytes();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(client.address()).unwrap();
        stream.write_all(&request).unwrap();
        drop(stream);
    }
    // Each was done wholly or not at all.
    let listed = client.describe("/v1/secrets?limit=100");
    for secret in listed["secrets"].as_array().unwrap() {
        assert_eq!(client.payload(secret["secret_ref"].as_str().unwrap()), b"text");
    }
    let mut stream = TcpStream::connect(client.address()).unwrap();
    stream.write_all(&client.get("/v1/secrets").bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
