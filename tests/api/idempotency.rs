//! Requests that are sent again: the first answer, and one effect.

use std::collections::HashSet;
use std::sync::Barrier;
use std::time::Duration;

use bailey_tests::app::Builder;
use bailey_tests::secrets::in_seconds;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Answer, Client, Database, TestApp, cases};
use serde_json::{Value, json};

use crate::orders::ended;

pub const CASES: &[OwnCase] = cases![
    a_repetition_has_the_first_answer_and_no_effect,
    a_key_belongs_to_its_caller_and_route,
    another_body_is_a_mismatch,
    bad_keys_are_refused,
    twins_on_two_processes_make_one_resource,
    twins_on_two_processes_give_one_order,
    a_key_outlives_its_version_of_the_worker_key,
];

fn start(database: Database) -> TestApp {
    TestApp::builder(database).start().unwrap_or_else(|error| panic!("{error:#}"))
}

fn post(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    client.post(path).header("Idempotency-Key", key).json(body).send()
}

fn secret(payload: &str) -> Value {
    json!({ "payload": payload, "payload_content_type": "text/plain" })
}

fn total(client: &Client, path: &str) -> u64 {
    client.describe(&format!("{path}?limit=1"))["total"].as_u64().unwrap()
}

fn a_repetition_has_the_first_answer_and_no_effect(database: Database) {
    let app = start(database);
    let (admin, client) = (app.client_of("s", "ann", &["key-manager:service-admin"]), app.client());
    for (path, body) in [
        ("/v1/secrets", secret("once")),
        ("/v1/secrets", json!({ "name": "empty" })),
        ("/v1/containers", json!({ "type": "generic", "name": "once" })),
        ("/v1/orders", json!({ "type": "key", "meta": { "algorithm": "aes", "bit_length": 256 } })),
    ] {
        let status = if path == "/v1/orders" { 202 } else { 201 };
        let before = total(&client, path);
        let key = body.to_string();
        let first = post(&client, path, &key, &body).expect(status);
        for _ in 0..2 {
            let again = post(&client, path, &key, &body).expect(status);
            assert_eq!(
                (again.body.as_slice(), again.header("Location")),
                (first.body.as_slice(), first.header("Location"))
            );
        }
        assert_eq!(total(&client, path), before + 1);
        assert_ne!(post(&client, path, &format!("not {key}"), &body).expect(status).body, first.body);
    }

    // What has changed since doesn't matter: the expiration, the quota, the resource itself.
    let body = json!({ "expiration": in_seconds(3) });
    let first = post(&client, "/v1/secrets", "brief", &body).expect(201);
    let _ = client.delete(&first.string("secret_ref")).send().expect(204);
    std::thread::sleep(Duration::from_secs(3));
    let _ = client.post("/v1/secrets").json(&body).send().expect(400);
    assert_eq!(post(&client, "/v1/secrets", "brief", &body).expect(201).body, first.body);

    let limited = app.client_of("limited", "bob", &["creator"]);
    let _ =
        admin.put("/v1/project-quotas/limited").json(&json!({ "project_quotas": { "secrets": 1 } })).send().expect(204);
    let first = post(&limited, "/v1/secrets", "k", &secret("p")).expect(201);
    assert_eq!(post(&limited, "/v1/secrets", "other", &secret("p")).status, 403);
    assert_eq!(post(&limited, "/v1/secrets", "k", &secret("p")).expect(201).body, first.body);
    // A failure is not remembered.
    let _ = limited.delete(&first.string("secret_ref")).send().expect(204);
    let _ = post(&limited, "/v1/secrets", "other", &secret("p")).expect(201);
}

fn a_key_belongs_to_its_caller_and_route(database: Database) {
    let app = start(database);
    let body = json!({ "type": "generic" });
    let mut seen = HashSet::new();
    for (project, user) in [("p", "ann"), ("p", "bob"), ("q", "ann")] {
        let client = app.client_of(project, user, &["creator"]);
        for path in ["/v1/secrets", "/v1/containers"] {
            let body = if path == "/v1/secrets" { json!({}) } else { body.clone() };
            let made = post(&client, path, "the same key", &body).expect(201).body;
            assert_eq!(post(&client, path, "the same key", &body).expect(201).body, made);
            assert!(seen.insert(made));
        }
    }
    let nobody = app.anonymous().with("X-Project-Id", "p").with("X-Roles", "creator");
    let made = post(&nobody, "/v1/secrets", "the same key", &json!({})).expect(201).body;
    assert_eq!(post(&nobody, "/v1/secrets", "the same key", &json!({})).expect(201).body, made);
    assert!(seen.insert(made));
    // Rights come first.
    assert_eq!(post(&nobody.with_roles("audit"), "/v1/secrets", "the same key", &json!({})).status, 403);
}

fn another_body_is_a_mismatch(database: Database) {
    let app = start(database);
    let client = app.client();
    let _ = post(&client, "/v1/secrets", "k", &secret("one")).expect(201);
    for body in
        [secret("two"), json!({}), json!({ "payload_content_type": "text/plain", "payload": "one", "name": "x" })]
    {
        let answer = post(&client, "/v1/secrets", "k", &body).expect(422);
        assert_eq!(answer.string("title"), "Unprocessable Entity");
        assert!(answer.string("description").contains("idempotency key"), "{answer}");
    }
    assert_eq!(post(&client, "/v1/secrets", "k", &json!({ "payload": "" })).status, 400);
    assert_eq!(total(&client, "/v1/secrets"), 1);
}

