//! openstacksdk: the library that knows quotas and secret stores too.

use std::path::Path;

use bailey_testkit::{clients, process};
use bailey_tests::app::TWO_STORES;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};

pub const CASES: &[OwnCase] = cases![every_resource];

fn every_resource(database: Database) {
    let app = TestApp::builder(database).with_tokens().file(TWO_STORES).start().unwrap();
    let token = app.token("service", "operator", &["admin", "key-manager:service-admin"]).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/python/sdk_stories.py");
    let mut command = clients::command("python3").unwrap();
    let _ = process::run(command.arg(script).arg(app.anonymous().base()).args([&token, "service"])).unwrap();
}
