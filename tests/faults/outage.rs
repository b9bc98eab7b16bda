//! PostgreSQL goes away and comes back: 503 in time, and recovery without a restart.

use std::time::{Duration, Instant};

use bailey_testkit::postgres::Postgres;
use bailey_testkit::{ports, process};
use bailey_tests::{Client, Database, TestApp, cases};
use serde_json::json;

pub const CASES: &[(&str, fn())] =
    cases![a_database_that_is_gone_is_503_and_recovers, a_start_without_a_database_waits];

fn free_address() -> String {
    format!("127.0.0.1:{}", ports::free())
}

/// The configured time-out is two seconds; a client must not wait much longer.
const IN_TIME: Duration = Duration::from_secs(6);

fn app_on(postgres: &Postgres, metrics: &str) -> TestApp {
    TestApp::builder(Database::Sqlite)
        .set("BAILEY_DATABASE__URL", &postgres.create_database().unwrap())
        .set("BAILEY_VAULT__URL", &postgres.create_database().unwrap())
        .set("BAILEY_DATABASE__TIMEOUT_SECONDS", "2")
        .set("BAILEY_VAULT__TIMEOUT_SECONDS", "2")
        .set("BAILEY_METRICS__LISTEN", metrics)
        .prepare()
        .unwrap()
}

fn store(client: &Client) -> bailey_tests::Answer {
    client.post("/v1/secrets").json(&json!({ "payload": "p", "payload_content_type": "text/plain" })).send()
}

fn assert_unavailable(app: &TestApp, client: &Client, href: Option<&str>) {
    let begin = Instant::now();
    let mut answers = vec![store(client), client.get("/v1/secrets").send()];
    answers.extend(href.map(|href| client.get(&format!("{href}/payload")).send()));
    for answer in &answers {
        assert_eq!(answer.status, 503, "{answer}");
        assert!(answer.header("retry-after").is_some(), "{answer}");
    }
    assert!(begin.elapsed() < IN_TIME * 3, "{:?} for {} answers", begin.elapsed(), answers.len());
    let health = app.anonymous().get("/healthcheck").header("Accept", "application/json").send();
    assert_eq!(health.status, 503, "{health}");
    let ready = app.anonymous().get("/readyz").send().expect(503);
    assert_eq!(ready.json()["ready"], json!(false), "{ready}");
    let _ = app.anonymous().get("/livez").send().expect(200);
}

/// Asks for the health until the store's state is this one, and no other.
fn assert_store_becomes(app: &TestApp, metrics: &str, state: &str) {
    let metrics = Client::anonymous(metrics.parse().unwrap()).get("/metrics");
    let shown = process::until(Duration::from_secs(30), || {
        let _ = app.anonymous().get("/healthcheck").try_send()?;
        let shown = String::from_utf8(metrics.try_send()?.body)?;
        anyhow::ensure!(
            shown.contains(&format!("bailey_store_state{{store=\"simple\",state=\"{state}\"}} 1")),
            "{shown}"
        );
        Ok(shown)
    });
    let ones =
        shown.unwrap().lines().filter(|line| line.starts_with("bailey_store_state") && line.ends_with(" 1")).count();
    assert_eq!(ones, 1);
}

fn recovered(client: &Client) -> String {
    let answer = process::until(Duration::from_secs(20), || {
        let answer = store(client);
        anyhow::ensure!(answer.status == 201, "{answer}");
        Ok(answer)
    });
    answer.unwrap().json()["secret_ref"].as_str().expect("a secret_ref").to_owned()
}

fn a_database_that_is_gone_is_503_and_recovers() {
    let postgres = Postgres::start().unwrap();
    let metrics = free_address();
    let app = app_on(&postgres, &metrics);
    app.restart().unwrap();
    let client = app.client();
    let href = recovered(&client);
    postgres.kill().unwrap();
    assert_store_becomes(&app, &metrics, "usable");
    assert_unavailable(&app, &client, Some(&href));
    assert_store_becomes(&app, &metrics, "unusable");
    assert_unavailable(&app, &client, Some(&href));
    postgres.restart().unwrap();
    recovered(&client);
    assert_store_becomes(&app, &metrics, "usable");
    let answer = client.get(&format!("{href}/payload")).send();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"p".as_slice()));
    assert_eq!(app.anonymous().get("/healthcheck").send().status, 200);
}

fn a_start_without_a_database_waits() {
    let postgres = Postgres::start().unwrap();
    let app = app_on(&postgres, &free_address());
    postgres.kill().unwrap();
    app.launch().unwrap();
    let client = app.client();
    assert_unavailable(&app, &client, None);
    postgres.restart().unwrap();
    recovered(&client);
}
