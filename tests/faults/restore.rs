//! After a restore the databases may contradict each other: nothing is destroyed on a guess.

use std::time::Duration;

use bailey_testkit::process;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] =
    cases![orphans_are_safe_until_the_restore_is_accepted, no_key_of_a_backup_is_used_after_its_restore];

const PATIENCE: Duration = Duration::from_secs(60);

fn audit(app: &TestApp, more: &[&str]) -> Value {
    std::thread::sleep(Duration::from_millis(1_100));
    let arguments = [&["store", "audit", "--older-than", "1s", "--json"], more].concat();
    let report: Value = serde_json::from_str(&app.admin(&arguments).unwrap()).unwrap();
    report[0].clone()
}

fn orphans_are_safe_until_the_restore_is_accepted(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let client = app.client();
    let body = json!({ "payload": "kept", "payload_content_type": "text/plain" });
    let hrefs: Vec<String> = (0..2)
        .map(|_| client.post("/v1/secrets").json(&body).send().json()["secret_ref"].as_str().unwrap().to_owned())
        .collect();
    app.stop().unwrap();
    // The metadata of yesterday: it knows nothing of the second secret.
    let id = app.uuid(hrefs[1].rsplit('/').next().unwrap());
    let _ = app.sql(
        Which::Metadata,
        &format!(
            "DELETE FROM writes WHERE write_id = (SELECT write_id FROM secrets WHERE id = {id});
             DELETE FROM secrets WHERE id = {id}"
        ),
    );
    app.admin(&["restore"]).unwrap();
    app.restart().unwrap();

    assert_eq!(client.get(&format!("{}/payload", hrefs[0])).send().body, b"kept");
    let refused = app.admin(&["store", "audit", "--older-than", "1s", "--repair"]).unwrap_err().to_string();
    assert!(refused.contains("accept-restore"), "{refused}");
    assert_eq!(audit(&app, &[])["orphans"].as_array().map(Vec::len), Some(1));

    let before: Value = serde_json::from_str(&app.admin(&["kek", "list", "--json"]).unwrap()).unwrap();
    assert_eq!(before[0]["state"], "decrypt-only", "{before}");
    assert_eq!(client.post("/v1/secrets").json(&body).send().status, 201);
    let after: Value = serde_json::from_str(&app.admin(&["kek", "list", "--json"]).unwrap()).unwrap();
    assert_eq!(after.as_array().map(Vec::len), Some(2), "{after}");

    app.admin(&["store", "audit", "--accept-restore"]).unwrap();
    assert_eq!(audit(&app, &["--repair"])["destroyed"], 1);
    assert_eq!(audit(&app, &[])["orphans"], json!([]));
}

/// Ids and states of a key's versions, oldest first.
fn versions(app: &TestApp, what: &str) -> Vec<(String, String)> {
    let list: Value = serde_json::from_str(&app.admin(&[what, "list", "--json"]).unwrap()).unwrap();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|entry| (text(entry, "id"), text(entry, "state"))).collect()
}

fn states(app: &TestApp, what: &str) -> Vec<String> {
    versions(app, what).into_iter().map(|(_, state)| state).collect()
}

fn no_key_of_a_backup_is_used_after_its_restore(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let client = app.client();
    let before = client.store("before");
    // A server that runs lacks what is added: it would not be able to read what another one writes.
    let left = app.admin(&["restore"]).unwrap();
    let commands: Vec<Vec<&str>> = left.lines().map(|line| line.split(' ').skip(1).collect()).collect();
    let [(_, worker), (_, mkek)] = ["worker-key", "mkek"].map(|what| versions(&app, what)[1].clone());
    assert_eq!([worker, mkek], ["added", "added"]);
    let [worker, mkek] = ["worker-key", "mkek"].map(|what| versions(&app, what)[1].0.clone());
    assert_eq!(commands[0], ["worker-key", "activate", &worker]);
    assert_eq!(commands[1], ["mkek", "--store", "simple", "activate", &mkek]);
    let refused = app.admin(&["store", "audit", "--accept-restore"]).unwrap_err().to_string();
    assert!(refused.contains(&worker) && refused.contains(&mkek), "{refused}");

    app.signal(nix::sys::signal::Signal::SIGHUP).unwrap();
    process::until(PATIENCE, || app.admin(&commands[0])).unwrap();
    let refused = app.admin(&["store", "audit", "--accept-restore"]).unwrap_err().to_string();
    assert!(!refused.contains(&worker) && refused.contains(&mkek), "{refused}");
    for _ in 0..2 {
        assert_eq!(app.admin(&["restore"]).unwrap(), "");
        for what in ["worker-key", "mkek"] {
            assert_eq!(states(&app, what), ["decrypt-only", "active"]);
        }
    }
    app.admin(&["store", "audit", "--accept-restore"]).unwrap();
    assert_eq!(client.payload(&before), b"before");
    assert_eq!(client.payload(&client.store("after")), b"after");

    // Another restore is another one, and nobody is in its way.
    app.stop().unwrap();
    assert_eq!(app.admin(&["restore"]).unwrap(), "");
    for what in ["worker-key", "mkek"] {
        assert_eq!(states(&app, what)[1..], ["decrypt-only", "active"]);
    }
    app.restart().unwrap();
    app.admin(&["store", "audit", "--accept-restore"]).unwrap();
    assert_eq!(client.payload(&before), b"before");
}
