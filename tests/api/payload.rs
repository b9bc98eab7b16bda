//! `GET /v1/secrets/{id}/payload`: in which form a payload is handed out.

use bailey_tests::suite::SharedCase;
use bailey_tests::{Client, TestApp, cases};
use serde_json::json;

pub const CASES: &[SharedCase] = cases![
    accept_decides_the_form,
    other_forms_are_not_acceptable,
    text_that_is_none_is_not_acceptable_as_text,
    nothing_stored_is_not_found,
    the_secret_itself_gives_its_payload_too,
    only_get_is_allowed,
    transport_keys_are_refused,
];

const TEXT: &str = "text/plain";
const OCTETS: &str = "application/octet-stream";
const PKCS8: &str = "application/pkcs8";

/// Hrefs of one secret of each content type, all with the same payload.
fn one_of_each(client: &Client) -> [(&'static str, String); 3] {
    [TEXT, OCTETS, PKCS8].map(|content_type| {
        let mut body = json!({ "payload": "YWJjZA==", "payload_content_type": content_type });
        if content_type == TEXT {
            body["payload"] = json!("abcd");
        } else {
            body["payload_content_encoding"] = json!("base64");
        }
        (content_type, client.create(&body))
    })
}

fn accept_decides_the_form(app: &TestApp) {
    let client = app.client();
    for (stored, href) in one_of_each(&client) {
        for (accept, told) in [
            (None, OCTETS),
            (Some(""), OCTETS),
            (Some("*/*"), stored),
            (Some(TEXT), "text/plain; charset=UTF-8"),
            (Some("text/plain;charset=utf-8"), "text/plain;charset=utf-8"),
            (Some("text/plain; charset=utf-8"), "text/plain; charset=utf-8"),
            (Some(OCTETS), OCTETS),
            (Some(PKCS8), PKCS8),
        ] {
            let mut request = client.get(&format!("{href}/payload")).header("Accept-Encoding", "gzip, base64");
            if let Some(accept) = accept {
                request = request.header("Accept", accept);
            }
            let answer = request.send().expect(200);
            assert_eq!(answer.body, b"abcd", "{answer}");
            let content_type = answer.header("Content-Type").unwrap_or_default();
            if accept == Some("*/*") {
                // Telling the stored type and repeating the wildcard are both right.
                assert!(content_type.starts_with(told) || content_type == "*/*", "{stored}: {content_type}");
            } else {
                assert_eq!(content_type.to_lowercase(), told.to_lowercase(), "{stored} {accept:?}");
            }
            assert_eq!(answer.header("Content-Encoding"), None);
        }
    }
}

fn other_forms_are_not_acceptable(app: &TestApp) {
    let client = app.client();
    for (stored, href) in one_of_each(&client) {
        for accept in [
            "text/plain, application/octet-stream",
            "application/octet-stream;q=0.5, text/plain",
            "text/*",
            "application/*",
            "application/json",
            "text/html",
            "image/png",
        ] {
            let answer = client.get(&format!("{href}/payload")).header("Accept", accept).send().expect(406);
            assert_eq!(answer.string("title"), "Not Acceptable", "{stored} {accept}");
        }
    }
}

fn text_that_is_none_is_not_acceptable_as_text(app: &TestApp) {
    let client = app.client();
    let bytes = b"\xff\xfe\x00\x80";
    let href = client.create(&json!({}));
    let _ = client.put_payload(&href, TEXT, bytes).expect(204);
    for accept in [TEXT, "text/plain; charset=utf-8", "*/*"] {
        let answer = client.get(&format!("{href}/payload")).header("Accept", accept).send().expect(406);
        assert!(answer.json()["title"].is_string());
    }
    assert_eq!(client.payload(&href), bytes);
}

fn nothing_stored_is_not_found(app: &TestApp) {
    let client = app.client();
    let href = client.create(&json!({}));
    for accept in [None, Some("*/*"), Some(TEXT), Some(OCTETS), Some("application/json"), Some("text/html")] {
        let mut request = client.get(&format!("{href}/payload"));
        if let Some(accept) = accept {
            request = request.header("Accept", accept);
        }
        let answer = request.send().expect(404);
        assert_eq!(answer.string("title"), "Not Found");
    }
}

fn the_secret_itself_gives_its_payload_too(app: &TestApp) {
    let client = app.client();
    for (_, href) in one_of_each(&client) {
        for accept in [TEXT, OCTETS, PKCS8] {
            let answer = client.get(&href).header("Accept", accept).send().expect(200);
            assert_eq!(answer.body, b"abcd", "{accept}");
        }
        for accept in ["application/json", "*/*"] {
            let answer = client.get(&href).header("Accept", accept).send().expect(200);
            assert_eq!(answer.string("secret_ref"), href);
        }
        for accept in ["application/json;q=0.9", "text/plain, application/json"] {
            let _ = client.get(&href).header("Accept", accept).send().expect(406);
        }
    }
}

fn only_get_is_allowed(app: &TestApp) {
    let client = app.client();
    let href = client.store("text");
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        let answer = client.request(method, &format!("{href}/payload")).send().expect(405);
        assert_eq!(answer.header("Allow"), Some("GET"), "{answer}");
        assert_eq!(answer.string("title"), "Method Not Allowed");
    }
    assert_eq!(client.payload(&href), b"text");
}

fn transport_keys_are_refused(app: &TestApp) {
    let client = app.client();
    let href = client.store("text");
    for query in ["trans_wrapped_session_key=x", "trans_wrapped_session_key=x&transport_key_id=y"] {
        let _ = client.get(&format!("{href}/payload?{query}")).header("Accept", TEXT).send().expect(400);
    }
}
