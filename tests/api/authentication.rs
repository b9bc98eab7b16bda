//! Static tokens over HTTP: who is let in, and what the others are told.

use bailey_tests::suite::OwnCase;
use bailey_tests::{Answer, Database, TestApp, cases};
use serde_json::json;

pub const CASES: &[OwnCase] = cases![a_token_says_who_asks, everybody_else_is_unauthenticated, limits_can_be_set];

fn a_token_says_who_asks(database: Database) {
    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let token = app.token("project ü", "alice", &["Creator"]).unwrap();
    let href = app.anonymous().with("X-Auth-Token", &token).store("text");
    for (name, value) in [
        ("X-Auth-Token", token.clone()),
        ("x-auth-token", token.clone()),
        ("Authorization", format!("Bearer {token}")),
        ("authorization", format!("bearer {token}")),
    ] {
        let client = app.anonymous().with(name, &value);
        let described = client.describe(&href);
        assert_eq!(described["creator_id"], json!("alice"), "{name}");
        assert_eq!(client.payload(&href), b"text");
        // What the token doesn't say, headers can't add.
        let forger = client.with("X-Project-Id", "other").with("X-Roles", "admin").with("X-User-Id", "bob");
        assert_eq!(forger.describe(&href), described);
    }
    let observer = app.client_of("project ü", "carol", &["observer"]);
    assert_eq!(observer.payload(&href), b"text");
    let _ = observer.delete(&href).send().expect(403);
    let stranger = app.client_of("another project", "alice", &["creator"]);
    let _ = stranger.get(&href).send().expect(403);
    assert_eq!(stranger.describe("/v1/secrets")["total"], json!(0));
}

#[track_caller]
fn assert_unauthenticated(answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer}");
    assert!(answer.header("x-openstack-request-id").is_some(), "{answer}");
    assert_eq!(answer.header("OpenStack-API-Version"), None, "{answer}");
}

fn everybody_else_is_unauthenticated(database: Database) {
    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let good = app.token("project", "alice", &["admin"]).unwrap();
    let href = app.anonymous().with("X-Auth-Token", &good).store("text");
    let (id, secret) = good.split_once('.').unwrap();
    let other = app.token("project", "bob", &["admin"]).unwrap();
    let (_, other_secret) = other.split_once('.').unwrap();
    let unknown = uuid::Uuid::new_v4();
    let clients = [
        "".to_owned(),
        "junk".to_owned(),
        id.to_owned(),
        format!("{id}."),
        format!(".{secret}"),
        format!("{id}.{other_secret}"),
        format!("{id}.{}", secret.to_lowercase()),
        format!("{id}.{secret}x"),
        format!("{id}.{}", &secret[..secret.len() - 1]),
        format!("{unknown}.{secret}"),
        "a".repeat(3_500),
    ]
    .map(|token| app.anonymous().with("X-Auth-Token", &token));
    let nobody = app.anonymous().with("X-Project-Id", "project").with("X-Roles", "admin");
    let basic = app.anonymous().with("Authorization", &format!("Basic {good}"));
    for client in clients.into_iter().chain([app.anonymous(), nobody, basic]) {
        let json = client.get("/v1/secrets").header("Accept", "application/json").send();
        assert_unauthenticated(&json);
        assert_eq!(json.string("code"), "401 Unauthorized");
        assert_eq!(json.string("title"), "Unauthorized");
        assert!(json.json()["message"].is_string(), "{json}");
        // Who asks is settled before everything else.
        for answer in [
            client.get("/v1/").send(),
            client.get(&href).send(),
            client.get("/v1/secrets/junk").send(),
            client.get("/v1/nothing").send(),
            client.delete(&href).send(),
            client.post("/v1/secrets").payload("text/plain", "no JSON").send(),
            client.put(&href).payload("text/plain", "text").send(),
            client.get("/v1/secrets").header("Accept", "text/html").send(),
        ] {
            assert_unauthenticated(&answer);
        }
        let _ = client.get("/").send().expect(300);
    }
}

fn limits_can_be_set(database: Database) {
    let app = TestApp::builder(database)
        .set("BAILEY_LIMITS__PAYLOAD", "100")
        .set("BAILEY_LIMITS__BODY", "500")
        .set("BAILEY_LIMITS__PAGE_DEFAULT", "2")
        .set("BAILEY_LIMITS__PAGE_MAX", "3")
        .start()
        .unwrap();
    let client = app.client();
    let text = |length: usize| json!({ "payload": "a".repeat(length), "payload_content_type": "text/plain" });
    let href = client.create(&text(100));
    assert_eq!(client.payload(&href).len(), 100);
    let _ = client.post("/v1/secrets").json(&text(101)).send().expect(413);
    let _ = client.post("/v1/secrets").json(&json!({ "unknown": "a".repeat(500) })).send().expect(413);
    let bare = client.create(&json!({}));
    let _ = client.put_payload(&bare, "text/plain", &[b'a'; 101]).expect(413);
    let _ = client.put_payload(&bare, "text/plain", &[b'a'; 100]).expect(204);
    for _ in 0..4 {
        let _ = client.create(&json!({}));
    }
    for (query, count) in [("", 2), ("limit=3", 3), ("limit=100", 3)] {
        let listed = client.describe(&format!("/v1/secrets?{query}"));
        assert_eq!(listed["secrets"].as_array().unwrap().len(), count, "{query}");
        assert_eq!(listed["total"], json!(6));
    }
}
