//! Schemathesis: requests made from our own OpenAPI document, good and bad ones. The document is
//! held to its word: no status that it doesn't name, and no fault.

use std::process::ExitStatus;
use std::time::Duration;

use bailey_testkit::clients;
use bailey_testkit::process::Process;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases, scale};

pub const CASES: &[OwnCase] = cases![no_answer_is_a_fault_or_undocumented];

fn no_answer_is_a_fault_or_undocumented(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let seconds = 40 * scale();
    let output = folder.path().join("output");
    let mut command = clients::command("schemathesis").unwrap();
    command.current_dir(folder.path()).args(["run", &format!("{}/openapi.json", app.anonymous().base())]);
    command.args(["--checks", "not_a_server_error,status_code_conformance", "--max-time", &seconds.to_string()]);
    command.args(["--generation-deterministic", "--no-color"]);
    command.args(["--header", "X-Project-Id: schemathesis", "--header", "X-User-Id: schemathesis"]);
    let file = std::fs::File::create(&output).unwrap();
    command.stdout(file.try_clone().unwrap()).stderr(file);

    let limit = Duration::from_secs(u64::from(seconds) * 3 + 60);
    let status = Process::start(command).unwrap().wait(limit);
    let told = std::fs::read_to_string(&output).unwrap();
    assert!(status.as_ref().is_ok_and(ExitStatus::success), "{status:?}\n{told}\n{}", app.log());
    assert_eq!(app.anonymous().get("/healthcheck").send().status, 200);
    assert!(!app.log().contains("panicked"), "{}", app.log());
}
