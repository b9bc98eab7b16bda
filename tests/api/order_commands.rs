//! `bailey order`, and what a server that stops does with what it works on.

use std::time::Duration;

use bailey_testkit::process;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases};
use serde_json::{Value, json};

use crate::orders::{UNKNOWN, aes, ended, give, order, text};

pub const CASES: &[OwnCase] = cases![operators_look_after_orders, a_stopped_server_gives_its_leases_back];

/// Keeps one slot busy for seconds, so that what comes after it waits.
fn keep_busy(client: &Client) {
    for _ in 0..4 {
        give(client, "asymmetric", json!({ "algorithm": "rsa", "bit_length": 4096 }));
    }
}

fn shown(app: &TestApp, href: &str) -> Value {
    serde_json::from_str(&app.admin(&["order", "show", id(href), "--json"]).unwrap()).unwrap()
}

fn id(href: &str) -> &str {
    href.rsplit('/').next().unwrap()
}

fn operators_look_after_orders(database: Database) {
    let app = TestApp::builder(database).set("BAILEY_ORDERS__SLOTS", "1").start().unwrap();
    let client = app.client_of("p", "tester", &["admin"]);
    keep_busy(&client);
    let plain = give(&client, "key", aes());
    let meta = json!({ "algorithm": "ec", "bit_length": 256, "passphrase": "canary" });
    let secured = give(&client, "asymmetric", meta);
    let _ = app.client_of("q", "tester", &["admin"]).post("/v1/orders").json(&order("key", aes())).send().expect(202);

    let list = |more: &[&str]| app.admin(&[&["order", "list"], more].concat()).unwrap();
    assert!(list(&["--status", "pending", "--project", "p"]).contains(id(&plain)));
    assert!(!list(&["--project", "q"]).contains(id(&plain)));
    let listed: Value = serde_json::from_str(&list(&["--json"])).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 7, "{listed}");
    let waiting = shown(&app, &secured);
    assert_eq!(
        (&waiting["status"], &waiting["has_passphrase"], &waiting["attempts"]),
        (&json!("PENDING"), &json!(true), &json!(0))
    );
    app.admin(&["order", "retry", id(&secured)]).unwrap();

    for href in [&plain, &secured] {
        app.admin(&["order", "cancel", id(href)]).unwrap();
        let order = client.describe(href);
        let told = ["status", "error_status_code", "error_reason"].map(|key| text(&order, key).to_owned());
        assert_eq!(told, ["ERROR", "500", "The order was cancelled by an operator"]);
        let again = app.admin(&["order", "cancel", id(href)]).unwrap_err();
        assert!(again.to_string().contains("is ERROR already"), "{again}");
    }
    let gone = app.admin(&["order", "retry", id(&secured)]).unwrap_err();
    assert!(gone.to_string().contains("passphrase"), "{gone}");
    let quota = |secrets: i32| {
        let service = app.client_of("s", "tester", &["key-manager:service-admin"]);
        let body = json!({ "project_quotas": { "secrets": secrets } });
        let _ = service.put("/v1/project-quotas/p").json(&body).send().expect(204);
    };
    quota(0);
    let full = app.admin(&["order", "retry", id(&plain)]).unwrap_err();
    assert!(full.to_string().contains("leaves no room"), "{full}");
    quota(-1);
    app.admin(&["order", "retry", id(&plain)]).unwrap();
    assert_eq!(ended(&client, &plain)["status"], "ACTIVE");
    let done = app.admin(&["order", "retry", id(&plain)]).unwrap_err();
    assert!(done.to_string().contains("is done"), "{done}");
    let unknown = app.admin(&["order", "show", UNKNOWN]).unwrap_err();
    assert!(unknown.to_string().contains("there is no order"), "{unknown}");
    let events = std::fs::read_to_string(app.data_dir().join("audit.log")).unwrap();
    for action in ["order cancel", "order retry", "order:process"] {
        assert!(events.contains(&format!("\"{action}\"")), "{action}");
    }
    assert!(!events.contains("canary"));
    // The passphrase of the order that was cancelled is destroyed, as a deleted secret's payload is.
    process::until(Duration::from_secs(30), || {
        anyhow::ensure!(app.sql(Which::Metadata, "SELECT COUNT(*) FROM deletions").trim() == "0");
        Ok(())
    })
    .unwrap();
    assert_eq!(app.sql(Which::Metadata, "SELECT COUNT(*) FROM order_inputs").trim(), "0");
}

fn a_stopped_server_gives_its_leases_back(database: Database) {
    let app = TestApp::builder(database).set("BAILEY_ORDERS__SLOTS", "2").start().unwrap();
    let client = app.client();
    keep_busy(&client);
    process::until(Duration::from_secs(10), || {
        anyhow::ensure!(app.admin(&["order", "list"])?.contains("leased until"));
        Ok(())
    })
    .unwrap();
    app.stop().unwrap();
    let left: Value =
        serde_json::from_str(&app.admin(&["order", "list", "--status", "PENDING", "--json"]).unwrap()).unwrap();
    for order in left.as_array().unwrap() {
        assert_eq!(order["leased_by"], Value::Null, "{order}");
    }
    app.restart().unwrap();
    for order in client.describe("/v1/orders")["orders"].as_array().unwrap() {
        assert_eq!(ended(&client, text(order, "order_ref"))["status"], "ACTIVE");
    }
    assert_eq!(client.describe("/v1/secrets")["total"], 8);
}
