//! `/v1/transport_keys`, and payloads that nobody reads on their way.

use std::time::Duration;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _, Nonce, Payload};
use bailey_testkit::process;
use bailey_tests::secrets::base64;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Answer, Client, Database, TestApp, cases};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeS, Serializable as _, single_shot_seal};
use nix::sys::signal::Signal;
use serde_json::json;

pub const CASES: &[OwnCase] = cases![
    keys_are_listed_registered_and_withdrawn,
    a_payload_arrives_wrapped,
    what_is_wrapped_wrongly_is_refused,
    a_payload_is_handed_out_wrapped,
    the_store_of_the_key_is_chosen,
    keys_follow_the_worker_key,
];

const PAYLOAD: &str = "bailey payload v1";
const SESSION_KEY: &str = "bailey session key v1";
const UNKNOWN: &str = "/v1/transport_keys/00000000-0000-4000-8000-000000000000";

fn start(database: Database) -> TestApp {
    TestApp::builder(database).start().unwrap_or_else(|error| panic!("{error:#}"))
}

fn id(href: &str) -> &str {
    href.rsplit('/').next().unwrap_or_default()
}

/// The public key at an href, as RFC 8410 has it.
fn public_key(client: &Client, href: &str) -> <X25519HkdfSha256 as Kem>::PublicKey {
    use base64::Engine as _;
    let pem = client.describe(href)["transport_key"].as_str().expect("a key").to_owned();
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(lines).expect("base64");
    assert_eq!(der[..12], [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00]);
    <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&der[12..]).expect("an X25519 key")
}

/// The key that a client is told to wrap the secret's payload to.
fn key_for(client: &Client, secret: &str) -> String {
    client.describe(&format!("{secret}?transport_key_needed=True"))["transport_key_ref"]
        .as_str()
        .expect("a key")
        .to_owned()
}

fn wrap(client: &Client, key: &str, purpose: &str, place: &str, plain: &[u8]) -> Vec<u8> {
    let key = public_key(client, key);
    let wrapped = single_shot_seal::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &key,
        format!("{purpose} {place}").as_bytes(),
        plain,
        &[],
    );
    let (encapsulated, ciphertext) = wrapped.expect("a wrapped payload");
    [encapsulated.to_bytes().as_slice(), &ciphertext].concat()
}

fn post_wrapped(client: &Client, key: &str, content_type: &str, wrapped: &[u8]) -> Answer {
    let body = json!({
        "payload": base64(wrapped), "payload_content_type": content_type, "transport_key_id": id(key),
    });
    client.post("/v1/secrets").json(&body).send()
}

fn keys_are_listed_registered_and_withdrawn(database: Database) {
    let app = start(database);
    let admin = app.client_of("p", "u", &["key-manager:service-admin"]);
    let secret = app.client_of("p", "u", &["creator"]).create(&json!({ "transport_key_needed": "false" }));
    let own = key_for(&admin, &secret);
    let list = admin.describe("/v1/transport_keys");
    assert_eq!(list, json!({ "transport_keys": [own], "total": 1 }));
    let shown = admin.get(&own).header("Accept", "application/json").send().expect(200).json();
    let created = shown["created_at"].as_str().unwrap().to_owned();
    assert!(created.len() >= 19 && created.as_bytes()[10] == b' ', "{created}");
    let expected = json!({
        "id": id(&own), "plugin_name": app.store_name(), "transport_key": shown["transport_key"], "status": "ACTIVE",
        "created_at": created, "updated_at": created, "deleted": false, "deleted_at": null,
    });
    assert_eq!(shown, expected);
    assert_eq!(admin.get(&own).send().expect(200).json(), expected);

    let registered = json!({ "plugin_name": "dogtag_crypto", "transport_key": "CERT" });
    let answer = admin.post("/v1/transport_keys/").json(&registered).send().expect(201);
    let theirs = answer.string("transport_key_ref");
    assert_eq!(answer.header("Location"), Some(theirs.as_str()));
    assert_eq!(admin.describe(&theirs)["transport_key"], "CERT");
    assert_eq!(admin.describe("/v1/transport_keys?plugin_name=dogtag_crypto")["transport_keys"], json!([theirs]));
    assert_eq!(admin.describe("/v1/transport_keys?plugin_name=dogtag")["total"], 0);
    let page = admin.describe("/v1/transport_keys?limit=1&offset=1");
    assert_eq!((&page["transport_keys"], &page["total"]), (&json!([theirs]), &json!(2)));
    assert_eq!(page["previous"], format!("{}/v1/transport_keys?limit=1&offset=0", admin.base()));

    for body in [
        json!({}),
        json!([]),
        json!({ "plugin_name": "x" }),
        json!({ "transport_key": "x" }),
        json!({ "plugin_name": "", "transport_key": "x" }),
        json!({ "plugin_name": "x", "transport_key": " " }),
        json!({ "plugin_name": 5, "transport_key": null }),
    ] {
        let _ = admin.post("/v1/transport_keys").json(&body).send().expect(400);
    }
    let _ = admin.post("/v1/transport_keys").body("{}").send().expect(415);
    let _ = admin.with_roles("admin").post("/v1/transport_keys").json(&registered).send().expect(403);
    let _ = admin.with_roles("admin").delete(&theirs).send().expect(403);
    let _ = admin.with_roles("member").get(&theirs).send().expect(403);
    let _ = admin.put(&theirs).send().expect(405);
    for path in [UNKNOWN, "/v1/transport_keys/junk"] {
        for request in [admin.get(path), admin.delete(path), admin.put(path), admin.with_roles("member").get(path)] {
            let _ = request.send().expect(404);
        }
    }

    let _ = admin.delete(&theirs).send().expect(204);
    let _ = admin.delete(&theirs).send().expect(404);
    let _ = admin.delete(&own).send().expect(204);
    let another = key_for(&admin, &secret);
    assert_ne!(another, own, "what was withdrawn stays so");
    assert_ne!(public_key(&admin, &another).to_bytes(), shown_key(&shown).to_bytes());
}

