//! Keys change hands while Bailey is killed: everything reads back, and the counts that allow giving
//! an old key up come out at zero.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bailey_testkit::process;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, scale};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] =
    cases![a_kek_is_given_up_across_kills, an_mkek_is_given_up_across_kills, a_worker_key_is_given_up];

const PATIENCE: Duration = Duration::from_secs(60);

fn start(database: Database) -> TestApp {
    TestApp::builder(database)
        .set("BAILEY_WORKER__ROTATION_INTERVAL_SECONDS", "0.2")
        .set("BAILEY_WORKER__DELETION_INTERVAL_SECONDS", "0.2")
        .start()
        .unwrap()
}

pub fn store(client: &Client, count: u32) -> Vec<String> {
    let one = |number: u32| {
        let body = json!({ "payload": format!("payload {number}"), "payload_content_type": "text/plain" });
        let answer = client.post("/v1/secrets").json(&body).send();
        assert_eq!(answer.status, 201, "{answer}");
        answer.json()["secret_ref"].as_str().expect("a secret_ref").to_owned()
    };
    (0..count).map(one).collect()
}

pub fn assert_readable(client: &Client, hrefs: &[String]) {
    for (number, href) in hrefs.iter().enumerate() {
        let answer = client.get(&format!("{href}/payload")).header("Accept", "text/plain").send();
        assert_eq!((answer.status, answer.text()), (200, format!("payload {number}")));
    }
}

fn list(app: &TestApp, what: &str) -> Result<Vec<Value>> {
    let list: Value = serde_json::from_str(&app.admin(&[what, "list", "--json"])?)?;
    Ok(list.as_array().context("a list")?.clone())
}

fn id(entry: &Value) -> String {
    entry["id"].as_str().expect("an id").to_owned()
}

/// The error of a command that must be refused.
pub fn refused(app: &TestApp, arguments: &[&str]) -> String {
    app.admin(arguments).expect_err("it must be refused").to_string()
}

/// Kills and restarts until the entry has no objects any more.
fn drained(app: &TestApp, what: &str, old: &str, mut kills: u32) {
    process::until(PATIENCE, || {
        if kills > 0 {
            kills -= 1;
            std::thread::sleep(Duration::from_millis(250));
            app.kill();
            app.restart()?;
        }
        let entries = list(app, what)?;
        let entry = entries.iter().find(|entry| entry["id"] == old).context("the old key is listed")?;
        ensure!(kills == 0 && entry["objects"] == 0, "{entry}");
        Ok(())
    })
    .unwrap();
}

fn a_kek_is_given_up_across_kills(database: Database) {
    let app = start(database);
    let client = app.client_of("project", "tester", &["admin"]);
    let hrefs = store(&client, 100 * scale());
    let old = id(&list(&app, "kek").unwrap()[0]);
    assert!(refused(&app, &["kek", "retire", &old]).contains("active"));
    app.admin(&["kek", "rotate", "--project", "project", "--reencrypt"]).unwrap();
    assert!(refused(&app, &["kek", "retire", &old]).contains("still encrypts"));
    drained(&app, "kek", &old, 3 * scale());
    assert_readable(&client, &hrefs);
    app.admin(&["kek", "retire", &old]).unwrap();
    app.restart().unwrap();
    assert_readable(&client, &hrefs);
}

/// Adds a version, activates it once the server has reported it, and returns it.
fn activate_another(app: &TestApp, what: &str) {
    let new = app.admin(&[what, "add"]).unwrap();
    process::until(PATIENCE, || app.admin(&[what, "activate", new.trim()])).unwrap();
}

fn an_mkek_is_given_up_across_kills(database: Database) {
    let app = start(database);
    let client = app.client_of("project", "tester", &["admin"]);
    let hrefs = store(&client, 20);
    for project in 0..20 * scale() {
        store(&app.client_of(&format!("other-{project}"), "tester", &["admin"]), 1);
    }
    let old = id(&list(&app, "mkek").unwrap()[0]);
    assert!(refused(&app, &["mkek", "retire", &old]).contains("active"));
    activate_another(&app, "mkek");
    drained(&app, "mkek", &old, scale());
    app.admin(&["mkek", "retire", &old]).unwrap();
    app.restart().unwrap();
    assert_readable(&client, &hrefs);
}

/// What is stored at any moment of it can be read without the old key.
fn a_worker_key_is_given_up(database: Database) {
    let app = start(database);
    let client = app.client_of("project", "tester", &["admin"]);
    let hrefs = store(&client, 50);
    let old = id(&list(&app, "worker-key").unwrap()[0]);
    assert!(refused(&app, &["worker-key", "retire", &old]).contains("active"));
    let done = AtomicBool::new(false);
    let more = std::thread::scope(|threads| {
        let writers = [(); 2].map(|()| threads.spawn(|| store_until(&client, &done)));
        activate_another(&app, "worker-key");
        drained(&app, "worker-key", &old, 1);
        process::until(PATIENCE, || app.admin(&["worker-key", "retire", &old])).unwrap();
        std::thread::sleep(Duration::from_secs(1));
        done.store(true, Ordering::Relaxed);
        writers.map(|writer| writer.join().unwrap()).concat()
    });
    app.admin(&["worker-key", "retire", &old]).unwrap();
    app.stop().unwrap();
    forget(&app, &old);
    app.restart().unwrap();
    assert_readable(&client, &hrefs);
    assert!(more.len() > 20, "too little happened: {}", more.len());
    assert!(more.iter().all(|href| client.payload(href) == b"more"));
}

/// Stores until told to stop; returns what was acknowledged.
pub fn store_until(client: &Client, done: &AtomicBool) -> Vec<String> {
    let body = json!({ "payload": "more", "payload_content_type": "text/plain" });
    let mut hrefs = Vec::new();
    while !done.load(Ordering::Relaxed) {
        match client.post("/v1/secrets").json(&body).try_send() {
            Ok(answer) if answer.status == 201 => {
                hrefs.push(answer.json()["secret_ref"].as_str().expect("a secret_ref").to_owned());
            }
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{answer}");
                assert!(answer.header("Retry-After").is_some(), "{answer}");
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    hrefs
}

/// Takes a version out of the worker's key file.
fn forget(app: &TestApp, version: &str) {
    let file = app.data_dir().join("keys/worker.key");
    let keys = std::fs::read_to_string(&file).unwrap();
    let kept: Vec<&str> = keys.lines().filter(|line| !line.starts_with(version)).collect();
    assert_eq!(kept.len() + 1, keys.lines().count());
    std::fs::write(&file, kept.join("\n") + "\n").unwrap();
}
