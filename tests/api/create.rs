//! `POST /v1/secrets`: what is accepted, what is kept, what is refused.

use bailey_tests::secrets::base64;
use bailey_tests::suite::SharedCase;
use bailey_tests::{TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[SharedCase] = cases![
    an_empty_object_makes_a_secret_without_payload,
    every_field_is_kept,
    strings_are_trimmed,
    every_type_is_kept_byte_for_byte,
    odd_but_valid_bodies_are_accepted,
    bad_properties_are_named,
    every_bad_property_is_named,
    type_is_an_alias_of_secret_type,
    unknown_transport_keys_are_refused,
];

fn an_empty_object_makes_a_secret_without_payload(app: &TestApp) {
    let client = app.client();
    for path in ["/v1/secrets", "/v1/secrets/"] {
        let answer = client.post(path).json(&json!({})).send().expect(201);
        let href = answer.string("secret_ref");
        assert_eq!(answer.json(), json!({ "secret_ref": href }));
        assert_eq!(answer.header("Location"), Some(href.as_str()));
        let (base, id) = href.rsplit_once('/').unwrap();
        assert_eq!(base, format!("{}/v1/secrets", client.base()));
        assert_eq!(uuid::Uuid::parse_str(id).unwrap().to_string(), id);

        let described = client.describe(&href);
        let created = described["created"].as_str().unwrap();
        assert!(is_time(created), "{created}");
        let expected = json!({
            "created": created, "updated": created, "status": "ACTIVE", "name": null, "secret_type": "opaque",
            "expiration": null, "algorithm": null, "bit_length": null, "mode": null, "creator_id": "tester",
            "secret_ref": href,
        });
        assert_eq!(described, expected);
        let _ = client.get(&format!("{href}/payload")).send().expect(404);
        let mut with_consumers = expected;
        with_consumers["consumers"] = json!([]);
        assert_eq!(client.with_microversion("1.1").describe(&href), with_consumers);
        assert_eq!(client.describe(&format!("{href}/"))["secret_ref"], json!(href));
        assert_eq!(client.describe(&format!("{href}.json"))["secret_ref"], json!(href));
    }
}

/// `2030-02-28T19:14:44.180394`: no zone, microseconds only where there are any.
fn is_time(text: &str) -> bool {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "000001"));
    let shape: String = seconds.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let micros = fraction.len() == 6 && fraction.bytes().all(|byte| byte.is_ascii_digit()) && fraction != "000000";
    shape == "0000-00-00T00:00:00" && micros
}

fn every_field_is_kept(app: &TestApp) {
    let client = app.client_of("kept", "alice", &["creator"]);
    let href = client.create(&json!({
        "name": "AES key", "secret_type": "symmetric", "algorithm": "aes", "bit_length": 256.0, "mode": "cbc",
        "expiration": "2039-01-01T00:00:00", "payload": base64(&[7; 32]),
        "payload_content_type": "application/octet-stream", "payload_content_encoding": "base64",
        "something": ["else"],
    }));
    let described = client.describe(&href);
    for (field, value) in [
        ("name", json!("AES key")),
        ("secret_type", json!("symmetric")),
        ("algorithm", json!("aes")),
        ("bit_length", json!(256)),
        ("mode", json!("cbc")),
        ("expiration", json!("2039-01-01T00:00:00")),
        ("creator_id", json!("alice")),
        ("content_types", json!({ "default": "application/octet-stream" })),
        ("status", json!("ACTIVE")),
        ("something", Value::Null),
    ] {
        assert_eq!(described[field], value, "{field} of {described}");
    }
    assert_eq!(client.payload(&href), [7; 32]);
}

fn strings_are_trimmed(app: &TestApp) {
    let client = app.client();
    let href = client.create(&json!({
        "name": " padded\t", "algorithm": " aes ", "mode": "\n", "secret_type": " passphrase ",
        "payload": "  sp  ace \r\n", "payload_content_type": " text/plain ",
    }));
    let described = client.describe(&href);
    for (field, value) in [("name", "padded"), ("algorithm", "aes"), ("mode", ""), ("secret_type", "passphrase")] {
        assert_eq!(described[field], json!(value), "{field}");
    }
    assert_eq!(client.payload(&href), b"sp  ace");
}

fn every_type_is_kept_byte_for_byte(app: &TestApp) {
    let client = app.client();
    let every_byte: Vec<u8> = (0..=255).collect();
    let pem = b"-----BEGIN SOMETHING-----\r\nYWJj\r\n-----END SOMETHING-----\r\n\n";
    for secret_type in ["symmetric", "passphrase", "private", "public", "certificate", "opaque"] {
        for bytes in [every_byte.as_slice(), pem, b"\0", b" \n "] {
            let href = client.create(&json!({
                "secret_type": secret_type, "payload": base64(bytes),
                "payload_content_type": "application/octet-stream", "payload_content_encoding": "base64",
            }));
            assert_eq!(client.payload(&href), bytes);
            assert_eq!(client.describe(&href)["secret_type"], json!(secret_type));
        }
        let text = "pässword ☃ 𝄞";
        let href = client
            .create(&json!({ "secret_type": secret_type, "payload": text, "payload_content_type": "text/plain" }));
        assert_eq!(client.payload(&href), text.as_bytes());
    }
}

