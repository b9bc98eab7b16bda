//! Revoking what orders have made, and what everybody is told of it.

use bailey_testkit::process;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases};
use serde_json::{Value, json};

use crate::certificates::{CAS, listed, ordered, start_with_cas, text};

pub const CASES: &[OwnCase] = cases![
    of_several_reasons_the_first_stands,
    only_whoever_may_delete_an_order_revokes,
    only_certificates_are_revoked,
    what_was_taken_out_of_its_container_is_revoked_all_the_same,
    switched_off_nobody_is_told,
];

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// An order's certificate in the first CA, and where it is revoked.
fn certificate(client: &Client) -> (Value, String) {
    let first = listed(client, "/v1/cas").remove(0);
    let order = ordered(client, Some(&first));
    assert_eq!(order["status"], "ACTIVE", "{order}");
    let revoke = format!("{}/revoke", text(&order["order_ref"]));
    (order, revoke)
}

/// Where the first CA's list is.
fn list(app: &TestApp) -> String {
    let first = listed(&app.client(), "/v1/cas").remove(0);
    format!("/crl/{}/1", first.rsplit('/').next().expect("an id"))
}

fn openssl(arguments: &[&str], input: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), input).unwrap();
    let mut command = process::command("openssl");
    String::from_utf8(process::run(command.args(arguments).arg("-in").arg(file.path())).unwrap()).unwrap()
}

/// What the list says, for people.
pub fn told(app: &TestApp) -> String {
    let list = app.anonymous().get(&list(app)).send().expect(200);
    assert_eq!(list.header("content-type"), Some("application/pkix-crl"));
    openssl(&["crl", "-inform", "DER", "-noout", "-text"], &list.body)
}

/// The certificate that an order's container has now.
fn certificate_ref(client: &Client, order: &Value) -> String {
    let container = client.describe(&text(&order["container_ref"]));
    let parts = container["secret_refs"].as_array().expect("parts");
    let part = parts.iter().find(|part| part["name"] == "certificate").expect("a certificate");
    text(&part["secret_ref"])
}

pub fn serial(client: &Client, order: &Value) -> String {
    let pem = client.payload(&certificate_ref(client, order));
    let serial = openssl(&["x509", "-noout", "-serial"], &pem);
    serial.trim().strip_prefix("serial=").expect("a serial number").to_owned()
}

fn of_several_reasons_the_first_stands(database: Database) {
    let app = start_with_cas(database);
    let client = app.client();
    let (order, revoke) = certificate(&client);
    let bad = client.post(&revoke).json(&json!({ "reason": "boredom" })).send().expect(400);
    assert!(bad.string("description").contains("'reason'"), "{bad}");
    for reason in ["keyCompromise", "superseded"] {
        let revoked = client.post(&revoke).json(&json!({ "reason": reason })).send().expect(204);
        assert!(revoked.body.is_empty());
    }
    let told = told(&app);
    assert_eq!(told.matches("Serial Number:").count(), 1, "{told}");
    assert!(told.contains(&serial(&client, &order)) && told.contains("Key Compromise"), "{told}");
}

fn only_whoever_may_delete_an_order_revokes(database: Database) {
    let app = start_with_cas(database);
    let owner = app.client_of("p", "ann", &["admin"]);
    let (_, revoke) = certificate(&owner);
    let body = json!({ "reason": "keyCompromise" });
    for (project, role, status) in [("q", "admin", 404), ("p", "observer", 403), ("p", "creator", 403)] {
        let _ = app.client_of(project, "bob", &[role]).post(&revoke).json(&body).send().expect(status);
    }
    assert!(told(&app).contains("No Revoked Certificates"));
    let _ = owner.post(&revoke).json(&json!({})).send().expect(204);
}

fn only_certificates_are_revoked(database: Database) {
    let app = start_with_cas(database);
    let client = app.client();
    let key = json!({ "type": "key", "meta": { "algorithm": "aes", "bit_length": 256 } });
    let key = client.post("/v1/orders").json(&key).send().expect(202).string("order_ref");
    let (order, revoke) = certificate(&client);
    let _ = client.delete(&certificate_ref(&client, &order)).send().expect(204);
    for path in [format!("{key}/revoke"), format!("/v1/orders/{UNKNOWN}/revoke"), revoke] {
        let _ = client.post(&path).json(&json!({})).send().expect(404);
    }
    for path in [
        format!("/crl/{UNKNOWN}/1"),
        format!("{}7", list(&app)),
        "/crl/junk/1".into(),
        format!("/ocsp/{UNKNOWN}/MAMCAQA="),
    ] {
        let _ = app.anonymous().get(&path).send().expect(404);
    }
}

/// An order proves what it made, also when nothing else is left of that.
fn what_was_taken_out_of_its_container_is_revoked_all_the_same(database: Database) {
    let app = start_with_cas(database);
    let client = app.client();
    let (order, revoke) = certificate(&client);
    let serial = serial(&client, &order);
    let _ = client.delete(&text(&order["container_ref"])).send().expect(204);
    let _ = client.post(&revoke).json(&json!({})).send().expect(204);
    assert!(told(&app).contains(&serial));
}

fn switched_off_nobody_is_told(database: Database) {
    let app = start_with_cas(database);
    let client = app.client();
    let (_, revoke) = certificate(&client);
    let list = list(&app);
    let ocsp = list.replace("/crl/", "/ocsp/").replace("/1", "/MAMCAQA=");
    let _ = app.anonymous().get(&list).send().expect(200);
    let _ = app.anonymous().get(&ocsp).send().expect(200);
    app.stop().unwrap();
    app.write_file(&format!("[api]\ncertificates = \"off\"\n{CAS}"));
    app.restart().unwrap();
    let _ = client.post(&revoke).json(&json!({})).send().expect(404);
    let _ = app.anonymous().get(&list).send().expect(404);
    let _ = app.anonymous().get(&ocsp).send().expect(404);
}
