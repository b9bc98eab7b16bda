//! The openstack command line.

use std::time::Duration;

use bailey_testkit::{clients, process};
use bailey_tests::{Database, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[(&str, fn())] = cases![
    a_secret_is_stored_shown_and_deleted,
    containers_hold_secrets,
    orders_make_keys,
    acls_let_users_in,
    consumers_protect_secrets,
];

/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct OpenStack {
    endpoint: String,
    token: String,
}

impl OpenStack {
    fn new(app: &TestApp, user: &str, role: &str) -> Self {
        let token = app.token("service", user, &[role]).unwrap();
        Self { endpoint: format!("{}/v1", app.anonymous().base()), token }
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = clients::command("openstack")?;
        command.args(["--os-auth-type", "admin_token", "--os-endpoint", &self.endpoint, "--os-token", &self.token]);
        Ok(String::from_utf8(process::run(command.args(arguments))?)?)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--format", "json"]].concat()).unwrap();
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output}"))
    }

    /// Only the columns that `wanted` has: the client can't write the times of typed containers as JSON.
    fn columns(&self, arguments: &[&str], wanted: &Value) -> Value {
        let columns = wanted.as_object().unwrap().keys().flat_map(|column| ["-c", column]);
        self.json(&arguments.iter().copied().chain(columns).collect::<Vec<_>>())
    }

    /// Stores a secret and returns its href.
    fn store(&self, name: &str) -> String {
        let stored = self.json(&["secret", "store", "--name", name, "--payload", name]);
        stored["Secret href"].as_str().unwrap().to_owned()
    }

    /// That a command fails, saying this.
    fn fails(&self, arguments: &[&str], reason: &str) {
        let error = self.run(arguments).expect_err(reason).to_string();
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
}

/// That the object has these fields, whatever else.
#[track_caller]
fn has(shown: &Value, fields: &Value) {
    for (field, value) in fields.as_object().unwrap() {
        assert_eq!(&shown[field], value, "{field}: {shown}");
    }
}

fn started() -> TestApp {
    TestApp::builder(Database::Sqlite).with_tokens().start().unwrap()
}

fn a_secret_is_stored_shown_and_deleted() {
    let app = started();
    let openstack = OpenStack::new(&app, "operator", "creator");

    let text = ["--name", "greeting", "--secret-type", "passphrase", "--payload", "hello"];
    let stored = openstack.json(&[&["secret", "store"], text.as_slice()].concat());
    let href = stored["Secret href"].as_str().unwrap();
    assert!(href.starts_with(&format!("{}/secrets/", openstack.endpoint)), "{stored}");

    let shown = openstack.json(&["secret", "get", href]);
    let expected = json!({
        "Secret href": href, "Name": "greeting", "Status": "ACTIVE", "Secret type": "passphrase",
        "Content types": { "default": "application/octet-stream" }, "Algorithm": "aes", "Bit length": 256,
        "Expiration": null,
    });
    has(&shown, &expected);
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
    openstack.fails(&["secret", "get", href], "Not Found");
}

fn containers_hold_secrets() {
    let app = started();
    let openstack = OpenStack::new(&app, "operator", "creator");
    let (public, private) = (openstack.store("public"), openstack.store("private"));
    let create = |kind: &str, names: [&str; 2]| {
        let [first, second] = [format!("{}={public}", names[0]), format!("{}={private}", names[1])];
        let arguments = ["secret", "container", "create", "--type", kind, "--name", kind, "-s", &first, "-s", &second];
        openstack.json(&arguments)["Container href"].as_str().unwrap().to_owned()
    };
    let generic = create("generic", ["one", "other"]);
    assert!(generic.starts_with(&format!("{}/containers/", openstack.endpoint)), "{generic}");
    let rsa = create("rsa", ["public_key", "private_key"]);
    let certificate = create("certificate", ["certificate", "intermediates"]);

    for (href, expected) in [
        (&generic, json!({ "Type": "generic", "Secrets": format!("one={public}\nother={private}") })),
        (&rsa, json!({ "Type": "rsa", "Public Key": public, "Private Key": private, "PK Passphrase": null })),
        (&certificate, json!({ "Type": "certificate", "Certificate": public, "Intermediates": private })),
    ] {
        has(&openstack.columns(&["secret", "container", "get", href], &expected), &expected);
        let common = json!({ "Container href": href, "Status": "ACTIVE", "Name": expected["Type"], "Consumers": null });
        has(&openstack.columns(&["secret", "container", "get", href], &common), &common);
    }
    let names = |arguments: &[&str]| -> Vec<Value> {
        let listed = openstack.json(&[&["secret", "container", "list"], arguments].concat());
        listed.as_array().unwrap().iter().map(|container| container["Name"].clone()).collect()
    };
    assert_eq!(names(&[]), ["generic", "rsa", "certificate"]);
    assert_eq!(names(&["--type", "rsa"]), ["rsa"]);
    assert_eq!(names(&["--name", "c%"]), ["certificate"]);
    assert_eq!(names(&["--limit", "1", "--offset", "1"]), ["rsa"]);

    let half = format!("public_key={public}");
    openstack.fails(&["secret", "container", "create", "--type", "rsa", "-s", &half], "Bad Request");
    let _ = openstack.run(&["secret", "container", "delete", &generic]).unwrap();
    openstack.fails(&["secret", "container", "get", &generic], "Not Found");
    openstack.fails(&["secret", "container", "delete", &generic], "Not Found");
    assert_eq!(openstack.json(&["secret", "get", "--payload", &public]), json!({ "Payload": "public" }));
}

fn orders_make_keys() {
    let app = started();
    let openstack = OpenStack::new(&app, "operator", "admin");
    let order = |kind: &str, algorithm: &str, bits: &str| {
        let create = ["secret", "order", "create", kind, "--name", "made", "-a", algorithm, "-b", bits, "-m", "cbc"];
        let ordered = openstack.json(&create);
        let href = ordered["Order href"].as_str().unwrap().to_owned();
        assert!(href.starts_with(&format!("{}/orders/", openstack.endpoint)), "{ordered}");
        let shown = std::cell::RefCell::new(Value::Null);
        process::until(PATIENCE, || {
            *shown.borrow_mut() = openstack.json(&["secret", "order", "get", &href]);
            anyhow::ensure!(shown.borrow()["Status"] != "PENDING", "{}", shown.borrow());
            Ok(())
        })
        .unwrap();
        has(&shown.borrow(), &json!({ "Order href": href }));
        shown.into_inner()
    };
    let key = order("key", "aes", "256");
    has(&key, &json!({ "Type": "Key", "Container href": "N/A", "Status": "ACTIVE", "Error code": null }));
    let made = openstack.json(&["secret", "get", key["Secret href"].as_str().unwrap()]);
    has(&made, &json!({ "Name": "made", "Algorithm": "aes", "Bit length": 256, "Mode": "cbc" }));

    let pair = order("asymmetric", "rsa", "2048");
    has(&pair, &json!({ "Type": "Asymmetric", "Secret href": "N/A", "Status": "ACTIVE", "Error code": null }));
    let expected = json!({ "Type": "rsa", "Name": "made", "PK Passphrase": null, "Public Key": "an href" });
    let get = ["secret", "container", "get", pair["Container href"].as_str().unwrap()];
    let container = openstack.columns(&get, &expected);
    has(&container, &json!({ "Type": "rsa", "Name": "made", "PK Passphrase": null }));
    let public = openstack.json(&["secret", "get", "--payload", container["Public Key"].as_str().unwrap()]);
    assert!(public.to_string().contains("BEGIN PUBLIC KEY"), "{public}");

    let failed = order("key", "nonsense", "256");
    has(&failed, &json!({ "Status": "ERROR", "Error code": "400", "Secret href": null }));
    assert!(failed["Error message"].as_str().is_some_and(|message| !message.is_empty()), "{failed}");

    let listed = openstack.json(&["secret", "order", "list"]);
    let hrefs: Vec<&Value> = listed.as_array().unwrap().iter().map(|order| &order["Order href"]).collect();
    assert_eq!(hrefs, [&key, &pair, &failed].map(|order| &order["Order href"]));
    let href = key["Order href"].as_str().unwrap();
    let _ = openstack.run(&["secret", "order", "delete", href]).unwrap();
    openstack.fails(&["secret", "order", "get", href], "Not Found");
}

fn acls_let_users_in() {
    let app = started();
    let [owner, colleague] = ["owner", "colleague"].map(|user| OpenStack::new(&app, user, "creator"));
    let secret = owner.store("guarded");
    let part = format!("part={secret}");
    let container = owner.json(&["secret", "container", "create", "--name", "guarded", "-s", &part]);
    let container = container["Container href"].as_str().unwrap();
    for (href, reference, read) in [
        (secret.as_str(), "Secret ACL Ref", ["secret", "get", secret.as_str()].as_slice()),
        (container, "Container ACL Ref", ["secret", "container", "get", container].as_slice()),
    ] {
        let acl = |arguments: &[&str]| {
            let mut listed = owner.json(&[&["acl"], arguments].concat());
            let mut shown = listed[0].take();
            assert_eq!(listed.as_array().unwrap().len(), 1);
            has(&shown, &json!({ "Operation Type": "read", reference: format!("{href}/acl") }));
            shown["Users"].as_array_mut().unwrap().sort_unstable_by_key(Value::to_string);
            shown
        };
        let says = |project_access: bool, users: &[&str]| json!({ "Project Access": project_access, "Users": users });
        has(&acl(&["get", href]), &says(true, &[]));
        has(&acl(&["submit", "--user", "bob", "--no-project-access", href]), &says(false, &["bob"]));
        colleague.fails(read, "Forbidden");
        has(&acl(&["user", "add", "--user", "colleague", "--user", "bob", href]), &says(false, &["bob", "colleague"]));
        let _ = colleague.run(read).unwrap();
        has(&acl(&["user", "remove", "--user", "colleague", href]), &says(false, &["bob"]));
        colleague.fails(read, "Forbidden");
        has(&acl(&["user", "add", "--project-access", "--user", "ann", href]), &says(true, &["ann", "bob"]));
        let _ = colleague.run(read).unwrap();
        let _ = owner.run(&["acl", "delete", href]).unwrap();
        has(&acl(&["get", href]), &json!({ "Project Access": true, "Users": [], "Created": null }));
    }
}

fn consumers_protect_secrets() {
    let app = started();
    let openstack = OpenStack::new(&app, "operator", "creator");
    let secret = openstack.store("used");
    let consumer = |action: &str, id: &str| {
        let names = ["-s", "cinder", "-t", "volume", "-i", id];
        openstack.run(&[&["secret", "consumer", action], names.as_slice(), &[secret.as_str()]].concat())
    };
    for id in ["1", "2", "1"] {
        let _ = consumer("create", id).unwrap();
    }
    let listed = openstack.json(&["secret", "consumer", "list", &secret]);
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    for (row, id) in listed.as_array().unwrap().iter().zip(["1", "2"]) {
        has(row, &json!({ "Service": "cinder", "Resource type": "volume", "Resource id": id }));
    }
    openstack.fails(&["secret", "delete", &secret], "it has consumers");
    let _ = consumer("delete", "1").unwrap();
    let error = consumer("delete", "1").unwrap_err().to_string();
    assert!(error.contains("Not Found"), "{error}");
    let listed = openstack.json(&["secret", "consumer", "list", "--limit", "1", &secret]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let _ = openstack.run(&["secret", "delete", "--force", &secret]).unwrap();
    openstack.fails(&["secret", "consumer", "list", &secret], "Not Found");
}
