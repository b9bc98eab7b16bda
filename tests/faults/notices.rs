//! The webhook is told of renewed certificates: processes are killed at any time, and none goes untold.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use bailey_testkit::process;
use bailey_tests::cas::{LOCAL, PATIENCE};
use bailey_tests::hook::Hook;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, scale};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] = cases![killed_while_it_tells_it_is_told_again, killed_at_any_time_every_renewal_is_told];

/// How long after renewals are due a process is killed, in milliseconds: a renewal and telling of it take some of this.
const PAUSES: [u64; 8] = [30, 80, 130, 180, 240, 300, 400, 600];
const AT_ONCE: usize = 3;

fn start(database: Database, hook: &Hook) -> TestApp {
    // An attempt is its maker's for twice as long as the webhook may take, and half a minute.
    let file = hook.block("webhook_timeout_seconds = 1.0");
    let builder = TestApp::builder(database).file(&format!("{file}{LOCAL}"));
    let builder = builder.set("BAILEY_ORDERS__LEASE_SECONDS", "2").set("BAILEY_ORDERS__LONGEST_WAIT_SECONDS", "1");
    let app = builder.set("BAILEY_WORKER__ROTATION_INTERVAL_SECONDS", "0.1").start().unwrap();
    app.admin(&["ca", "init", "servers"]).unwrap();
    app
}

/// A container whose certificate is renewed; its href.
fn container(client: &Client, name: &str) -> String {
    let meta = json!({ "subject_alt_names": [name], "renew_before": 1, "name": name });
    let order = client.ended(&client.order("certificate", &meta)).unwrap();
    assert_eq!(order["status"], "ACTIVE", "{order}");
    order["container_ref"].as_str().unwrap().to_owned()
}

fn certificate(client: &Client, container: &str) -> Vec<u8> {
    client.part(&client.describe(container), "certificate").unwrap()
}

/// Waits until there is nothing more to tell.
fn until_told(app: &TestApp) {
    process::until(PATIENCE, || {
        let waiting = app.sql(Which::Metadata, "SELECT COUNT(*) FROM notices");
        ensure!(waiting.trim() == "0", "{} notices are still to be told", waiting.trim());
        Ok(())
    })
    .unwrap();
}

fn about(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["data"]["container_ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

fn killed_while_it_tells_it_is_told_again(database: Database) {
    let hook = Hook::start(None).unwrap();
    let app = start(database, &hook);
    let client = app.client();
    let container = container(&client, "told.example.test");
    hook.set_silent(true);
    app.make_renewals_due();
    hook.wait_for(1, PATIENCE).unwrap();
    app.kill();
    hook.set_silent(false);
    app.restart().unwrap();
    // As soon as it has said that it heard: whether that was written down, nobody knows.
    let told = hook.wait_for(2, PATIENCE).unwrap();
    app.kill();
    app.restart().unwrap();
    until_told(&app);
    assert_eq!((told[0].is_answered, told[1].is_answered), (false, true), "{told:?}");
    for told in hook.told() {
        assert_eq!((&told.id, &told.body), (&hook.told()[0].id, &hook.told()[0].body));
        assert!(container.ends_with(&about(&told.body)), "{}", told.body);
    }
}

fn killed_at_any_time_every_renewal_is_told(database: Database) {
    let hook = Hook::start(None).unwrap();
    let app = start(database, &hook);
    let client = app.client();
    let names = (0..AT_ONCE).map(|number| format!("kill-{number}.example.test"));
    let containers: Vec<_> = names.map(|name| container(&client, &name)).collect();
    for _ in 0..scale() {
        for pause in PAUSES {
            let before: Vec<_> = containers.iter().map(|container| certificate(&client, container)).collect();
            app.make_renewals_due();
            std::thread::sleep(Duration::from_millis(pause));
            app.kill();
            app.restart().unwrap();
            process::until(PATIENCE, || {
                for (container, before) in containers.iter().zip(&before) {
                    ensure!(certificate(&client, container) != *before, "{container} is not renewed");
                }
                Ok(())
            })
            .unwrap();
        }
    }
    until_told(&app);
    let told = hook.told();
    assert!(told.iter().all(|told| told.is_answered));
    // A receiver that does nothing twice for one id has heard of each renewal once.
    let heard: BTreeSet<_> = told.iter().map(|told| (told.id.clone(), told.body.clone())).collect();
    let ids: BTreeSet<_> = told.iter().map(|told| told.id.clone()).collect();
    let renewed = AT_ONCE * PAUSES.len() * scale() as usize;
    assert_eq!((heard.len(), ids.len()), (renewed, renewed), "{} were told", told.len());
    for container in &containers {
        let of_it = heard.iter().filter(|(_, body)| container.ends_with(&about(body))).count();
        assert_eq!(of_it, renewed / AT_ONCE, "{container}");
    }
}
