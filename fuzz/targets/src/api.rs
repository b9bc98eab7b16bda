//! What clients write in headers and bodies.

use actix_web::FromRequest as _;
use actix_web::http::header::{ACCEPT, HeaderValue};
use actix_web::test::TestRequest;
use bailey_api::accept::{PayloadAccept, SecretAccept, names, takes_json};
use bailey_api::{Json, time};
use bailey_core::request::PayloadForm;
use bailey_core::spec::ContentType;
use bailey_core::trace::TraceContext;
use chrono::{Datelike as _, Timelike as _};
use serde_json::Value;

use crate::fixture::{texts, wait};

/// An `Accept` header: the type that is answered with is one that was asked for, and can stand in a header.
pub fn accept(bytes: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return false };
    let request = TestRequest::default().insert_header((ACCEPT, value)).to_http_request();
    let takes_json = takes_json(request.headers());
    assert!(takes_json || !names(request.headers(), "application/json"), "JSON is named and not taken");
    let (payload, secret) =
        wait(async { (PayloadAccept::extract(&request).await, SecretAccept::extract(&request).await) });
    let (Ok(payload), Ok(secret)) = (payload, secret) else { unreachable!("it is the worker that complains") };
    assert!(takes_json || matches!(secret, SecretAccept::Payload(_)), "JSON is told and not taken");
    match payload.form.accept() {
        Err(_) => assert_eq!(payload.content_type, None, "a type for a payload that can't be had"),
        Ok(PayloadForm::AsStored) => assert_eq!(payload.content_type, None, "another type than the stored one"),
        Ok(PayloadForm::Wrapped(_)) => unreachable!("no header asks for a session key"),
        Ok(PayloadForm::As(kind)) => {
            let name = payload.content_type.expect("a type");
            assert_eq!(ContentType::normalise(&name), Some(kind), "{name:?} names another type");
            assert!(HeaderValue::from_str(&name).is_ok(), "{name:?} can't stand in a header");
            return true;
        }
    }
    takes_json
}

/// What a corpus of `Accept` headers begins with.
pub fn accept_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "*/*",
        "application/json",
        "application/octet-stream",
        "application/pkcs8",
        "text/plain",
        "text/plain;charset=utf-8",
        "TEXT/PLAIN; charset=UTF-8; format=flowed",
        "text/plain, application/json;q=0.1",
        "application/json;q=0",
        "text/*;q=0.5, image/png",
        "junk",
    ])
}

/// A time: what is read is written so that it is read again as the same.
pub fn expiration(bytes: &[u8]) -> bool {
    let Some(time) = std::str::from_utf8(bytes).ok().and_then(time::parse) else { return false };
    assert!((1..=9999).contains(&time.year()), "{time} can't be written with four digits");
    assert_eq!(time.nanosecond() % 1000, 0, "{time} is not in microseconds");
    for written in [time::format(time), time::format_full(time)] {
        assert_eq!(time::parse(&written), Some(time), "{written}");
    }
    true
}

/// What a corpus of times begins with.
pub fn expiration_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "2039",
        "2039-01",
        "2039-1-1",
        "20390101T0000Z",
        "2039-01-01 00:00",
        "2039-01-01T10:00:05.1234567",
        "2039-01-01T10:00:05,5-0530",
        "2039-01-01T10:00+23:59",
        "0001-01-01T00:00+00:01",
        "9999-12-31T23:59:59.999999-00:01",
        "2039-02-30",
        "2039-W01",
        "٢٠٣٩",
    ])
}

/// A body of JSON: it is JSON to others too, and says the same but for blanks around strings.
pub fn json(bytes: &[u8]) -> bool {
    let Ok(read) = Json::read(bytes) else { return false };
    // Others refuse numbers at the edge of what a double can hold.
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => assert_eq!(read.disclose(), trimmed(value)),
        Err(error) => assert!(error.to_string().contains("number out of range"), "not JSON: {error}"),
    }
    true
}

fn trimmed(value: Value) -> Value {
    let is_blank = |character: char| character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character);
    match value {
        Value::String(text) => Value::String(text.trim_matches(is_blank).to_owned()),
        Value::Array(items) => items.into_iter().map(trimmed).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, field)| (key, trimmed(field))).collect(),
        other => other,
    }
}

/// What a corpus of bodies begins with.
pub fn json_seeds() -> Vec<Vec<u8>> {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    texts(&[
        r#"{"name": " greeting ", "payload": "aGVsbG8=", "payload_content_encoding": "base64", "bit_length": 256}"#,
        r#"{"b":[true,false,null,{"x":" y "}],"i":18446744073709551615,"f":256.0,"n":-3e-7}"#,
        r#"{"a":1,"a":"x","\u0061":null}"#,
        r#""\ud83d\ude00 \"\\\/\b\f\n\r\t \u001c""#,
        r#""\ud83d""#,
        r#""a\u0000b""#,
        "1e400",
        &nested(64),
        &nested(65),
    ])
}

/// A `traceparent`: what is read is written as version 00 of the same.
pub fn traceparent(bytes: &[u8]) -> bool {
    let Some((text, context)) = std::str::from_utf8(bytes).ok().and_then(|text| Some((text, text.parse().ok()?)))
    else {
        return false;
    };
    let written = TraceContext::to_string(&context);
    assert_eq!(written[2..], text[2..written.len()]);
    assert_eq!(written.parse(), Ok(context));
    true
}

/// What a corpus of `traceparent`s begins with.
pub fn traceparent_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-follows",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
    ])
}
