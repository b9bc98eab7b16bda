#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

const SECRET: &str = "01968a3e-8f4b-7cc3-98c4-dc0c0c07398f";
const OTHER: &str = "01968a3e-8f4b-7cc3-98c4-dc0c0c073990";

fn read(body: &Value) -> Result<NewContainer, Failure> {
    parse(Json::read(body.to_string().as_bytes()).unwrap(), |href| href.starts_with("http://h"))
}

fn bad(body: &Value) -> Vec<String> {
    let failure = read(body).unwrap_err();
    failure.violations.into_iter().map(|bad| bad.property.unwrap_or_default()).collect()
}

/// A reference to secret `number`; `Null` names it null, `false` not at all.
fn named(number: u32, name: &Value) -> Value {
    let mut reference = json!({ "secret_ref": format!("http://h/v1/secrets/{number}") });
    if *name != json!(false) {
        reference["name"] = name.clone();
    }
    reference
}

fn of(kind: &str, names: &[Value]) -> Value {
    let references: Vec<Value> = (0..).zip(names).map(|(number, name)| named(number, name)).collect();
    json!({ "type": kind, "secret_refs": references })
}

#[test]
fn everything_is_read() {
    let new = read(&json!({
        "name": " n ", "type": "generic", "other": 1, "secret_refs": [
            { "name": "a", "secret_ref": format!("http://h/v1/secrets/{SECRET}"), "other": 1 },
            { "name": null, "secret_ref": format!(" http://h/v1/secrets/{OTHER}/ ") },
            { "secret_ref": "http://h/v1/secrets/junk" },
        ],
    }));
    let reference = |name: Option<&str>, id: Option<&str>| GivenReference {
        name: name.map(str::to_owned),
        secret: id.map(|id| id.parse().unwrap()),
    };
    let expected = NewContainer {
        name: Some("n".into()),
        container_type: ContainerType::Generic,
        secrets: vec![reference(Some("a"), Some(SECRET)), reference(None, Some(OTHER)), reference(None, None)],
    };
    assert_eq!(read(&json!({"type": "generic"})).unwrap().secrets, []);
    assert_eq!(new.unwrap(), expected);
}

#[test]
fn bad_fields_are_named() {
    let long = "x".repeat(256);
    let cases = [
        (json!([]), vec![""]),
        (json!({}), vec!["type"]),
        (json!({"type": null, "name": 5}), vec!["name", "type"]),
        (json!({"type": "dsa", "name": long}), vec!["name", "type"]),
        (json!({"type": "Generic"}), vec!["type"]),
        (json!({"type": "rsa", "secret_refs": null}), vec!["secret_refs"]),
        (json!({"type": "rsa", "secret_refs": {}}), vec!["secret_refs"]),
        (
            json!({"type": "generic", "secret_refs": [5, {}, {"secret_ref": null}, {"secret_ref": "", "name": long}]}),
            vec![
                "secret_refs[0]",
                "secret_refs[1].secret_ref",
                "secret_refs[2].secret_ref",
                "secret_refs[3].name",
                "secret_refs[3].secret_ref",
            ],
        ),
        (
            json!({"type": "generic", "secret_refs": [{"secret_ref": "http://evil/1"}, {"name": "b", "secret_ref": "/2"}]}),
            vec!["secret_refs[0].secret_ref", "secret_refs[1].secret_ref"],
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(bad(&body), expected, "{body}");
    }
}

#[test]
fn names_differ_and_secrets_too() {
    let (absent, null) = (json!(false), Value::Null);
    for names in [vec![absent.clone(), null.clone()], vec![null.clone(), json!("")], vec![json!("a"), json!("A")]] {
        assert!(read(&of("generic", &names)).is_ok(), "{names:?}");
    }
    for names in [
        vec![absent.clone(), absent.clone()],
        vec![absent, json!("")],
        vec![null.clone(), null],
        vec![json!("a"), json!(" a ")],
    ] {
        assert_eq!(bad(&of("generic", &names)), ["secret_refs"], "{names:?}");
    }
    let href = format!("http://h/v1/secrets/{SECRET}");
    let twice = [json!({"name": "a", "secret_ref": href}), json!({"name": "b", "secret_ref": format!("{href}/")})];
    assert_eq!(bad(&json!({"type": "generic", "secret_refs": twice})), ["secret_refs"]);
}

#[test]
fn each_type_has_its_names() {
    let all = |names: &str| -> Vec<Value> { names.split(' ').map(|name| json!(name)).collect() };
    for (kind, names) in [
        ("rsa", "public_key private_key"),
        ("rsa", "private_key_passphrase private_key public_key"),
        ("certificate", "certificate"),
        ("certificate", "certificate private_key private_key_passphrase intermediates"),
    ] {
        assert!(read(&of(kind, &all(names))).is_ok(), "{kind} {names}");
    }
    for (kind, names) in [
        ("rsa", "public_key"),
        ("rsa", "public_key private_key_passphrase"),
        ("rsa", "public_key private_key more"),
        ("rsa", "certificate"),
        ("certificate", "private_key"),
        ("certificate", "certificate public_key"),
    ] {
        assert_eq!(bad(&of(kind, &all(names))), ["secret_refs"], "{kind} {names}");
    }
    for kind in ["rsa", "certificate"] {
        assert!(read(&of(kind, &[])).is_ok(), "{kind}: empty ones are let in");
        assert_eq!(bad(&of(kind, &[Value::Null])), ["secret_refs"]);
        assert_eq!(bad(&of(kind, &[json!(false)])), ["secret_refs"]);
    }
}

#[test]
fn a_single_reference_is_read_by_other_rules() {
    let one = |body: Value| reference(Json::read(body.to_string().as_bytes()).unwrap());
    let id = Some(SECRET.parse().unwrap());
    for (body, expected) in [
        (json!({"secret_ref": format!("http://evil/{SECRET}")}), GivenReference { name: None, secret: id }),
        (
            json!({"secret_ref": format!("/{SECRET}/"), "name": ""}),
            GivenReference { name: Some("".into()), secret: id },
        ),
        (json!({"secret_ref": "http://h/junk", "name": "n"}), GivenReference { name: Some("n".into()), secret: None }),
    ] {
        assert_eq!(one(body.clone()).unwrap(), expected, "{body}");
    }
    for (body, property) in [
        (json!([]), None),
        (json!({}), Some("secret_ref")),
        (json!({"secret_ref": SECRET}), Some("secret_ref")),
        (json!({"secret_ref": ""}), Some("secret_ref")),
        (json!({"secret_ref": "/x", "name": null}), Some("name")),
        (json!({"secret_ref": "/x", "name": "x".repeat(256)}), Some("name")),
    ] {
        let failure = one(body.clone()).unwrap_err();
        assert_eq!(failure.violations.len(), 1, "{body}");
        assert_eq!(failure.violations[0].property.as_deref(), property, "{body}");
    }
}
