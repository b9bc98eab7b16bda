//! python-barbicanclient: the library that services use.

use std::path::Path;

use bailey_testkit::{clients, process};
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};

/// What is made is the same whatever it is told in.
pub const ONCE: &[(&str, fn())] = cases![python_reads_every_key];

pub const CASES: &[OwnCase] =
    cases![with_a_token, without_authentication, several_callers, orders, a_bad_token_is_refused];

/// Scripts whose stories need one caller, of whatever kind.
const SCRIPTS: [&str; 2] = ["secret_stories.py", "container_stories.py"];

fn with_a_token(database: Database) {
    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let token = app.token("service", "nova", &["creator"]).unwrap();
    for script in SCRIPTS {
        run(&app, script, "token", &[&token]).unwrap();
    }
}

fn without_authentication(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    for script in SCRIPTS {
        run(&app, script, "project", &["service"]).unwrap();
    }
}

fn several_callers(database: Database) {
    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let callers = [("here", "owner"), ("here", "colleague"), ("elsewhere", "stranger")];
    let tokens = callers.map(|(project, user)| app.token(project, user, &["creator"]).unwrap());
    run(&app, "access_stories.py", "token", &tokens.each_ref().map(String::as_str)).unwrap();
}

/// An admin's, because nobody else deletes orders.
fn orders(database: Database) {
    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let token = app.token("service", "heat", &["admin"]).unwrap();
    run(&app, "order_stories.py", "token", &[&token]).unwrap();
}

fn python_reads_every_key() {
    let app = TestApp::builder(Database::Sqlite).start().unwrap();
    run(&app, "key_stories.py", "project", &["service"]).unwrap();
}

fn a_bad_token_is_refused(database: Database) {
    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let error = run(&app, "secret_stories.py", "token", &["no.token"]).unwrap_err().to_string();
    assert!(error.contains("401") && error.contains("Unauthorized"), "{error}");
}

fn run(app: &TestApp, script: &str, kind: &str, callers: &[&str]) -> anyhow::Result<Vec<u8>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/python").join(script);
    let mut command = clients::command("python3")?;
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    process::run(command.arg(script).arg(app.anonymous().base()).arg(kind).args(callers))
}
