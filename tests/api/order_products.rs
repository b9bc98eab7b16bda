//! What orders make.

use bailey_testkit::process;
use bailey_tests::suite::SharedCase;
use bailey_tests::{Client, TestApp, cases};
use serde_json::{Value, json};

use crate::orders::{aes, done, ended, give, text};

pub const CASES: &[SharedCase] = cases![
    a_key_is_made_as_ordered,
    a_key_pair_is_made_with_its_container,
    a_passphrase_is_kept_where_secrets_are,
    the_passphrase_opens_the_private_key,
    sizes_and_algorithms_are_judged_by_who_makes_them,
    content_types_are_labels,
    a_blank_content_type_is_none,
];

fn a_key_is_made_as_ordered(app: &TestApp) {
    let client = app.client();
    let mut meta = aes();
    meta["expiration"] = json!("2039-12-31T23:00:00+01:00");
    let href = give(&client, "key", meta);
    let order = ended(&client, &href);
    let secret_ref = text(&order, "secret_ref");
    let expected = json!({
        "created": order["created"], "updated": order["updated"], "status": "ACTIVE", "type": "key",
        "meta": {"name": "k", "algorithm": "aes", "bit_length": 256, "mode": "cbc",
            "expiration": "2039-12-31T22:00:00.000000"},
        "sub_status": "Unknown", "sub_status_message": "Unknown", "creator_id": "tester",
        "secret_ref": secret_ref, "order_ref": href,
    });
    assert_eq!(order, expected);
    let secret = client.describe(secret_ref);
    assert_eq!(secret["secret_type"], "symmetric");
    assert_eq!(secret["content_types"], json!({ "default": "application/octet-stream" }));
    assert_eq!(secret["expiration"], "2039-12-31T22:00:00");
    assert_eq!(secret["creator_id"], "tester");
    for key in ["name", "algorithm", "bit_length", "mode"] {
        assert_eq!(secret[key], order["meta"][key], "{key}");
    }
    assert_eq!(client.payload(secret_ref).len(), 32);
    let other = done(&client, "key", aes());
    assert_ne!(client.payload(text(&other, "secret_ref")), client.payload(secret_ref));
}

fn a_key_pair_is_made_with_its_container(app: &TestApp) {
    let client = app.client();
    let meta = json!({ "name": "pair", "algorithm": "RSA", "bit_length": 2048 });
    let order = done(&client, "asymmetric", meta);
    assert!(order.get("secret_ref").is_none(), "{order}");
    let container = client.describe(text(&order, "container_ref"));
    assert_eq!((text(&container, "type"), text(&container, "name")), ("rsa", "pair"));
    assert_eq!((text(&container, "creator_id"), text(&container, "status")), ("tester", "ACTIVE"));
    let names: Vec<_> = container["secret_refs"].as_array().unwrap().iter().map(|made| text(made, "name")).collect();
    assert_eq!(names.len(), 2);
    for (name, kind, begin) in
        [("private_key", "private", "-----BEGIN PRIVATE KEY"), ("public_key", "public", "-----BEGIN PUBLIC KEY")]
    {
        assert!(names.contains(&name), "{container}");
        let href = part(&container, name);
        let secret = client.describe(&href);
        let labels = ["secret_type", "name", "algorithm", "creator_id"].map(|key| secret[key].clone());
        assert_eq!(labels, [json!(kind), json!("pair"), json!("RSA"), json!("tester")]);
        assert_eq!(secret["bit_length"], 2048);
        let payload = client.get(&format!("{href}/payload")).header("Accept", "text/plain").send().expect(200);
        assert!(payload.text().starts_with(begin), "{name}");
    }
}

/// The href of a secret in a container.
fn part(container: &Value, name: &str) -> String {
    let parts = container["secret_refs"].as_array().unwrap();
    let part = parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("no {name} in {container}"));
    text(part, "secret_ref").to_owned()
}

