//! Schemathesis: requests made from our own OpenAPI document, good and bad ones. The document is
//! held to its word: no status that it doesn't name, and no fault.

use std::fs::{self, File};
use std::process::ExitStatus;
use std::time::Duration;

use bailey_testkit::clients;
use bailey_testkit::process::Process;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, scale};
use serde_json::json;

pub const CASES: &[OwnCase] = cases![no_answer_is_a_fault_or_undocumented];

/// Secrets that are there to be found. Some will be deleted.
const SECRETS: usize = 100;

fn no_answer_is_a_fault_or_undocumented(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let client = app.client_of("schemathesis", "schemathesis", &["admin"]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("schemathesis.toml"), hints(&client)).unwrap();

    let seconds = 40 * scale();
    let mut command = clients::command("schemathesis").unwrap();
    command.current_dir(folder.path()).args(["run", &format!("{}/openapi.json", client.base())]);
    command.args(["--checks", "not_a_server_error,status_code_conformance", "--max-time", &seconds.to_string()]);
    command.args(["--generation-deterministic", "--no-color"]);
    command.args(["--header", "X-Project-Id: schemathesis", "--header", "X-User-Id: schemathesis"]);
    let output = folder.path().join("output");
    let file = File::create(&output).unwrap();
    command.stdout(file.try_clone().unwrap()).stderr(file);

    let limit = Duration::from_secs(u64::from(seconds) * 3 + 60);
    let status = Process::start(command).unwrap().wait(limit);
    let told = fs::read_to_string(&output).unwrap();
    assert!(status.as_ref().is_ok_and(ExitStatus::success), "{status:?}\n{told}\n{}", app.log());
    assert!(!app.log().contains("panicked"), "{}", app.log());
    let left = client.describe("/v1/secrets?limit=100");
    assert!(left["total"].as_u64().unwrap() < SECRETS as u64, "nothing was deleted, so nothing was found:\n{told}");
}

/// Makes secrets, and a configuration that has most requests ask for them: few ids that are made up
/// belong to anything.
fn hints(client: &Client) -> String {
    let ids: Vec<String> = (0..SECRETS)
        .map(|number| {
            let href = if number % 2 == 0 { client.create(&json!({})) } else { client.store("text") };
            let labels = json!({ "metadata": { "a": "b" } });
            let _ = client.put(&format!("{href}/metadata")).json(&labels).send().expect(201);
            href.rsplit('/').next().unwrap().to_owned()
        })
        .collect();
    format!(
        r#"
[dictionaries]
ids.values = {ids:?}
keys.values = ["a", "c"]
no.values = ["false"]
[parameters]
"path.id" = {{ dictionary = "ids", probability = 0.8 }}
"path.key" = {{ dictionary = "keys", probability = 0.8 }}
"body.transport_key_needed" = {{ dictionary = "no", probability = 0.9 }}
"#
    )
}
