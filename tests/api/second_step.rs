//! `PUT /v1/secrets/{id}`: the payload that follows.

use bailey_tests::secrets::base64;
use bailey_tests::suite::SharedCase;
use bailey_tests::{Client, TestApp, cases};
use serde_json::json;

pub const CASES: &[SharedCase] = cases![
    bytes_follow,
    content_types_and_encodings,
    refusals,
    a_payload_is_written_once,
    the_winner_of_a_race_is_what_reads_back,
    sizes_are_bounded,
];

fn bytes_follow(app: &TestApp) {
    let client = app.client();
    let every_byte: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    let href = client.create(&json!({ "name": "later" }));
    let before = client.describe(&href);
    let answer = client.put_payload(&href, "application/octet-stream", &every_byte).expect(204);
    assert!(answer.body.is_empty());
    assert_eq!(client.payload(&href), every_byte);

    let after = client.describe(&href);
    assert_eq!(after["content_types"], json!({ "default": "application/octet-stream" }));
    assert_eq!(after["created"], before["created"]);
    assert!(after["updated"].as_str() > before["updated"].as_str(), "{before} {after}");
}

fn content_types_and_encodings(app: &TestApp) {
    let client = app.client();
    let wrapped = "YWJj\r\nZA==\n";
    for (content_type, encoding, body, kept) in [
        ("application/octet-stream", None, "YWJjZA==", "YWJjZA=="),
        ("application/octet-stream; charset=utf-8", None, " raw ", " raw "),
        ("application/octet-stream", Some("base64"), "YWJjZA==", "abcd"),
        ("application/octet-stream", Some("BASE64"), "YWJjZA==", "abcd"),
        ("application/octet-stream", Some("base64"), wrapped, "abcd"),
        ("text/plain", None, " not trimmed \n", " not trimmed \n"),
        ("text/plain; charset=utf-8", None, "text", "text"),
        ("text/plain; charset=latin-1", None, "text", "text"),
        ("text/plain", Some("base64"), "YWJjZA==", "YWJjZA=="),
        ("text/plain", Some("gzip"), "text", "text"),
    ] {
        let href = client.create(&json!({}));
        let mut request = client.put(&href).payload(content_type, body);
        if let Some(encoding) = encoding {
            request = request.header("Content-Encoding", encoding);
        }
        let _ = request.send().expect(204);
        assert_eq!(String::from_utf8(client.payload(&href)).unwrap(), kept, "{content_type} {encoding:?}");
        let kind = content_type.split(';').next().unwrap().to_lowercase();
        assert_eq!(client.describe(&href)["content_types"], json!({ "default": kind }));
    }
}

fn refusals(app: &TestApp) {
    let client = app.client();
    let href = client.create(&json!({}));
    let octets = "application/octet-stream";
    for (content_type, encoding, body, status) in [
        (Some("application/json"), None, "{}", 415),
        (Some("application/pkcs8"), None, "key", 415),
        (Some("text/html"), None, "text", 415),
        (Some(""), None, "text", 415),
        (None, None, "text", 415),
        (Some(octets), None, "", 400),
        (Some("text/plain"), None, "", 400),
        (Some(octets), Some("gzip"), "raw", 400),
        (Some(octets), Some("binary"), "raw", 400),
        (Some(octets), Some("base64"), "YWJjZ", 400),
        (Some(octets), Some("base64"), "!!!!", 400),
        (Some(octets), Some("base64"), " \n", 400),
    ] {
        let mut request = client.put(&href).body(body);
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        if let Some(encoding) = encoding {
            request = request.header("Content-Encoding", encoding);
        }
        let answer = request.send().expect(status);
        assert!(answer.json()["title"].is_string(), "{answer}");
    }
    let _ = client.put(&href).header("Content-Type", octets).send().expect(400);
    assert!(client.describe(&href).get("content_types").is_none());
    let _ = client.put_payload(&href, octets, b"still possible").expect(204);
}

fn a_payload_is_written_once(app: &TestApp) {
    let client = app.client();
    let href = client.store("first");
    let answer = client.put_payload(&href, "text/plain", b"second").expect(409);
    assert_eq!(answer.string("title"), "Conflict");
    assert_eq!(client.payload(&href), b"first");
    // What is wrong with the body is told before that there is a payload already.
    let _ = client.put_payload(&href, "application/json", b"second").expect(415);
    let _ = client.put_payload(&href, "text/plain", b"").expect(400);
    let _ = client.put_payload(&href, "text/plain", &[b'a'; 20_001]).expect(413);
}

fn the_winner_of_a_race_is_what_reads_back(app: &TestApp) {
    let client = app.client();
    for round in 0..20 {
        let href = client.create(&json!({}));
        let rivals = [format!("left {round}"), format!("right {round}")];
        let put = |client: Client, payload: String| {
            let href = href.clone();
            std::thread::spawn(move || client.put_payload(&href, "text/plain", payload.as_bytes()).status)
        };
        let racing = rivals.clone().map(|payload| put(client.clone(), payload));
        let statuses = racing.map(|rival| rival.join().unwrap());
        let winner = match statuses {
            [204, 409] => &rivals[0],
            [409, 204] => &rivals[1],
            other => panic!("{other:?}"),
        };
        assert_eq!(client.payload(&href), winner.as_bytes());
    }
}

fn sizes_are_bounded(app: &TestApp) {
    let client = app.client();
    let href = client.create(&json!({}));
    for length in [20_001, 1_000_000] {
        let answer = client.put_payload(&href, "application/octet-stream", &vec![b'a'; length]).expect(413);
        assert_eq!(answer.string("title"), "Request Entity Too Large");
    }
    // The limit holds before decoding.
    let encoded = base64(&[b'a'; 15_001]);
    let request = client.put(&href).payload("application/octet-stream", encoded).header("Content-Encoding", "base64");
    let _ = request.send().expect(413);
    let _ = client.put_payload(&href, "application/octet-stream", &[b'a'; 20_000]).expect(204);
}
