#![allow(clippy::unwrap_used)]

use bailey_core::failure::FailureKind;
use serde_json::json;

use super::*;

fn parse_value(body: &Value) -> Result<NewOrder, Failure> {
    parse(Json::read(body.to_string().as_bytes()).unwrap(), 100)
}

fn order(kind: &str, more: Value) -> Value {
    let mut meta = json!({"algorithm": "aes", "bit_length": 256});
    for (key, value) in more.as_object().unwrap() {
        meta[key] = value.clone();
    }
    json!({"type": kind, "meta": meta})
}

/// The schema that a complaint names, and the bad fields.
fn complaint(body: &Value) -> (Option<Box<str>>, Vec<String>) {
    let failure = parse_value(body).map(drop).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid, "{body}");
    (failure.schema, failure.violations.into_iter().map(|bad| bad.property.unwrap_or_default()).collect())
}

#[test]
fn what_is_told_again_is_what_was_said_without_what_is_secret() {
    let body = json!({"type": "asymmetric", "ignored": 1, "meta": {
        "name": " k ", "algorithm": "RSA", "bit_length": 2048.0, "mode": "cbc", "expiration": "2039-12-31T23:00:00+01",
        "payload_content_type": "text/plain;charset=utf-8", "passphrase": " canary ", "creator_id": "mallory",
        "unknown": {"nested": [1, " x ", null]}, "secret_type": "symmetric",
    }});
    let order = parse_value(&body).unwrap();
    let expected = json!({
        "name": "k", "algorithm": "RSA", "bit_length": 2048, "mode": "cbc",
        "expiration": "2039-12-31T22:00:00.000000", "payload_content_type": "text/plain;charset=utf-8",
        "unknown": {"nested": [1, "x", null]}, "secret_type": "symmetric",
    });
    assert_eq!(serde_json::from_str::<Value>(&order.meta).unwrap(), expected);
    assert_eq!(order.passphrase.unwrap().expose(), b"canary");
    assert_eq!(order.expires_at.map(time::format).as_deref(), Some("2039-12-31T22:00:00"));
    assert_eq!(order.order_type, OrderType::Asymmetric);
}

#[test]
fn name_and_expiration_are_told_in_any_case() {
    for more in [json!({}), json!({"name": null, "expiration": ""})] {
        let order = parse_value(&order("key", more)).unwrap();
        let expected = json!({"name": null, "algorithm": "aes", "bit_length": 256, "expiration": null});
        assert_eq!(serde_json::from_str::<Value>(&order.meta).unwrap(), expected);
        assert!(order.passphrase.is_none());
    }
}

#[test]
fn a_passphrase_is_for_key_pairs_and_not_empty() {
    for (kind, passphrase, expected) in [
        ("asymmetric", json!("x"), true),
        ("asymmetric", json!(" "), false),
        ("asymmetric", json!(null), false),
        ("key", json!("canary"), false),
    ] {
        for name in ["passphrase", "pass_phrase"] {
            let order = parse_value(&order(kind, json!({ name: passphrase }))).unwrap();
            assert_eq!(order.passphrase.is_some(), expected, "{kind} {name} {passphrase}");
            assert!(!order.meta.contains(name));
        }
    }
    let failure = parse_value(&order("asymmetric", json!({"passphrase": "x".repeat(101)}))).map(drop).unwrap_err();
    assert_eq!(failure.kind, FailureKind::TooLarge);
}

#[test]
fn a_size_has_whole_bytes_but_for_one_curve() {
    for (kind, algorithm, bits, is_good) in [
        ("key", "aes", 8, true),
        ("key", "anything", 4096, true),
        ("key", "aes", 129, false),
        ("key", "ec", 521, false),
        ("asymmetric", "EC", 521, true),
        ("asymmetric", "rsa", 521, false),
        ("asymmetric", "ec", 257, false),
    ] {
        let body = order(kind, json!({"algorithm": algorithm, "bit_length": bits}));
        assert_eq!(parse_value(&body).is_ok(), is_good, "{body}");
    }
}

#[test]
fn every_rule_of_the_contract_names_its_field() {
    for (body, expected) in [
        (json!([]), vec![""]),
        (json!({}), vec!["type", "meta"]),
        (json!({"type": "Key", "meta": {}}), vec!["type", "bit_length", "algorithm"]),
        (json!({"type": "generic", "meta": {"algorithm": "aes", "bit_length": 8}}), vec!["type"]),
        (json!({"type": null, "meta": []}), vec!["type", "meta"]),
        (json!({"type": 5, "meta": null}), vec!["type", "meta"]),
    ] {
        let (schema, mut bad) = complaint(&body);
        let mut expected = expected;
        bad.sort_unstable();
        expected.sort_unstable();
        assert_eq!((schema, bad), (Some("Order".into()), expected.into_iter().map(str::to_owned).collect()), "{body}");
    }
    for (more, expected) in [
        (json!({"algorithm": ""}), "algorithm"),
        (json!({"algorithm": null}), "algorithm"),
        (json!({"bit_length": 0}), "bit_length"),
        (json!({"bit_length": "256"}), "bit_length"),
        (json!({"bit_length": 12}), "bit_length"),
        (json!({"bit_length": true}), "bit_length"),
        (json!({"bit_length": 32768}), "bit_length"),
        (json!({"payload": "x"}), "payload"),
        (json!({"payload": ""}), "payload"),
        (json!({"payload": null}), "payload"),
        (json!({"payload_content_type": "image/png"}), "payload_content_type"),
        (json!({"payload_content_type": 5}), "payload_content_type"),
        (json!({"payload_content_encoding": "binary"}), "payload_content_encoding"),
        (json!({"expiration": "soon"}), "expiration"),
        (json!({"name": 5}), "name"),
        (json!({"mode": null}), "mode"),
        (json!({"secret_type": "bogus"}), "secret_type"),
        (json!({"transport_key_needed": true}), "transport_key_needed"),
        (json!({"passphrase": 5}), "passphrase"),
    ] {
        let bad = complaint(&order("asymmetric", more.clone()));
        assert_eq!(bad, (Some("Secret' within 'Order".into()), vec![expected.to_owned()]), "{more}");
    }
    for more in [json!({"payload_content_type": ""}), json!({"payload_content_type": null}), json!({"type": "bogus"})] {
        assert!(parse_value(&order("key", more.clone())).is_ok(), "{more}");
    }
}
