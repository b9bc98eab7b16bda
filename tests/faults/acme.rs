//! Certificates by ACME: Pebble asks Bailey for the proofs, and processes are killed at each step between them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bailey_testkit::pebble::{Gate, Pebble, Settings, Wrong};
use bailey_testkit::process;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] =
    cases![an_order_gets_a_certificate_that_openssl_verifies, killed_at_each_step_there_is_one_order_and_certificate];

pub const PATIENCE: Duration = Duration::from_secs(90);

/// What a request for one certificate asks for, as Pebble calls it, without what only reads.
const STEPS: [&str; 6] = ["/sign-me-up", "/order-plz", "/authZ/", "/chalZ/", "/finalize-order/", "/certZ/"];

/// A Bailey that Pebble asks for proofs, and what stands between them.
struct Site {
    app: TestApp,
    pebble: Pebble,
    gate: Gate,
}

impl Site {
    fn start(database: Database) -> Result<Self> {
        let builder = TestApp::builder(database).file("# written below\n");
        let builder = builder.set("BAILEY_ORDERS__LEASE_SECONDS", "2").set("BAILEY_ORDERS__LONGEST_WAIT_SECONDS", "1");
        let app = builder.prepare()?;
        let settings = Settings { http_port: Some(app.address().port()), delay_seconds: 1, ..Settings::default() };
        let pebble = Pebble::start(settings)?;
        let gate = Gate::before(&pebble)?;
        let (directory, ca_file) = (gate.directory(), pebble.ca_file());
        app.write_file(&format!(
            "[[cas]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{directory}\"\nca_file = \"{}\"\n\
             terms_agreed = true\nchallenges = [\"http-01\"]\n",
            ca_file.display()
        ));
        app.restart()?;
        Ok(Self { app, pebble, gate })
    }
}

pub fn order(client: &Client, name: &str) -> String {
    let meta = json!({"request_type": "custom", "subject_dn": format!("CN={name}"), "subject_alt_names": [format!("DNS:{name}")],
        "name": name});
    let answer = client.post("/v1/orders").json(&json!({"type": "certificate", "meta": meta})).send().expect(202);
    answer.json()["order_ref"].as_str().expect("an order_ref").to_owned()
}

pub fn ended(client: &Client, href: &str) -> Result<Value> {
    process::until(PATIENCE, || {
        let answer = client.get(href).try_send()?;
        ensure!(answer.status == 200, "{answer}");
        let order = answer.json();
        ensure!(order["status"] != "PENDING", "{order}");
        Ok(order.clone())
    })
}

pub fn part(client: &Client, container: &Value, name: &str) -> Result<Vec<u8>> {
    let parts = container["secret_refs"].as_array().context("a container with secrets")?;
    let part = parts.iter().find(|part| part["name"] == name).with_context(|| format!("no {name} in {container}"))?;
    Ok(client.payload(part["secret_ref"].as_str().context("a secret_ref")?))
}

fn an_order_gets_a_certificate_that_openssl_verifies(database: Database) {
    let site = Site::start(database).unwrap();
    let client = site.app.client();
    let order = ended(&client, &order(&client, "story.example.test")).unwrap();
    assert_eq!(order["status"], "ACTIVE", "{order}");
    let container = client.describe(order["container_ref"].as_str().unwrap());
    assert_eq!(container["type"], "certificate");
    let folder = tempfile::tempdir().unwrap();
    for name in ["certificate", "intermediates", "private_key"] {
        std::fs::write(folder.path().join(name), part(&client, &container, name).unwrap()).unwrap();
    }
    std::fs::write(folder.path().join("root.der"), site.pebble.root(0).unwrap()).unwrap();
    let openssl = |arguments: &[&str]| {
        let mut command = process::command("openssl");
        String::from_utf8(process::run(command.args(arguments).current_dir(folder.path())).unwrap()).unwrap()
    };
    openssl(&["x509", "-inform", "der", "-in", "root.der", "-out", "root.pem"]);
    openssl(&["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "intermediates", "certificate"]);
    let certified = openssl(&["x509", "-in", "certificate", "-noout", "-pubkey"]);
    assert_eq!(certified, openssl(&["pkey", "-in", "private_key", "-pubout"]), "the key isn't the certificate's");
    let names = openssl(&["x509", "-in", "certificate", "-noout", "-ext", "subjectAltName"]);
    assert!(names.contains("DNS:story.example.test"), "{names}");
    let _ = client.get("/.well-known/acme-challenge/no-such-token").send().expect(404);
    let _ = site.app.anonymous().get("/.well-known/acme-challenge/%2e%2e").send().expect(404);
}

fn killed_at_each_step_there_is_one_order_and_certificate(database: Database) {
    let site = Site::start(database).unwrap();
    let client = site.app.client();
    let Site { app, pebble, gate } = &site;
    for (number, step) in STEPS.into_iter().enumerate() {
        let (orders, issued) = (pebble.orders(), pebble.issued());
        // It arrives at the server, and whoever asked is dead before the answer.
        let seen = gate.seen(step);
        gate.wrong(step, Wrong::Late(Duration::from_secs(5)), 1);
        let href = order(&client, &format!("kill-{number}.example.test"));
        process::until(PATIENCE, || {
            ensure!(gate.seen(step) > seen, "{step} is not asked: {}", client.get(&href).try_send()?);
            Ok(())
        })
        .unwrap();
        app.kill();
        app.launch().unwrap();
        let order = ended(&client, &href).unwrap();
        let made = (pebble.orders() - orders, pebble.issued() - issued);
        let reason = order["error_reason"].as_str().unwrap_or_default();
        // The only process is dead, so a server that looks just then finds nobody. It doesn't look again.
        if step == "/chalZ/" && reason.ends_with("(connection)") {
            assert_eq!(made, (1, 0), "killed at {step}: orders and certificates");
            continue;
        }
        assert_eq!(order["status"], "ACTIVE", "killed at {step}: {order}");
        assert_eq!(made, (1, 1), "killed at {step}: orders and certificates");
    }
    assert_eq!(pebble.accounts(), 1, "accounts");
}