fn a_passphrase_is_kept_where_secrets_are(app: &TestApp) {
    let client = app.client();
    let meta = json!({ "algorithm": "ec", "bit_length": 256, "passphrase": " the canary phrase " });
    let order = done(&client, "asymmetric", meta);
    assert!(!order.to_string().contains("canary"), "{order}");
    let listed = client.describe("/v1/orders");
    assert!(!listed.to_string().contains("canary"), "{listed}");
    let container = client.describe(text(&order, "container_ref"));
    let href = part(&container, "private_key_passphrase");
    let secret = client.describe(&href);
    assert_eq!(secret["secret_type"], "passphrase");
    assert_eq!(secret["content_types"], json!({ "default": "application/octet-stream" }));
    assert_eq!(client.payload(&href), b"the canary phrase");
    assert_eq!(client.describe("/v1/secrets")["total"], 3);
    let private = client.payload(&part(&container, "private_key"));
    assert!(String::from_utf8(private).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY"));
    // It is a secret like any other from now on.
    let _ = client.delete(&href).send().expect(204);
    let _ = client.get(&href).send().expect(404);
}

fn the_passphrase_opens_the_private_key(app: &TestApp) {
    let client = app.client();
    let meta = json!({ "algorithm": "rsa", "bit_length": 2048, "passphrase": "open" });
    let order = done(&client, "asymmetric", meta);
    let container = client.describe(text(&order, "container_ref"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("private.pem");
    std::fs::write(&file, client.payload(&part(&container, "private_key"))).unwrap();
    let mut openssl = process::command("openssl");
    openssl.args(["pkey", "-passin", "pass:open", "-pubout", "-in"]).arg(&file);
    let public = process::run(&mut openssl).unwrap();
    assert_eq!(public, client.payload(&part(&container, "public_key")));
}

fn sizes_and_algorithms_are_judged_by_who_makes_them(app: &TestApp) {
    let client = app.client();
    for (kind, algorithm, bits, code) in [
        ("key", "aes", 512, "500"),
        ("key", "aes", 4096, "500"),
        ("key", "rsa", 2048, "400"),
        ("key", "rot13", 256, "400"),
        ("asymmetric", "rsa", 512, "500"),
        ("asymmetric", "aes", 256, "400"),
        ("asymmetric", "diffie_hellman", 2048, "400"),
    ] {
        let order = ended(&client, &give(&client, kind, json!({ "algorithm": algorithm, "bit_length": bits })));
        assert_eq!((text(&order, "status"), text(&order, "error_status_code")), ("ERROR", code), "{order}");
        assert!(!text(&order, "error_reason").is_empty());
        for absent in ["secret_ref", "container_ref", "sub_status", "sub_status_message"] {
            assert!(order.get(absent).is_none(), "{order}");
        }
    }
    assert_eq!(client.describe("/v1/secrets")["total"], 0);
    for (meta, bytes) in [
        (json!({ "algorithm": "HMACSHA256", "bit_length": 128 }), 16),
        (json!({ "algorithm": "aes", "bit_length": 512, "mode": "XTS" }), 64),
        (json!({ "algorithm": "hmacsha512", "bit_length": 512 }), 64),
        (json!({ "algorithm": "3des", "bit_length": 192 }), 24),
    ] {
        let order = done(&client, "key", meta.clone());
        assert_eq!(client.payload(text(&order, "secret_ref")).len(), bytes, "{meta}");
    }
}

fn content_types_are_labels(app: &TestApp) {
    let client = app.client();
    let mut meta = aes();
    meta["payload_content_type"] = json!("text/plain;charset=utf-8");
    let order = done(&client, "key", meta);
    let href = text(&order, "secret_ref");
    assert_eq!(order["meta"]["payload_content_type"], "text/plain;charset=utf-8");
    assert_eq!(client.describe(href)["content_types"], json!({ "default": "text/plain" }));
    assert_eq!(client.payload(href).len(), 32);
}

fn a_blank_content_type_is_none(app: &TestApp) {
    let client = app.client();
    let mut meta = aes();
    meta["payload_content_type"] = json!("");
    let order = done(&client, "key", meta);
    assert_eq!(order["meta"]["payload_content_type"], "");
    assert_untyped(&client, text(&order, "secret_ref"), false);

    let meta = json!({ "algorithm": "ec", "bit_length": 256, "passphrase": "phrase", "payload_content_type": "" });
    let container = client.describe(text(&done(&client, "asymmetric", meta), "container_ref"));
    for name in ["private_key", "public_key", "private_key_passphrase"] {
        assert_untyped(&client, &part(&container, name), true);
    }
    let listed = client.describe("/v1/secrets")["secrets"].clone();
    assert!(listed.as_array().unwrap().iter().all(|secret| secret.get("content_types").is_none()), "{listed}");
    // There is a payload, so none may follow.
    let href = part(&container, "public_key");
    assert_eq!(client.put_payload(&href, "text/plain", b"another").status, 409);
    let _ = client.delete(&href).send().expect(204);

    let mut meta = aes();
    meta["payload_content_type"] = json!(null);
    let secret = client.describe(text(&done(&client, "key", meta), "secret_ref"));
    assert_eq!(secret["content_types"], json!({ "default": "application/octet-stream" }));
}

/// The secret shows no content type, and has a payload for those who name one.
fn assert_untyped(client: &Client, href: &str, is_text: bool) {
    let secret = client.describe(href);
    assert!(secret.get("content_types").is_none(), "{secret}");
    let read = |accept: &str| client.get(&format!("{href}/payload")).header("Accept", accept).send();
    let bytes = read("application/octet-stream").expect(200).body;
    assert_eq!(client.get(&format!("{href}/payload")).send().expect(200).body, bytes);
    for (accept, status) in [("*/*", 406), ("text/plain", if is_text { 200 } else { 406 }), ("application/pkcs8", 200)]
    {
        let answer = read(accept).expect(status);
        assert!(status == 406 || answer.body == bytes, "{answer}");
    }
}