fn bad_keys_are_refused(database: Database) {
    let app = start(database);
    let client = app.client();
    for key in [String::new(), "k".repeat(256)] {
        let answer = post(&client, "/v1/secrets", &key, &secret("p")).expect(400);
        assert!(answer.string("description").contains("Idempotency-Key"), "{answer}");
    }
    assert_eq!(total(&client, "/v1/secrets"), 0);
    let _ = post(&client, "/v1/secrets", &"ü".repeat(255), &secret("p")).expect(201);
}

/// Two processes, or one where a data folder has one server, that tell the same hrefs.
struct Pair(TestApp, Option<TestApp>);

impl Pair {
    const HOST: &str = "http://keys.example";

    fn start(database: Database) -> Self {
        let started = |builder: Builder| builder.start().unwrap_or_else(|error| panic!("{error:#}"));
        let app = started(TestApp::builder(database).set("BAILEY_HOST_HREF", Self::HOST));
        let beside = (database == Database::Postgres).then(|| started(app.beside()));
        Self(app, beside)
    }

    fn clients(&self) -> [Client; 2] {
        [&self.0, self.1.as_ref().unwrap_or(&self.0)].map(|app| app.client_of("p", "bob", &["creator"]))
    }

    /// Nothing lies in the store that no row refers to, also not what the losers placed.
    fn assert_nothing_left(&self) {
        std::thread::sleep(Duration::from_millis(1_100));
        let audit = self.0.admin(&["store", "audit", "--older-than", "1s", "--json"]).unwrap();
        let audit: Value = serde_json::from_str(&audit).unwrap();
        assert_eq!((&audit[0]["orphans"], &audit[0]["unreadable"]), (&json!([]), &json!([])), "{audit}");
    }
}

/// Posts the same from twenty threads at once, to both in turn; what they are all answered.
fn post_twins(clients: &[Client; 2], path: &str, key: &str, body: &Value) -> Value {
    const TWINS: usize = 20;
    let (status, together) = (if path == "/v1/orders" { 202 } else { 201 }, Barrier::new(TWINS));
    let mut answers: Vec<(Option<String>, Value)> = std::thread::scope(|threads| {
        let post_one = |client: &Client| {
            together.wait();
            let mut answer = post(client, path, key, body);
            while answer.status == 503 {
                answer = post(client, path, key, body);
            }
            let answer = answer.expect(status);
            (answer.header("Location").map(str::to_owned), answer.json())
        };
        let twins: Vec<_> =
            clients.iter().cycle().take(TWINS).map(|client| threads.spawn(move || post_one(client))).collect();
        twins.into_iter().map(|twin| twin.join().unwrap()).collect()
    });
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0).1
}

fn twins_on_two_processes_make_one_resource(database: Database) {
    let pair = Pair::start(database);
    let clients = pair.clients();
    for round in 0..3 {
        for (path, body) in [("/v1/secrets", secret("twin")), ("/v1/containers", json!({ "type": "generic" }))] {
            let _ = post_twins(&clients, path, &format!("round {round}"), &body);
            assert_eq!(total(&clients[0], path), round + 1);
        }
    }
    pair.assert_nothing_left();
}

fn twins_on_two_processes_give_one_order(database: Database) {
    let pair = Pair::start(database);
    let clients = pair.clients();
    let key = json!({ "type": "key", "meta": { "algorithm": "aes", "bit_length": 256 } });
    let meta = json!({ "algorithm": "ed25519", "bit_length": 256, "passphrase": "of the twins" });
    let key_pair = json!({ "type": "asymmetric", "meta": meta });
    for round in 0..3 {
        for (kind, body) in [("key", &key), ("pair", &key_pair)] {
            let made = post_twins(&clients, "/v1/orders", &format!("{kind} {round}"), body);
            let order = ended(&clients[1], made["order_ref"].as_str().unwrap().strip_prefix(Pair::HOST).unwrap());
            assert_eq!(order["status"], "ACTIVE", "{order}");
        }
        for (path, made_by_round) in [("/v1/orders", 2), ("/v1/secrets", 4), ("/v1/containers", 1)] {
            assert_eq!(total(&clients[0], path), made_by_round * (round + 1), "{path}");
        }
    }
    pair.assert_nothing_left();
}

fn a_key_outlives_its_version_of_the_worker_key(database: Database) {
    let app = start(database);
    let client = app.client();
    let first = post(&client, "/v1/containers", "k", &json!({ "type": "generic" })).expect(201);
    let old = app.admin(&["worker-key", "list", "--json"]).unwrap();
    let old: Value = serde_json::from_str(&old).unwrap();
    let old = old[0]["id"].as_str().unwrap().to_owned();
    let new = app.admin(&["worker-key", "add"]).unwrap().trim().to_owned();
    bailey_testkit::process::until(Duration::from_secs(30), || app.admin(&["worker-key", "activate", &new])).unwrap();
    app.restart().unwrap();
    assert_eq!(post(&client, "/v1/containers", "k", &json!({ "type": "generic" })).expect(201).body, first.body);
    assert_eq!(post(&client, "/v1/containers", "k", &json!({ "type": "generic", "name": "n" })).status, 422);
    // Without the old version nobody could tell.
    let refused = app.admin(&["worker-key", "retire", &old]).unwrap_err().to_string();
    assert!(refused.contains("in use: 1"), "{refused}");
    let _ = app.sql(bailey_tests::sql::Which::Metadata, "DELETE FROM idempotency_keys");
    let _ = app.admin(&["worker-key", "retire", &old]).unwrap();
}