fn shown_key(shown: &serde_json::Value) -> <X25519HkdfSha256 as Kem>::PublicKey {
    use base64::Engine as _;
    let lines: String =
        shown["transport_key"].as_str().unwrap().lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(lines).expect("base64");
    <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&der[12..]).expect("an X25519 key")
}

fn a_payload_arrives_wrapped(database: Database) {
    let app = start(database);
    let client = app.client_of("päron", "u", &["creator"]);
    let answer = client.post("/v1/secrets").json(&json!({ "transport_key_needed": "true" })).send().expect(201);
    let (secret, key) = (answer.string("secret_ref"), answer.string("transport_key_ref"));
    assert_eq!(key_for(&client, &secret), key);
    let every_byte: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    let large = wrap(&client, &key, PAYLOAD, "päron", &every_byte);
    let put = format!("{secret}?transport_key_id={}", id(&key));
    let _ = client.put(&put).payload("application/octet-stream", large.clone()).send().expect(204);
    assert_eq!(client.payload(&secret), every_byte);
    let _ = client.put(&put).payload("application/octet-stream", large.clone()).send().expect(409);

    let text = wrap(&client, &key, PAYLOAD, "päron", " ünï ".as_bytes());
    let posted = post_wrapped(&client, &key, "text/plain", &text).expect(201).string("secret_ref");
    assert_eq!(client.describe(&posted)["content_types"], json!({ "default": "text/plain" }));
    let shown = client.get(&format!("{posted}/payload")).header("Accept", "text/plain").send().expect(200);
    assert_eq!(shown.text(), " ünï ", "not trimmed: nobody saw it");
    assert_eq!(key_for(&client, &posted), key);
    let posted = post_wrapped(&client, &key, "application/octet-stream", &large).expect(201).string("secret_ref");
    assert_eq!(client.payload(&posted), every_byte);

    for (content_type, encoding, body) in [
        ("text/plain", "base64", base64(&text).into_bytes()),
        ("application/octet-stream", "BASE64", base64(&text).into()),
    ] {
        let secret = client.create(&json!({}));
        let put = client.put(&format!("{secret}?transport_key_id={}", id(&key))).payload(content_type, body);
        let _ = put.header("Content-Encoding", encoding).send().expect(204);
        assert_eq!(client.payload(&secret), " ünï ".as_bytes());
    }

    app.restart().unwrap();
    assert_eq!(key_for(&client, &secret), key, "it is the worker key's, not the process's");
    let _ = post_wrapped(&client, &key, "text/plain", &text).expect(201);
}

