//! The openstack command line.

use bailey_testkit::{clients, process};
use bailey_tests::{Database, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[(&str, fn())] = cases![a_secret_is_stored_shown_and_deleted];

struct OpenStack {
    endpoint: String,
    token: String,
}

impl OpenStack {
    fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = clients::command("openstack")?;
        command.args(["--os-auth-type", "admin_token", "--os-endpoint", &self.endpoint, "--os-token", &self.token]);
        Ok(String::from_utf8(process::run(command.args(arguments))?)?)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--format", "json"]].concat()).unwrap();
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output}"))
    }
}

fn a_secret_is_stored_shown_and_deleted() {
    let app = TestApp::builder(Database::Sqlite).with_tokens().start().unwrap();
    let token = app.token("service", "operator", &["creator"]).unwrap();
    let openstack = OpenStack { endpoint: format!("{}/v1", app.anonymous().base()), token };

    let text = ["--name", "greeting", "--secret-type", "passphrase", "--payload", "hello"];
    let stored = openstack.json(&[&["secret", "store"], text.as_slice()].concat());
    let href = stored["Secret href"].as_str().unwrap();
    assert!(href.starts_with(&format!("{}/secrets/", openstack.endpoint)), "{stored}");

    let shown = openstack.json(&["secret", "get", href]);
    for (field, value) in [
        ("Secret href", json!(href)),
        ("Name", json!("greeting")),
        ("Status", json!("ACTIVE")),
        ("Secret type", json!("passphrase")),
        ("Content types", json!({ "default": "application/octet-stream" })),
        ("Algorithm", json!("aes")),
        ("Bit length", json!(256)),
        ("Expiration", json!(null)),
    ] {
        assert_eq!(shown[field], value, "{field}: {shown}");
    }
    assert_eq!(openstack.json(&["secret", "get", "--payload", href]), json!({ "Payload": "hello" }));

    let bare = openstack.json(&["secret", "store", "--name", "bare"]);
    let bare = bare["Secret href"].as_str().unwrap();
    let _ = openstack.run(&["secret", "update", bare, "later"]).unwrap();
    assert_eq!(openstack.json(&["secret", "get", "--payload", bare]), json!({ "Payload": "later" }));

    let listed = openstack.json(&["secret", "list"]);
    let names: Vec<&Value> = listed.as_array().unwrap().iter().map(|secret| &secret["Name"]).collect();
    assert_eq!(names, ["greeting", "bare"]);
    let listed = openstack.json(&["secret", "list", "--name", "bare"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);

    let _ = openstack.run(&["secret", "delete", href]).unwrap();
    let error = openstack.run(&["secret", "get", href]).unwrap_err().to_string();
    assert!(error.contains("Not Found"), "{error}");
}