fn odd_but_valid_bodies_are_accepted(app: &TestApp) {
    let client = app.client();
    for body in [
        json!({ "name": null }),
        json!({ "name": "" }),
        json!({ "name": "x".repeat(255) }),
        json!({ "name": "☃".repeat(255) }),
        json!({ "algorithm": "" }),
        json!({ "algorithm": "a".repeat(255) }),
        json!({ "bit_length": 1 }),
        json!({ "bit_length": 32767 }),
        json!({ "bit_length": 128.0 }),
        json!({ "expiration": "" }),
        json!({ "payload_content_encoding": "base64" }),
        json!({ "transport_key_needed": "false" }),
        json!({ "secret_type": "certificate", "payload": "garbage", "payload_content_type": "text/plain" }),
    ] {
        let _ = client.create(&body);
    }
    let _ = client.post("/v1/secrets").payload("application/json; charset=utf-8", "{}").send().expect(201);
}

/// Bodies with one bad property each, and its name.
fn bad_properties() -> Vec<(&'static str, Value)> {
    vec![
        ("name", json!("x".repeat(256))),
        ("name", json!(7)),
        ("name", json!(["n"])),
        ("secret_type", json!("bogus")),
        ("secret_type", json!("Opaque")),
        ("secret_type", json!("")),
        ("secret_type", json!(null)),
        ("secret_type", json!(1)),
        ("algorithm", json!(null)),
        ("algorithm", json!(5)),
        ("algorithm", json!("a".repeat(256))),
        ("mode", json!(null)),
        ("mode", json!({})),
        ("mode", json!("m".repeat(256))),
        ("bit_length", json!(null)),
        ("bit_length", json!("128")),
        ("bit_length", json!(true)),
        ("bit_length", json!(0)),
        ("bit_length", json!(-1)),
        ("bit_length", json!(32768)),
        ("bit_length", json!(1.5)),
        ("bit_length", json!(1e300)),
        ("expiration", json!(null)),
        ("expiration", json!(5)),
        ("expiration", json!("soon")),
        ("expiration", json!("2001-01-01")),
        ("payload", json!(null)),
        ("payload", json!(5)),
        ("payload_content_encoding", json!("binary")),
        ("payload_content_encoding", json!("")),
        ("payload_content_encoding", json!(" ")),
        ("payload_content_encoding", json!(null)),
        ("transport_key_needed", json!(true)),
        ("transport_key_needed", json!("maybe")),
    ]
}

fn bad_properties_are_named(app: &TestApp) {
    let client = app.client();
    for (property, value) in bad_properties() {
        let answer = client.post("/v1/secrets").json(&json!({ property: value })).send().expect(400);
        assert_eq!(answer.json()["code"], json!(400), "{answer}");
        assert_eq!(answer.string("title"), "Bad Request", "{answer}");
        assert_eq!(answer.header("Content-Type"), Some("application/json"), "{answer}");
        let description = answer.string("description");
        assert!(description.contains("Provided object does not match schema 'Secret'"), "{answer}");
        assert!(description.contains(&format!("'{property}'")), "{answer}");
    }
    for body in [json!([]), json!("x"), json!(7), json!(null)] {
        let answer = client.post("/v1/secrets").json(&body).send().expect(400);
        assert!(answer.string("description").contains("does not match schema 'Secret'"), "{answer}");
    }
}

fn every_bad_property_is_named(app: &TestApp) {
    let body = json!({ "name": 7, "bit_length": "128", "mode": null, "payload_content_encoding": "gzip" });
    let description = app.client().post("/v1/secrets").json(&body).send().expect(400).string("description");
    for property in ["name", "bit_length", "mode", "payload_content_encoding"] {
        assert!(description.contains(&format!("'{property}'")), "{property} in {description}");
    }
}

fn type_is_an_alias_of_secret_type(app: &TestApp) {
    let client = app.client();
    let href = client.create(&json!({ "payload": "pass phrase", "type": "passphrase" }));
    let described = client.describe(&href);
    assert_eq!(described["secret_type"], json!("passphrase"));
    assert_eq!(described["content_types"], json!({ "default": "text/plain" }));
    assert_eq!(client.payload(&href), b"pass phrase");

    let href = client.create(&json!({ "type": "passphrase", "secret_type": "certificate" }));
    assert_eq!(client.describe(&href)["secret_type"], json!("certificate"));
    let _ = client.post("/v1/secrets").json(&json!({ "type": "bogus" })).send().expect(400);
}

fn unknown_transport_keys_are_refused(app: &TestApp) {
    let client = app.client();
    for id in ["00000000-0000-4000-8000-000000000000", "junk"] {
        let body =
            json!({ "payload": "QUJD".repeat(20), "payload_content_type": "text/plain", "transport_key_id": id });
        let refused = client.post("/v1/secrets").json(&body).send().expect(400);
        assert!(refused.string("description").contains("'transport_key_id'"), "{refused}");
        let secret = client.create(&json!({ "transport_key_id": id }));
        let put = client.put(&format!("{secret}?transport_key_id={id}")).payload("text/plain", vec![b'A'; 60]);
        let _ = put.send().expect(400);
    }
}
