//! After a restore the databases may contradict each other: nothing is destroyed on a guess.

use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] = cases![orphans_are_safe_until_the_restore_is_accepted];

fn audit(app: &TestApp, more: &[&str]) -> Value {
    std::thread::sleep(std::time::Duration::from_millis(1_100));
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