fn what_is_wrapped_wrongly_is_refused(database: Database) {
    let app = start(database);
    let client = app.client_of("p", "u", &["creator"]);
    let secret = client.create(&json!({}));
    let key = key_for(&client, &secret);
    let good = wrap(&client, &key, PAYLOAD, "p", b"text");
    let mut changed = good.clone();
    changed[40] ^= 1;
    let too_large = wrap(&client, &key, PAYLOAD, "p", &[7; 20_001]);
    for (what, content_type, wrapped, status) in [
        ("another project", "text/plain", wrap(&client, &key, PAYLOAD, "q", b"text"), 400),
        ("a session key", "text/plain", wrap(&client, &key, SESSION_KEY, "p", b"text"), 400),
        ("a changed byte", "text/plain", changed, 400),
        ("a plain payload", "text/plain", vec![b'x'; 100], 400),
        ("nothing", "text/plain", wrap(&client, &key, PAYLOAD, "p", b""), 400),
        ("no text", "text/plain", wrap(&client, &key, PAYLOAD, "p", b"\xff"), 400),
        ("too much", "application/octet-stream", too_large, 413),
    ] {
        let posted = post_wrapped(&client, &key, content_type, &wrapped);
        assert_eq!(posted.status, status, "{what}: {posted}");
        if status == 400 {
            assert!(posted.string("description").contains("'payload'"), "{what}: {posted}");
        }
        let put = client.put(&format!("{secret}?transport_key_id={}", id(&key))).payload(content_type, wrapped).send();
        assert_eq!(put.status, status, "{what}: {put}");
    }
    let stranger = app.client_of("q", "u", &["creator"]);
    let _ = post_wrapped(&stranger, &key, "text/plain", &good).expect(400);

    let admin = client.with_roles("key-manager:service-admin");
    let body = json!({ "plugin_name": "x", "transport_key": "x" });
    let registered = admin.post("/v1/transport_keys").json(&body).send().expect(201).string("transport_key_ref");
    let refused = post_wrapped(&client, &registered, "text/plain", &good).expect(400);
    assert!(refused.string("description").contains("'transport_key_id'"), "{refused}");
    let _ = admin.delete(&key).send().expect(204);
    let _ = post_wrapped(&client, &key, "text/plain", &good).expect(400);
    assert_eq!(client.describe("/v1/secrets")["total"], 1, "nothing was stored");
    assert_eq!(app.sql(Which::Vault, "SELECT count(*) FROM ciphertexts").trim(), "0");
}

fn a_payload_is_handed_out_wrapped(database: Database) {
    let app = start(database);
    let client = app.client_of("p", "u", &["creator"]);
    let (secret, other) = (client.store("a text"), client.store("another"));
    let key = key_for(&client, &secret);
    let session_key = [9; 32];
    let ask = |secret: &str, wrapped: &[u8], key: &str, accept: &str| {
        let wrapped = base64(wrapped).replace('+', "%2B");
        let path = format!("{secret}/payload?trans_wrapped_session_key={wrapped}&transport_key_id={}", id(key));
        client.get(&path).header("Accept", accept).send()
    };
    let wrapped = wrap(&client, &key, SESSION_KEY, id(&secret), &session_key);
    let mut answers = Vec::new();
    for accept in ["*/*", "application/octet-stream"] {
        let answer = ask(&secret, &wrapped, &key, accept).expect(200);
        assert_eq!(answer.header("Content-Type"), Some("application/octet-stream"));
        let (nonce, ciphertext) = answer.body.split_at(12);
        let nonce = Nonce::<Aes256Gcm>::try_from(nonce).unwrap();
        let payload = Payload { msg: ciphertext, aad: id(&secret).as_bytes() };
        let cipher = Aes256Gcm::new_from_slice(&session_key).unwrap();
        assert_eq!(cipher.decrypt(&nonce, payload).unwrap(), b"a text");
        answers.push(answer.body);
    }
    assert_ne!(answers[0], answers[1], "a nonce of its own");

    let _ = ask(&secret, &wrapped, &key, "text/plain").expect(406);
    let _ = ask(&other, &wrapped, &key, "*/*").expect(400);
    let _ = ask(&secret, &wrap(&client, &key, PAYLOAD, id(&secret), &session_key), &key, "*/*").expect(400);
    let _ = ask(&secret, &wrapped, UNKNOWN, "*/*").expect(400);
    let _ = ask(&secret, &wrap(&client, &key, SESSION_KEY, id(&secret), &[9; 16]), &key, "*/*").expect(400);
    let _ = ask(&client.create(&json!({})), &wrapped, &key, "*/*").expect(404);
    let audit = client.with_roles("audit").get(&format!("{secret}/payload?trans_wrapped_session_key=x")).send();
    assert_eq!(audit.status, 403, "{audit}");
}

