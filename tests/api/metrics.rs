//! What Prometheus is told: exactly what is documented, without any id.

use std::net::SocketAddr;
use std::time::Duration;

use bailey_testkit::{ports, process};
use bailey_tests::collector::Collector;
use bailey_tests::scrape::{documented, metrics, scrape, value};
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, Store, TestApp, cases};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::certificates::CAS;

pub const CASES: &[OwnCase] = cases![what_is_exported_is_what_is_documented, what_is_counted_is_what_happened];

const PATIENCE: Duration = Duration::from_secs(30);

/// A Bailey whose background work doesn't let one wait, and where its metrics are.
fn start(database: Database, traces: &str) -> (TestApp, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let builder = TestApp::builder(database).with_tokens().store(Store::Simple);
    let builder = builder
        .set("BAILEY_METRICS__LISTEN", &address.to_string())
        .set("BAILEY_TRACES__ENDPOINT", traces)
        .set("BAILEY_WORKER__ROTATION_INTERVAL_SECONDS", "0.1")
        .set("BAILEY_WORKER__DELETION_INTERVAL_SECONDS", "0.1")
        .file(CAS);
    (builder.start().unwrap_or_else(|error| panic!("{error:#}")), address)
}

/// Something of everything: secrets made, read, missed and deleted, a key pair, a refusal.
fn story(client: &Client) {
    let href = client.store("hello");
    for _ in 0..3 {
        assert_eq!(client.payload(&href), b"hello");
    }
    let _ = client.get(&format!("/v1/secrets/{}", Uuid::new_v4())).send().expect(404);
    let _ = client.get("/v1/secrets").header("X-Auth-Token", "nobody").send().expect(401);
    let _ = client.delete(&href).send().expect(204);
    order(client, &json!({ "type": "asymmetric", "meta": { "algorithm": "ec", "bit_length": 256 } }));
}

fn order(client: &Client, order: &Value) {
    let order = client.post("/v1/orders").json(order).send().expect(202);
    let href = order.string("order_ref");
    let active = process::until(PATIENCE, || {
        let order = client.describe(&href);
        anyhow::ensure!(order["status"] == "ACTIVE", "{order}");
        Ok(())
    });
    active.unwrap();
}

fn what_is_exported_is_what_is_documented(database: Database) {
    let collector = Collector::start();
    let (app, address) = start(database, &collector.endpoint());
    let client = app.client();
    story(&client);
    app.admin(&["ca", "init", "first"]).unwrap_or_else(|error| panic!("{error:#}"));
    let ca = &client.describe("/v1/cas")["cas"][0];
    order(&client, &json!({ "type": "certificate", "meta": { "ca_id": ca, "subject_dn": "CN=a.example.test" } }));
    let is_there = |from: &str| match from {
        "any" | "api" | "worker" | "worker with a CA" | "any with traces on" => true,
        "worker on SQLite" => database == Database::Sqlite,
        "any over NATS" | "worker with Keystone" => false,
        other => panic!("`{other}` exports a metric"),
    };
    let expected: Vec<_> = documented()
        .into_iter()
        .filter_map(|(name, (metric, from))| is_there(&from).then_some((name, metric)))
        .collect();
    let exported = process::until(PATIENCE, || {
        let text = scrape(address);
        let exported: Vec<_> = metrics(&text).into_iter().collect();
        let missing: Vec<_> = expected.iter().filter(|metric| !exported.contains(metric)).collect();
        let unknown: Vec<_> = exported.iter().filter(|metric| !expected.contains(metric)).collect();
        anyhow::ensure!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, not documented {unknown:?}");
        Ok(text)
    });
    let text = exported.unwrap_or_else(|error| panic!("{error:#}"));
    let words = text.split(|c: char| !(c.is_ascii_hexdigit() || c == '-'));
    let ids: Vec<_> = words.filter(|word| Uuid::try_parse(word).is_ok()).collect();
    assert!(ids.is_empty(), "{ids:?}");
}

fn what_is_counted_is_what_happened(database: Database) {
    let (app, address) = start(database, "");
    story(&app.client());
    let text = scrape(address);
    let is = |series: &str, expected: f64| assert_eq!(value(&text, series), Some(expected), "{series}");
    is(r#"bailey_http_requests_total{route="/v1/secrets",method="POST",status="201"}"#, 1.0);
    is(r#"bailey_http_requests_total{route="/v1/secrets/{id}/payload",method="GET",status="200"}"#, 3.0);
    is(r#"bailey_use_cases_total{request="secret.get.v1",outcome="not_found"}"#, 1.0);
    is(r#"bailey_use_cases_total{request="secret.list.v1",outcome="unauthenticated"}"#, 1.0);
    is(r#"bailey_use_case_seconds_count{request="secret.store.v1"}"#, 1.0);
    is(r#"bailey_queue_refusals_total{reason="full"}"#, 0.0);
    is("bailey_queue_in_flight", 0.0);
    is(r#"bailey_order_seconds_count{type="asymmetric"}"#, 1.0);
    is(r#"bailey_ciphertext_cache_lookups_total{store="simple",outcome="miss"}"#, 1.0);
    is(r#"bailey_ciphertext_cache_lookups_total{store="simple",outcome="hit"}"#, 2.0);
    is(r#"bailey_store_calls_total{store="simple",operation="retrieve",outcome="ok"}"#, 3.0);
    is(r#"bailey_database_failures_total{database="vault",operation="write"}"#, 0.0);
    is("bailey_orders_stuck", 0.0);
    let most = |series: &str, most: f64| {
        let value = value(&text, series).unwrap_or_else(|| panic!("no {series}"));
        assert!(value > 0.0 && value < most, "{series} is {value}");
    };
    // One block is reserved of each.
    most("bailey_worker_key_used_ratio", 0.01);
    most("process_open_fds", 1_000.0);
    most("bailey_queue_wait_seconds_sum", 5.0);
    most(r#"bailey_database_seconds_sum{database="metadata",operation="read"}"#, 60.0);
    most(r#"bailey_token_cache_lookups_total{method="static-token",outcome="hit"}"#, 1_000.0);
    // Background work may wait for a moment.
    let waiting = process::until(PATIENCE, || {
        let waiting = value(&scrape(address), r#"bailey_database_waiting{database="metadata"}"#);
        anyhow::ensure!(waiting == Some(0.0), "{waiting:?}");
        Ok(())
    });
    waiting.unwrap();
    // Looked at every ten seconds.
    let used = process::until(PATIENCE, || {
        let used = value(&scrape(address), r#"bailey_mkek_used_ratio{store="simple"}"#).unwrap_or_default();
        anyhow::ensure!(used > 0.0, "{used}");
        Ok(used)
    });
    assert!(used.unwrap() < 0.01);
}
