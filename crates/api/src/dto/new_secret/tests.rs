#![allow(clippy::unwrap_used, clippy::panic)]

use bailey_core::failure::FailureKind;
use serde_json::{Value, json};

use super::*;

fn parse_value(body: &Value) -> Result<NewSecret, Failure> {
    parse(Json::read(body.to_string().as_bytes()).unwrap(), 20_000)
}

/// The payload of a secret that comes with one as it is.
fn plain(secret: NewSecret) -> Payload {
    match secret.payload {
        Some(SentPayload::Plain(payload)) => payload,
        other => panic!("{other:?}"),
    }
}

/// The names of the bad fields, in order.
fn bad_fields(body: &Value) -> Vec<String> {
    let failure = parse_value(body).map(|_| ()).unwrap_err();
    assert_eq!((failure.kind, failure.schema.as_deref()), (FailureKind::Invalid, Some("Secret")), "{body}");
    failure.violations.into_iter().map(|violation| violation.property.unwrap_or_default()).collect()
}

#[test]
fn every_rule_of_the_contract_names_its_field() {
    let long = "x".repeat(256);
    let cases = [
        (json!([]), ""),
        (json!(5), ""),
        (json!(null), ""),
        (json!({"name": 5}), "name"),
        (json!({"name": long}), "name"),
        (json!({"secret_type": "bogus"}), "secret_type"),
        (json!({"secret_type": "Opaque"}), "secret_type"),
        (json!({"secret_type": null}), "secret_type"),
        (json!({"type": "bogus"}), "type"),
        (json!({"algorithm": null}), "algorithm"),
        (json!({"algorithm": long}), "algorithm"),
        (json!({"bit_length": 0}), "bit_length"),
        (json!({"bit_length": -1}), "bit_length"),
        (json!({"bit_length": 32768}), "bit_length"),
        (json!({"bit_length": 1e300}), "bit_length"),
        (json!({"bit_length": 1.5}), "bit_length"),
        (json!({"bit_length": "128"}), "bit_length"),
        (json!({"bit_length": true}), "bit_length"),
        (json!({"bit_length": null}), "bit_length"),
        (json!({"mode": null}), "mode"),
        (json!({"expiration": null}), "expiration"),
        (json!({"expiration": "soon"}), "expiration"),
        (json!({"payload": "x"}), "payload_content_type"),
        (json!({"payload": "x", "payload_content_type": null}), "payload_content_type"),
        (json!({"payload": "x", "payload_content_type": ""}), "payload_content_type"),
        (json!({"payload": "x", "payload_content_type": "bogus/type"}), "payload_content_type"),
        (json!({"payload": "x", "payload_content_type": 5}), "payload_content_type"),
        (json!({"payload": "", "payload_content_type": "text/plain"}), "payload"),
        (json!({"payload": " \n", "payload_content_type": "text/plain"}), "payload"),
        (json!({"payload": null, "payload_content_type": "text/plain"}), "payload"),
        (json!({"payload": 5, "payload_content_type": "text/plain"}), "payload"),
        (json!({"payload_content_type": "text/plain"}), "payload"),
        (json!({"payload_content_type": null}), "payload"),
        (json!({"payload_content_encoding": ""}), "payload_content_encoding"),
        (json!({"payload_content_encoding": "binary"}), "payload_content_encoding"),
        (json!({"payload_content_encoding": null}), "payload_content_encoding"),
        (json!({"transport_key_needed": true}), "transport_key_needed"),
        (json!({"transport_key_id": 5}), "transport_key_id"),
    ];
    for (body, field) in cases {
        assert_eq!(bad_fields(&body), [field], "{body}");
    }
}

#[test]
fn content_types_and_encodings_must_fit() {
    let binary = ["application/octet-stream", "application/pkcs8"];
    for content_type in binary {
        let good =
            json!({"payload": "YQ==", "payload_content_type": content_type, "payload_content_encoding": "base64"});
        assert_eq!(plain(parse_value(&good).unwrap()).bytes.expose(), b"a");
        for payload in ["!!!!", "Y", "\u{80}", "\u{1111}\u{ffff}"] {
            let mut bad = good.clone();
            bad["payload"] = payload.into();
            assert_eq!(bad_fields(&bad), ["payload"], "{payload}");
        }
        let plain = json!({"payload": "YQ==", "payload_content_type": content_type});
        assert_eq!(bad_fields(&plain), ["payload_content_encoding"]);
    }
    let text = json!({"payload": "YQ==", "payload_content_type": "text/plain", "payload_content_encoding": "base64"});
    assert_eq!(bad_fields(&text), ["payload_content_encoding"]);
}

#[test]
fn all_bad_fields_are_named_at_once() {
    let body = json!({"name": 5, "bit_length": "x", "mode": null, "payload": "", "payload_content_type": "text/plain"});
    assert_eq!(bad_fields(&body), ["name", "bit_length", "mode", "payload"]);
}

