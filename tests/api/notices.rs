//! `[renewal]`: whose certificate the webhook has to show to be told anything.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use bailey_testkit::certificates::Authority;
use bailey_testkit::process;
use bailey_tests::hook::Hook;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};
use serde_json::{Value, json};

use crate::certificates::CAS;

pub const CASES: &[OwnCase] = cases![only_who_is_vouched_for_is_told];

const PATIENCE: Duration = Duration::from_secs(60);
const UNTOLD: &str = "the webhook could not be told";

fn untold(app: &TestApp) -> usize {
    app.log().matches(UNTOLD).count()
}

/// How often it had not been told when this came into force.
fn configure(app: &TestApp, hook: &Hook, authority: Option<&Path>) -> usize {
    app.stop().unwrap();
    let before = untold(app);
    let line = authority.map(|file| format!("webhook_ca_file = \"{}\"", file.display())).unwrap_or_default();
    app.write_file(&format!("{}{CAS}", hook.block(&line)));
    app.restart().unwrap();
    before
}

fn only_who_is_vouched_for_is_told(database: Database) {
    let (own, other) = (Authority::new("the webhook's").unwrap(), Authority::new("somebody's").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let files = [("own.pem", &own), ("other.pem", &other)].map(|(name, authority)| {
        let file = folder.path().join(name);
        std::fs::write(&file, authority.pem()).unwrap();
        file
    });
    let hook = Hook::start(Some(&own.issue_to_server("webhook").unwrap())).unwrap();
    let builder = TestApp::builder(database).file("# written below\n");
    let app = builder.set("BAILEY_WORKER__ROTATION_INTERVAL_SECONDS", "0.1").prepare().unwrap();
    let mut before = configure(&app, &hook, None);
    app.admin(&["ca", "init", "first"]).unwrap();
    let client = app.client();
    let cas = client.describe("/v1/cas?plugin_ca_id=first");
    let ca = client.describe(cas["cas"][0].as_str().unwrap());
    let meta = json!({ "ca_id": ca["ca_id"], "subject_alt_names": ["www.example.test"], "renew_before": 1 });
    let order = client.ended(&client.order("certificate", &meta)).unwrap();
    app.make_renewals_due();

    // The system's authorities don't know it, and another one doesn't either.
    for authority in [None, Some(files[1].as_path())] {
        if authority.is_some() {
            before = configure(&app, &hook, authority);
        }
        process::until(PATIENCE, || {
            ensure!(untold(&app) > before, "the webhook was not asked: {}", app.log());
            Ok(())
        })
        .unwrap();
        assert!(hook.told().is_empty(), "{:?}", hook.told());
    }
    let why = app.log().lines().filter(|line| line.contains(UNTOLD)).map(str::to_lowercase).collect::<Vec<_>>();
    assert!(why.iter().all(|line| line.contains("certificate")), "{why:?}");
    assert_eq!(app.sql(Which::Metadata, "SELECT COUNT(*) FROM notices").trim(), "1");

    let _ = configure(&app, &hook, Some(&files[0]));
    let told = hook.wait_for(1, PATIENCE).unwrap();
    let body: Value = serde_json::from_str(&told[0].body).unwrap();
    let container = order["container_ref"].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(body["data"]["container_ref"].as_str().unwrap().ends_with(container), "{body}");
    assert_eq!(told.len(), 1);
}
