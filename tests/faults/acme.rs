//! Certificates by ACME: Pebble asks Bailey for the proofs, and processes are killed at each step between them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bailey_testkit::pebble::{Gate, Pebble, Settings, Wrong};
use bailey_testkit::process;
use bailey_tests::cas::{PATIENCE, acme_block};
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases};
use serde_json::json;

pub const CASES: &[OwnCase] =
    cases![killed_at_each_step_there_is_one_order_and_certificate, a_limit_of_the_ca_outlasts_a_process];

/// What a request for one certificate asks for, as Pebble calls it, without what only reads.
const STEPS: [&str; 6] = ["/sign-me-up", "/order-plz", "/authZ/", "/chalZ/", "/finalize-order/", "/certZ/"];

const LIMIT: &str = r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many lately"}"#;
/// Many times as long as an order waits for its next attempt.
const LIMITED: Duration = Duration::from_secs(15);

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
        // What a CA has an order wait for must not use these up.
        let app = builder.set("BAILEY_ORDERS__MAX_ATTEMPTS", "8").prepare()?;
        let settings = Settings { http_port: Some(app.address().port()), delay_seconds: 1, ..Settings::default() };
        let pebble = Pebble::start(settings)?;
        let gate = Gate::before(&pebble)?;
        app.write_file(&acme_block("pebble", &gate.directory(), &pebble.ca_file(), "challenges = [\"http-01\"]"));
        app.restart()?;
        Ok(Self { app, pebble, gate })
    }
}

pub fn order(client: &Client, name: &str) -> String {
    let meta = json!({"request_type": "custom", "subject_dn": format!("CN={name}"), "subject_alt_names": [format!("DNS:{name}")],
        "name": name});
    client.order("certificate", &meta)
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
        let order = client.ended(&href).unwrap();
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

fn a_limit_of_the_ca_outlasts_a_process(database: Database) {
    let Site { app, pebble, gate } = Site::start(database).unwrap();
    let client = app.client();
    gate.wrong("/order-plz", Wrong::Forged(429, format!("Retry-After: {}", LIMITED.as_secs()), LIMIT.into()), 1);
    let href = order(&client, "limited.example.test");
    let message = "The certificate authority waits for the end of its limit: too many lately (rateLimited)";
    process::until(PATIENCE, || {
        let order = client.describe(&href);
        ensure!(order["sub_status_message"] == message, "{order}");
        Ok(())
    })
    .unwrap();
    let begun = Instant::now();
    // Whether it works is asked all the time.
    let asked = || gate.seen("/") - gate.seen("/dir");
    let before = asked();
    std::thread::sleep(LIMITED / 5);
    app.kill();
    app.restart().unwrap();
    while begun.elapsed() < LIMITED - Duration::from_secs(2) {
        assert_eq!(asked(), before, "the CA was asked before its time");
        std::thread::sleep(Duration::from_millis(100));
    }
    let order = client.ended(&href).unwrap();
    assert_eq!(order["status"], "ACTIVE", "{order}");
    assert!(begun.elapsed() > LIMITED - Duration::from_secs(1), "it ended after {:?}", begun.elapsed());
    assert_eq!((pebble.orders(), pebble.issued()), (1, 1), "orders and certificates");
}
