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

/// Bytes are sent as they are, whatever they are called.
const HOOKS: &str = r#"
import schemathesis

schemathesis.serializer.alias("application/ocsp-request", "application/octet-stream")
"#;
/// Secrets that are there to be found. Some will be deleted.
const SECRETS: usize = 100;

fn no_answer_is_a_fault_or_undocumented(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let client = app.client_of("schemathesis", "schemathesis", &["admin"]);
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(&client);
    fs::write(folder.path().join("schemathesis.toml"), hints(&client, &secrets)).unwrap();
    fs::write(folder.path().join("hooks.py"), HOOKS).unwrap();

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
    let is_gone = |secret: &String| client.get(secret).send().status == 404;
    assert!(secrets.iter().any(is_gone), "nothing was deleted, so nothing was found:\n{told}");
}

/// Makes secrets.
fn secrets(client: &Client) -> Vec<String> {
    let make = |number| {
        let href = if number % 2 == 0 { client.create(&json!({})) } else { client.store("text") };
        let labels = json!({ "metadata": { "a": "b" } });
        let _ = client.put(&format!("{href}/metadata")).json(&labels).send().expect(201);
        href
    };
    (0..SECRETS).map(make).collect()
}

/// A configuration that has most requests ask for what is there: few ids that are made up belong to
/// anything.
fn hints(client: &Client, secrets: &[String]) -> String {
    let id = |href: &str| href.rsplit('/').next().unwrap_or_default().to_owned();
    let ids: Vec<String> = secrets.iter().map(|href| id(href)).collect();
    let keys = client.describe("/v1/transport_keys");
    let transport_key = id(keys["transport_keys"][0].as_str().expect("a transport key"));
    format!(
        r#"
hooks = "hooks"
[dictionaries]
ids.values = {ids:?}
keys.values = ["a", "c"]
transport_keys.values = ["{transport_key}"]
[parameters]
"path.id" = {{ dictionary = "ids", probability = 0.8 }}
"path.key" = {{ dictionary = "keys", probability = 0.8 }}
"path.transport_key" = {{ dictionary = "transport_keys", probability = 0.8 }}
"#
    )
}