#[test]
fn what_is_allowed_is_read() {
    let empty = parse_value(&json!({})).unwrap();
    assert_eq!((empty.name, empty.secret_type, empty.expires_at), (None, SecretType::Opaque, None));
    assert!(empty.payload.is_none());

    let body = json!({
        "name": " padded ", "secret_type": "symmetric", "algorithm": "", "bit_length": 256.0, "mode": "cbc",
        "expiration": "2049-01-01T00:00:00-0530", "payload": " ünï ", "payload_content_type": "TEXT/PLAIN; charset=UTF-8",
        "unknown": {"nested": [1]}, "transport_key_needed": "false", "payload_content_encoding": null,
    });
    let mut body = body;
    body.as_object_mut().unwrap().remove("payload_content_encoding");
    let secret = parse_value(&body).unwrap();
    assert_eq!((secret.name.as_deref(), secret.secret_type), (Some("padded"), SecretType::Symmetric));
    assert_eq!(secret.spec, Spec { algorithm: Some(String::new()), bit_length: Some(256), mode: Some("cbc".into()) });
    assert_eq!(secret.expires_at.map(time::format).as_deref(), Some("2049-01-01T05:30:00"));
    let payload = plain(secret);
    assert_eq!((payload.content_type, payload.bytes.expose()), (ContentType::TextPlain, "ünï".as_bytes()));

    for body in [
        json!({"payload_content_encoding": "base64"}),
        json!({"name": null}),
        json!({"expiration": ""}),
        json!({"transport_key_id": "x"}),
    ] {
        assert!(parse_value(&body).unwrap().payload.is_none(), "{body}");
    }
}

#[test]
fn the_alias_makes_a_payload_text() {
    let secret = parse_value(&json!({"type": "passphrase", "payload": "pw"})).unwrap();
    assert_eq!(secret.secret_type, SecretType::Passphrase);
    assert_eq!(plain(secret).content_type, ContentType::TextPlain);
    let both = parse_value(&json!({"type": 5, "secret_type": "public"})).unwrap();
    assert_eq!(both.secret_type, SecretType::Public);
    assert_eq!(
        bad_fields(&json!({"type": "passphrase", "secret_type": "public", "payload": "pw"})),
        ["payload_content_type"]
    );
}

#[test]
fn size_is_measured_in_bytes_and_told_last() {
    let text = |payload: String| json!({"payload": payload, "payload_content_type": "text/plain"});
    assert!(parse_value(&text("a".repeat(20_000))).is_ok());
    for payload in ["a".repeat(20_001), "ü".repeat(10_001)] {
        assert_eq!(parse_value(&text(payload)).map(|_| ()).unwrap_err().kind, FailureKind::TooLarge);
    }
    let base64 = |payload: String| json!({"payload": payload, "payload_content_type": "application/pkcs8", "payload_content_encoding": "base64"});
    assert_eq!(plain(parse_value(&base64("AAAA".repeat(6666))).unwrap()).bytes.len(), 19_998);
    for payload in ["AAAA".repeat(6667), "a".repeat(20_001)] {
        assert_eq!(parse_value(&base64(payload)).map(|_| ()).unwrap_err().kind, FailureKind::TooLarge);
    }
    let mut bad = text("a".repeat(20_001));
    bad["name"] = 5.into();
    assert_eq!(bad_fields(&bad), ["name"]);
    let mut past = text("a".repeat(20_001));
    past["expiration"] = "2001-01-01".into();
    assert_eq!(bad_fields(&past), ["expiration"]);
}

#[test]
fn a_transport_key_is_wanted_for_a_payload_to_follow() {
    let wanted = |body: &Value| parse_value(body).unwrap().transport_key_needed;
    assert!(wanted(&json!({"transport_key_needed": "true"})));
    assert!(!wanted(&json!({"transport_key_needed": "false"})));
    assert!(!wanted(&json!({"transport_key_needed": "true", "type": "opaque", "payload": "p"})));
}

#[test]
fn a_wrapped_payload_is_base64_and_measured_without_its_wrapping() {
    let id = TransportKeyId::new();
    let body = |payload: &str, content_type: &str| json!({"payload": payload, "payload_content_type": content_type, "transport_key_id": id});
    for content_type in ["text/plain", "application/octet-stream"] {
        for encoding in [None, Some("base64")] {
            let mut body = body(&"QUJD".repeat(6_682), content_type);
            if let Some(encoding) = encoding {
                body["payload_content_encoding"] = encoding.into();
            }
            match parse_value(&body).unwrap().payload {
                Some(SentPayload::Wrapped(wrapped)) => {
                    assert_eq!((wrapped.key, wrapped.content_type.as_str()), (id, content_type));
                    assert_eq!(wrapped.bytes.len(), 20_046);
                }
                other => panic!("{other:?}"),
            }
        }
        let large = parse_value(&body(&"QUJD".repeat(6_683), content_type)).map(drop).unwrap_err();
        assert_eq!(large.kind, FailureKind::TooLarge);
        for payload in ["QUJD".repeat(16), "not base64!".into()] {
            assert_eq!(bad_fields(&body(&payload, content_type)), ["payload"], "{payload}");
        }
    }
    let mut unknown = body(&"QUJD".repeat(17), "text/plain");
    unknown["transport_key_id"] = "junk".into();
    assert_eq!(bad_fields(&unknown), ["transport_key_id"]);
}
