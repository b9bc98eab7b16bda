//! `POST /v1/secrets` with a payload: content types, encodings and sizes.

use bailey_tests::secrets::base64;
use bailey_tests::suite::SharedCase;
use bailey_tests::{TestApp, cases};
use serde_json::json;

pub const CASES: &[SharedCase] = cases![
    payload_needs_its_type,
    type_and_encoding_must_fit,
    content_types_are_normalised,
    base64_may_be_wrapped_but_not_wrong,
    sizes_are_bounded,
];

fn payload_needs_its_type(app: &TestApp) {
    let client = app.client();
    for body in [
        json!({ "payload": "text" }),
        json!({ "payload": "YWJj", "payload_content_encoding": "base64" }),
        json!({ "payload": "text", "payload_content_type": null }),
        json!({ "payload": "", "payload_content_type": "text/plain" }),
        json!({ "payload": " \t\n", "payload_content_type": "text/plain" }),
        json!({ "payload": "", "payload_content_type": "application/octet-stream", "payload_content_encoding": "base64" }),
        json!({ "payload_content_type": "text/plain" }),
        json!({ "payload_content_type": "" }),
        json!({ "payload_content_type": null }),
        json!({ "payload_content_type": "application/octet-stream", "payload_content_encoding": "base64" }),
    ] {
        let _ = client.post("/v1/secrets").json(&body).send().expect(400);
    }
}

fn type_and_encoding_must_fit(app: &TestApp) {
    let client = app.client();
    let text = "text/plain";
    let (octets, pkcs8) = ("application/octet-stream", "application/pkcs8");
    for (content_type, encoding, status) in [
        (text, None, 201),
        (text, Some("base64"), 400),
        (octets, None, 400),
        (octets, Some("base64"), 201),
        (pkcs8, None, 400),
        (pkcs8, Some("base64"), 201),
        (text, Some(""), 400),
        (octets, Some(""), 400),
        (octets, Some(" "), 400),
        (octets, Some("gzip"), 400),
        (octets, Some("BASE64"), 400),
        (pkcs8, Some("binary"), 400),
    ] {
        let mut body = json!({ "payload": "YWJj", "payload_content_type": content_type });
        if let Some(encoding) = encoding {
            body["payload_content_encoding"] = json!(encoding);
        }
        let answer = client.post("/v1/secrets").json(&body).send().expect(status);
        if status == 201 {
            let expected: &[u8] = if content_type == text { b"YWJj" } else { b"abc" };
            assert_eq!(client.payload(&answer.string("secret_ref")), expected);
        }
    }
}

fn content_types_are_normalised(app: &TestApp) {
    let client = app.client();
    for (given, normalised) in [
        ("text/plain", "text/plain"),
        ("TEXT/Plain", "text/plain"),
        ("text/plain;charset=utf-8", "text/plain"),
        ("text/plain; charset=utf-8", "text/plain"),
        ("text/plain;  Charset=UTF-8", "text/plain"),
        ("Application/Octet-Stream", "application/octet-stream"),
        ("application/pkcs8", "application/pkcs8"),
    ] {
        let mut body = json!({ "payload": "YWJj", "payload_content_type": given });
        if normalised != "text/plain" {
            body["payload_content_encoding"] = json!("base64");
        }
        let described = client.describe(&client.create(&body));
        assert_eq!(described["content_types"], json!({ "default": normalised }), "{given}");
    }
    for given in [
        "text/plain; charset=utf-88",
        "text/plain; charset=latin-1",
        "text/plain; charset",
        "application/aes",
        "text",
        "text/",
        "",
        "bogus",
        "application/json",
    ] {
        for encoding in [None, Some("base64")] {
            let mut body = json!({ "payload": "YWJj", "payload_content_type": given });
            if let Some(encoding) = encoding {
                body["payload_content_encoding"] = json!(encoding);
            }
            let answer = client.post("/v1/secrets").json(&body).send().expect(400);
            assert!(answer.string("title").contains("Bad Request"), "{answer}");
            let expected = "Provided object does not match schema 'Secret': payload_content_type is not one of \
                            ['text/plain', 'text/plain;charset=utf-8', 'text/plain; charset=utf-8', \
                            'application/octet-stream'";
            assert!(answer.string("description").contains(expected), "{given} {encoding:?}: {answer}");
        }
    }
}

fn base64_may_be_wrapped_but_not_wrong(app: &TestApp) {
    let client = app.client();
    let post = |payload: &str| {
        let body = json!({
            "payload": payload, "payload_content_type": "application/octet-stream",
            "payload_content_encoding": "base64",
        });
        client.post("/v1/secrets").json(&body).send()
    };
    for payload in ["YWJjZA==", "YWJj\nZA==", "YW Jj\r\nZA==\n", " YWJjZA== ", "Y\tWJjZA=="] {
        let href = post(payload).expect(201).string("secret_ref");
        assert_eq!(client.payload(&href), b"abcd", "{payload:?}");
    }
    for payload in ["YWJjZ", "YWJjZA=", "YWJjZA", "!!!!", "YW*Jj", "====", "\u{80}", "\u{1111}\u{ffff}", "YWJj-_=="] {
        let _ = post(payload).expect(400);
    }
}

fn sizes_are_bounded(app: &TestApp) {
    let client = app.client();
    let text = |length: usize| json!({ "payload": "a".repeat(length), "payload_content_type": "text/plain" });
    let href = client.create(&text(20_000));
    assert_eq!(client.payload(&href).len(), 20_000);
    let answer = client.post("/v1/secrets").json(&text(20_001)).send().expect(413);
    assert_eq!(answer.string("title"), "Request Entity Too Large");
    let wide = json!({ "payload": "ü".repeat(10_001), "payload_content_type": "text/plain" });
    let _ = client.post("/v1/secrets").json(&wide).send().expect(413);
    for wrong in [json!({ "expiration": "2001-01-01" }), json!({ "expiration": "soon" }), json!({ "bit_length": 0 })] {
        let mut both = text(20_001);
        both.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let _ = client.post("/v1/secrets").json(&both).send().expect(400);
    }
    let mut later = text(20_001);
    later["expiration"] = json!("2039-01-01");
    let _ = client.post("/v1/secrets").json(&later).send().expect(413);

    let bytes = vec![0xa5; 20_000];
    let href = client.store_bytes(&bytes);
    assert_eq!(client.payload(&href), bytes);
    let more = json!({
        "payload": base64(&vec![0xa5; 20_001]), "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64",
    });
    let _ = client.post("/v1/secrets").json(&more).send().expect(413);
    let _ = client.post("/v1/secrets").json(&text(1_000_000)).send().expect(413);
}
