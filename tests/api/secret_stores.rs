//! `/v1/secret-stores`: which stores there are, and which one a project prefers.

use bailey_tests::app::TWO_STORES;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Answer, Client, Database, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] = cases![
    one_store_is_no_choice,
    several_stores_are_described,
    payloads_go_to_the_preferred_store,
    a_preferred_store_can_not_be_taken_away,
    a_store_that_fails_has_no_stand_in,
];

pub const ONE_STORE: &str = r#"
    [[stores]]
    name = "first"
    kind = "simple"
    default = true
"#;
const UNKNOWN: &str = "/v1/secret-stores/00000000-0000-4000-8000-000000000000";

pub fn start(database: Database, file: &str) -> TestApp {
    TestApp::builder(database).file(file).start().unwrap_or_else(|error| panic!("{error:#}"))
}

/// The store with this name.
pub fn store(client: &Client, name: &str) -> Value {
    let stores = client.get("/v1/secret-stores").send().expect(200).json();
    let stores = stores["secret_stores"].as_array().expect("stores").clone();
    stores.into_iter().find(|store| store["name"] == name).unwrap_or_else(|| panic!("no store {name}"))
}

pub fn href(store: &Value) -> &str {
    store["secret_store_ref"].as_str().expect("an href")
}

fn prefer(client: &Client, name: &str) {
    let answer = client.post(&format!("{}/preferred", href(&store(client, name)))).send().expect(204);
    assert!(answer.body.is_empty(), "{answer}");
}

/// The name of the store that the secret's payload is recorded in.
pub fn recorded(app: &TestApp, secret: &str) -> String {
    let id = app.uuid(secret.rsplit('/').next().unwrap_or_default());
    let query = format!("SELECT t.name FROM secrets s JOIN stores t ON t.id = s.store_id WHERE s.id = {id}");
    app.sql(Which::Metadata, &query).trim().to_owned()
}

/// Every GET, and whatever concerns one store.
fn ask_everything(client: &Client) -> Vec<Answer> {
    let gets = ["", "/global-default", "/preferred"].map(|path| client.get(&format!("/v1/secret-stores{path}")).send());
    let preferred = format!("{UNKNOWN}/preferred");
    let others = [
        client.get(UNKNOWN),
        client.put(UNKNOWN),
        client.post(&preferred),
        client.delete(&preferred),
        client.get(&preferred),
        client.get(&format!("{UNKNOWN}/other")),
        client.get("/v1/secret-stores/junk"),
    ];
    gets.into_iter().chain(others.map(|request| request.send())).collect()
}

fn one_store_is_no_choice(database: Database) {
    let app = start(database, ONE_STORE);
    for role in ["admin", "creator", "observer", "audit"] {
        for answer in ask_everything(&app.client_of("p", "u", &[role])) {
            assert_eq!(answer.status, 404, "{answer}");
        }
    }
    let _ = app.client_of("p", "u", &["member"]).get("/v1/secret-stores").send().expect(403);

    app.write_file(&format!("[api]\nsecret_stores = \"on\"\n{ONE_STORE}"));
    app.restart().unwrap();
    let client = app.client();
    let only = store(&client, "first");
    assert_eq!(client.describe("/v1/secret-stores/global-default"), only);
    prefer(&client, "first");
    assert_eq!(client.describe("/v1/secret-stores/preferred"), only);
}

fn several_stores_are_described(database: Database) {
    let app = start(database, TWO_STORES);
    let client = app.client();
    let list = client.describe("/v1/secret-stores");
    assert_eq!(list.as_object().map(|list| list.len()), Some(1), "{list}");
    let names: Vec<_> = list["secret_stores"].as_array().unwrap().iter().map(|store| &store["name"]).collect();
    assert_eq!(names, ["first", "second"]);
    for (name, is_default) in [("first", true), ("second", false)] {
        let store = store(&client, name);
        let (href, created) = (href(&store).to_owned(), store["created"].clone());
        assert!(href.starts_with(&format!("{}/v1/secret-stores/", client.base())), "{href}");
        assert!(created.as_str().is_some_and(|time| time.starts_with("20")), "{created}");
        let expected = json!({
            "name": name, "status": "ACTIVE", "created": created, "updated": created,
            "secret_store_plugin": "store_crypto", "crypto_plugin": "simple_crypto",
            "global_default": is_default, "secret_store_ref": href,
        });
        assert_eq!(store, expected);
        assert_eq!(client.describe(&href), expected);
        for request in [client.put(&href), client.get(&format!("{href}/preferred")), client.get(&format!("{href}/x"))] {
            let _ = request.send().expect(405);
        }
    }
    assert_eq!(client.describe("/v1/secret-stores/global-default"), store(&client, "first"));
    for answer in ask_everything(&client).into_iter().skip(2) {
        assert_eq!(answer.status, 404, "{answer}");
    }
    let _ = client.post("/v1/secret-stores").json(&json!({})).send().expect(405);
    let _ = app.anonymous().get("/v1/secret-stores").send().expect(400);
}

