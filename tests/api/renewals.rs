//! Renewals as clients and operators meet them: each order's own certificate, and a try that failed.

use std::time::Duration;

use bailey_testkit::process;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases};
use serde_json::{Value, json};

use crate::certificates::{CAS, listed, text};
use crate::orders::ended;
use crate::revocation::{serial, told};

pub const CASES: &[OwnCase] =
    cases![each_order_has_its_own_certificate_revoked, a_try_that_failed_is_retried_or_another_is];

const DUE: &str = "due_at = (SELECT MIN(created_at) FROM orders)";

/// A server that renews at once what is due, and the first order, of which it renews the certificate.
fn start(database: Database) -> (TestApp, Client, Value) {
    let app = TestApp::builder(database).file(CAS).set("BAILEY_WORKER__ROTATION_INTERVAL_SECONDS", "0.1");
    let app = app.start().unwrap_or_else(|error| panic!("{error:#}"));
    app.admin(&["ca", "init", "first"]).unwrap_or_else(|error| panic!("{error:#}"));
    let client = app.client();
    let ca = &listed(&client, "/v1/cas")[0];
    let meta = json!({ "ca_id": ca, "subject_alt_names": ["www.example.test"], "renew_before": 1 });
    let order = client.post("/v1/orders").json(&json!({ "type": "certificate", "meta": meta })).send().expect(202);
    let order = ended(&client, &order.string("order_ref"));
    assert_eq!(order["status"], "ACTIVE", "{order}");
    (app, client, order)
}

/// The orders once there are so many, and all have ended; oldest first.
fn orders(client: &Client, count: usize) -> Vec<Value> {
    let mut orders = Vec::new();
    let are_there = || {
        let list = client.describe("/v1/orders");
        orders = list["orders"].as_array().cloned().unwrap_or_default();
        anyhow::ensure!(orders.len() == count && orders.iter().all(|order| order["status"] != "PENDING"), "{list}");
        Ok(())
    };
    process::until(Duration::from_secs(30), are_there).unwrap_or_else(|error| panic!("{error:#}"));
    orders
}

fn renewals(app: &TestApp) -> String {
    app.sql(Which::Metadata, "SELECT COUNT(*) FROM renewals").trim().to_owned()
}

fn revoke(client: &Client, order: &Value) {
    let path = format!("{}/revoke", text(&order["order_ref"]));
    let _ = client.post(&path).json(&json!({ "reason": "superseded" })).send().expect(204);
}

fn each_order_has_its_own_certificate_revoked(database: Database) {
    let (app, client, first) = start(database);
    let before = serial(&client, &first);
    let _ = app.sql(Which::Metadata, &format!("UPDATE renewals SET {DUE}"));
    let second = orders(&client, 2).remove(1);
    assert_eq!((&second["status"], &second["container_ref"]), (&json!("ACTIVE"), &first["container_ref"]));
    let after = serial(&client, &second);
    assert_ne!(before, after);

    revoke(&client, &first);
    let list = told(&app);
    assert!(list.contains(&before) && !list.contains(&after), "{list}");
    assert_eq!(renewals(&app), "1");
    revoke(&client, &second);
    revoke(&client, &first);
    assert_eq!(renewals(&app), "0");
    // A CRL is signed anew a minute after the last one; the book says it at once.
    assert_eq!(app.sql(Which::Metadata, "SELECT COUNT(*) FROM ca_revocations").trim(), "2");
}

fn a_try_that_failed_is_retried_or_another_is(database: Database) {
    let (app, client, first) = start(database);
    let mistake = |from: &str, to: &str| {
        for table in ["renewals", "orders"] {
            let replaced = format!("certificate = REPLACE(certificate, '{from}', '{to}')");
            let _ =
                app.sql(Which::Metadata, &format!("UPDATE {table} SET {replaced} WHERE certificate LIKE '%renews%'"));
        }
    };
    let fail = || {
        let _ = app.sql(Which::Metadata, &format!("UPDATE renewals SET {DUE}"));
        let waits = "SELECT COUNT(*) FROM renewals WHERE order_id IS NULL AND failed_order_id IS NOT NULL \
                     AND due_at > (SELECT MAX(created_at) FROM orders)";
        let is_put_off = || {
            anyhow::ensure!(app.sql(Which::Metadata, waits).trim() == "1");
            Ok(())
        };
        process::until(Duration::from_secs(30), is_put_off).unwrap_or_else(|error| panic!("{error:#}"));
        orders(&client, 2).remove(1)
    };
    let retry = |order: &Value| {
        let href = text(&order["order_ref"]);
        app.admin(&["order", "retry", href.rsplit('/').next().expect("an id")])
    };
    mistake("www.example.test", "www.elsewhere.test");
    let (one, other) = (fail(), fail());
    assert_ne!(one["order_ref"], other["order_ref"]);
    // The second has taken the place of the first.
    assert_eq!((&one["status"], &other["status"]), (&json!("ERROR"), &json!("ERROR")));
    let _ = client.get(&text(&one["order_ref"])).send().expect(404);

    mistake("www.elsewhere.test", "www.example.test");
    let before = serial(&client, &first);
    retry(&other).unwrap();
    let done = ended(&client, &text(&other["order_ref"]));
    assert_eq!(done["status"], "ACTIVE", "{done}");
    assert_ne!(serial(&client, &first), before);

    // Revoked, it isn't renewed any more, and retried neither.
    mistake("www.example.test", "www.elsewhere.test");
    let _ = app.sql(Which::Metadata, &format!("UPDATE renewals SET {DUE}"));
    let failed = orders(&client, 3).remove(2);
    revoke(&client, &done);
    let refused = retry(&failed).unwrap_err();
    assert!(refused.to_string().contains("is not what renews its certificate any more"), "{refused}");
    assert_eq!(ended(&client, &text(&failed["order_ref"]))["status"], "ERROR");
}
