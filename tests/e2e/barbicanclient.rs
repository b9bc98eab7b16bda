//! python-barbicanclient: the library that services use.

use std::path::Path;

use bailey_testkit::{clients, process};
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};

pub const CASES: &[OwnCase] = cases![with_a_token, without_authentication, a_bad_token_is_refused];

fn with_a_token(database: Database) {
    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let token = app.token("service", "nova", &["creator"]).unwrap();
    run(&app, "token", &token).unwrap();
}

fn without_authentication(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    run(&app, "project", "service").unwrap();
}

fn a_bad_token_is_refused(database: Database) {
    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let error = run(&app, "token", "no.token").unwrap_err().to_string();
    assert!(error.contains("401") && error.contains("Unauthorized"), "{error}");
}

fn run(app: &TestApp, kind: &str, value: &str) -> anyhow::Result<Vec<u8>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/python/stories.py");
    let mut command = clients::command("python3")?;
    process::run(command.arg(script).arg(app.anonymous().base()).args([kind, value]))
}