fn payloads_go_to_the_preferred_store(database: Database) {
    let app = start(database, TWO_STORES);
    let (client, other) = (app.client(), app.client());
    let second = href(&store(&client, "second")).to_owned();
    let (early, two_step) = (client.store("early"), client.create(&json!({})));
    let _ = client.delete(&format!("{second}/preferred")).send().expect(404);
    prefer(&client, "first");
    prefer(&client, "second");
    assert_eq!(client.describe("/v1/secret-stores/preferred")["name"], "second");
    let _ = other.get("/v1/secret-stores/preferred").send().expect(404);

    let late = client.store("late");
    let _ = client.put_payload(&two_step, "text/plain", b"two-step").expect(204);
    let elsewhere = other.store("elsewhere");
    for (secret, store) in [(&early, "first"), (&late, "second"), (&two_step, "second"), (&elsewhere, "first")] {
        assert_eq!(recorded(&app, secret), store, "{secret}");
    }
    for (secret, payload) in [(&early, "early"), (&late, "late"), (&two_step, "two-step")] {
        assert_eq!(client.payload(secret), payload.as_bytes());
    }

    // Whichever store is named.
    let first = href(&store(&client, "first")).to_owned();
    let cleared = client.delete(&format!("{first}/preferred")).send().expect(204);
    assert!(cleared.body.is_empty(), "{cleared}");
    let _ = client.get("/v1/secret-stores/preferred").send().expect(404);
    assert_eq!(recorded(&app, &client.store("again")), "first");
    assert_eq!(client.payload(&late), b"late");
    let _ = client.delete(&late).send().expect(204);

    for (role, status) in [("creator", 403), ("observer", 403), ("key-manager:service-admin", 403), ("admin", 204)] {
        let preferred = client.with_roles(role).post(&format!("{second}/preferred")).send();
        assert_eq!(preferred.status, status, "{role}: {preferred}");
    }
}

fn a_preferred_store_can_not_be_taken_away(database: Database) {
    let app = start(database, TWO_STORES);
    let client = app.client();
    let second = href(&store(&client, "second")).to_owned();
    prefer(&client, "second");
    app.stop().unwrap();
    app.write_file(ONE_STORE);
    let refusal = app.restart().map(|()| app.log()).unwrap_or_else(|error| format!("{error:#}"));
    let id = second.rsplit('/').next().unwrap();
    assert!(refusal.contains("the store `second` is not configured any more") && refusal.contains(id), "{refusal}");
    assert!(refusal.contains("1 project(s) prefer it"), "{refusal}");
    app.stop().unwrap();

    app.write_file(TWO_STORES);
    app.restart().unwrap();
    let _ = client.delete(&format!("{second}/preferred")).send().expect(204);
    app.stop().unwrap();
    app.write_file(ONE_STORE);
    app.restart().unwrap();
    assert_eq!(recorded(&app, &client.store("here")), "first");
    let _ = client.get(&second).send().expect(404);
}

/// A worker that lacks the preferred store, as after another one was configured with more.
fn a_store_that_fails_has_no_stand_in(database: Database) {
    let app = start(database, TWO_STORES);
    let client = app.client();
    prefer(&client, "second");
    let _ = app.sql(Which::Metadata, &format!("UPDATE project_stores SET store_id = {}", app.uuid(NOWHERE)));
    let refused = client.post("/v1/secrets").json(&json!({ "payload": "p", "type": "opaque" })).send().expect(400);
    assert!(refused.string("description").contains("preferred secret store is not configured"), "{refused}");
    let _ = client.get("/v1/secret-stores/preferred").send().expect(404);
    let secret = client.create(&json!({}));
    let _ = client.put_payload(&secret, "text/plain", b"late").expect(400);
    prefer(&client, "first");
    let _ = client.put_payload(&secret, "text/plain", b"late").expect(204);
}

const NOWHERE: &str = "00000000-0000-4000-8000-000000000001";