fn the_store_of_the_key_is_chosen(database: Database) {
    let two =
        "[[stores]]\nname = \"a\"\nkind = \"simple\"\ndefault = true\n[[stores]]\nname = \"b\"\nkind = \"simple\"\n";
    let app = TestApp::builder(database).file(two).start().unwrap_or_else(|error| panic!("{error:#}"));
    let client = app.client_of("p", "u", &["admin"]);
    let key_of = |name: &str| {
        let keys = client.describe(&format!("/v1/transport_keys?plugin_name={name}"))["transport_keys"].clone();
        assert_eq!(keys.as_array().map(Vec::len), Some(1), "{name}: {keys}");
        keys[0].as_str().unwrap().to_owned()
    };
    let (a, b) = (key_of("a"), key_of("b"));
    assert_ne!(public_key(&client, &a).to_bytes(), public_key(&client, &b).to_bytes());
    let default = client.create(&json!({}));
    assert_eq!(key_for(&client, &default), a);
    let wrapped = wrap(&client, &b, PAYLOAD, "p", b"text");
    let secret = post_wrapped(&client, &b, "text/plain", &wrapped).expect(201).string("secret_ref");
    assert_eq!(client.payload(&secret), b"text");
    assert_eq!(key_for(&client, &secret), b, "where it lies");
    let _ = post_wrapped(&client, &a, "text/plain", &wrapped).expect(400);

    let stores = client.describe("/v1/secret-stores")["secret_stores"].clone();
    let second = stores.as_array().unwrap().iter().find(|store| store["name"] == "b").unwrap();
    let _ = client.post(&format!("{}/preferred", second["secret_store_ref"].as_str().unwrap())).send().expect(204);
    assert_eq!(key_for(&client, &default), b, "where it will go");

    app.write_file(&format!("{two}[projects.p]\nstore = \"a\""));
    app.restart().unwrap();
    assert_eq!(key_for(&client, &default), a, "where it will go by the configuration");
    let elsewhere = post_wrapped(&client, &b, "text/plain", &wrapped).expect(400);
    assert!(elsewhere.string("description").contains("another secret store"), "{elsewhere}");
}

/// How long a running server may take to notice what a command did.
const PATIENCE: Duration = Duration::from_secs(30);

fn keys_follow_the_worker_key(database: Database) {
    let app = TestApp::builder(database).set("BAILEY_WORKER__ROTATION_INTERVAL_SECONDS", "0.2").start();
    let app = app.unwrap_or_else(|error| panic!("{error:#}"));
    let client = app.client_of("p", "u", &["admin"]);
    let keys = || {
        let list = client.describe("/v1/transport_keys");
        list["transport_keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let [old] = keys().try_into().expect("one key");
    let secret = client.create(&json!({}));
    let wrapped = wrap(&client, &old, PAYLOAD, "p", b"text");
    let listed = app.admin(&["worker-key", "list", "--json"]).unwrap();
    let versions: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let old_version = versions[0]["id"].as_str().expect("a version").to_owned();

    let version = app.admin(&["worker-key", "add"]).unwrap().trim().to_owned();
    app.signal(Signal::SIGHUP).unwrap();
    process::until(PATIENCE, || app.admin(&["worker-key", "activate", &version]).map(drop)).unwrap();
    let has = |count: usize| {
        process::until(PATIENCE, || {
            let keys = keys();
            anyhow::ensure!(keys.len() == count, "{keys:?}");
            Ok(())
        })
        .unwrap();
        keys()
    };
    let both = has(2);
    assert_eq!(both[0], old);
    assert_eq!(key_for(&client, &secret), both[1]);
    let _ = post_wrapped(&client, &old, "text/plain", &wrapped).expect(201);

    process::until(PATIENCE, || app.admin(&["worker-key", "retire", &old_version]).map(drop)).unwrap();
    assert_eq!(has(1), both[1..]);
    let _ = post_wrapped(&client, &old, "text/plain", &wrapped).expect(400);
}
