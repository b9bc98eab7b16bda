//! Certificates for keys that are kept already: whose they may be.

use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, cases};
use serde_json::{Value, json};

use crate::certificates::{start_with_cas, text};
use crate::orders::ended;

pub const CASES: &[OwnCase] = cases![nobody_uses_a_key_or_a_passphrase_that_they_may_not_read];

/// The hrefs of a key pair's container, and of its private key and that one's passphrase.
fn pair(client: &Client) -> (String, [String; 2]) {
    let meta = json!({ "algorithm": "ec", "bit_length": 256, "passphrase": "open" });
    let order = json!({ "type": "asymmetric", "meta": meta });
    let order = client.post("/v1/orders").json(&order).send().expect(202).string("order_ref");
    let container = text(&ended(client, &order)["container_ref"]);
    let held = client.describe(&container);
    let part = |name: &str| {
        let parts = held["secret_refs"].as_array().expect("parts");
        text(&parts.iter().find(|part| part["name"] == name).expect("a part")["secret_ref"])
    };
    let parts = ["private_key", "private_key_passphrase"].map(part);
    (container, parts)
}

fn nobody_uses_a_key_or_a_passphrase_that_they_may_not_read(database: Database) {
    let app = start_with_cas(database);
    let (ann, bob) = (app.client_of("p", "ann", &["creator"]), app.client_of("p", "bob", &["creator"]));
    let (container, parts) = pair(&ann);
    let first = &crate::certificates::listed(&ann, "/v1/cas")[0];
    let order = |client: &Client| {
        let meta = json!({ "request_type": "stored-key", "container_ref": container, "ca_id": first,
            "subject_alt_names": ["www.example.test"] });
        client.post("/v1/orders").json(&json!({ "type": "certificate", "meta": meta })).send()
    };
    let done = |client: &Client| -> Value { ended(client, &order(client).expect(202).string("order_ref")) };
    assert_eq!(done(&bob)["status"], "ACTIVE");
    for part in &parts {
        let acl = format!("{part}/acl");
        let private = json!({ "read": { "project-access": false } });
        let _ = ann.put(&acl).json(&private).send().expect(200);
        let _ = order(&bob).expect(403);
        assert_eq!(done(&ann)["status"], "ACTIVE");
        let _ = ann.delete(&acl).send().expect(200);
    }
    assert_eq!(done(&bob)["status"], "ACTIVE");
}
