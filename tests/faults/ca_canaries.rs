//! Canaries of certificates: the keys of an account at a CA, of orders and of enrolments, while CAs are waited for.

use std::fs;

use anyhow::ensure;
use bailey_testkit::ejbca::EjbcaStandIn;
use bailey_testkit::pebble::{EXTERNAL_ID, EXTERNAL_KEY, Gate, Pebble, Settings, Wrong};
use bailey_testkit::process;
use bailey_tests::cas::{ENROLMENT_SECRET, PATIENCE, acme_block, ejbca_block};
use bailey_tests::collector::Collector;
use bailey_tests::search::Haystack;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::vault::OWN;
use bailey_tests::{Client, Database, Store, TestApp, cases};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::canaries::{Needles, canary, decoded, dumps, plant};

pub const CASES: &[OwnCase] = cases![nothing_secret_is_told_while_a_ca_is_waited_for];

const PROJECT: &str = "canaries";
/// What stands between `ECPrivateKey`'s version and the key (RFC 5915), in PKCS#8 and without.
const BEFORE_KEY: &[u8] = &[0x02, 0x01, 0x01, 0x04, 0x20];

fn nothing_secret_is_told_while_a_ca_is_waited_for(database: Database) {
    let metrics = format!("127.0.0.1:{}", bailey_testkit::ports::free());
    let collector = Collector::start();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ejbca = runtime.block_on(EjbcaStandIn::start()).unwrap();
    ejbca.require_approval(true);
    let builder = TestApp::builder(database).store(Store::Simple).with_tokens().file("# written below\n");
    let builder = builder.set("BAILEY_METRICS__LISTEN", &metrics).set("BAILEY_TRACES__ENDPOINT", &collector.endpoint());
    let builder = builder.set("BAILEY_LOG__LEVEL", "debug").set("BAILEY_ORDERS__LONGEST_WAIT_SECONDS", "1");
    let app = builder.prepare().unwrap();
    let http_port = Some(app.address().port());
    let pebble = Pebble::start(Settings { http_port, external_account: true, ..Settings::default() }).unwrap();
    let gate = Gate::before(&pebble).unwrap();
    gate.wrong("/finalize-order/", Wrong::Forged(503, String::new(), "busy".to_owned()), usize::MAX);
    let external = format!("external_account_id = \"{EXTERNAL_ID}\"\nexternal_account_key = \"{EXTERNAL_KEY}\"");
    let acme = acme_block("acme", &gate.directory(), &pebble.ca_file(), &external);
    app.write_file(&(acme + &ejbca_block("ejbca", &ejbca, "")));
    app.restart().unwrap();
    let client = app.client_of(PROJECT, "operator", &["admin"]);

    let orders = ["acme", "ejbca"].map(|ca| order(&client, ca));
    for step in ["finalize", "pproval"] {
        let waiting = format!("SELECT count(*) FROM orders WHERE issuance_state LIKE '%{step}%'");
        process::until(PATIENCE, || {
            let told = orders.each_ref().map(|order| client.describe(order).to_string());
            ensure!(app.sql(Which::Metadata, &waiting).trim() == "1", "no order waits at {step}: {told:?}");
            Ok(())
        })
        .unwrap();
    }
    let (metrics, planted) = (metrics.parse().unwrap(), plant(&app));
    let site = Site { app: &app, client: &client, metrics, collector: &collector, planted };
    let made = keys_of_orders(&app);
    assert_eq!(made.len(), 2, "keys that orders have made");
    let own = app.payloads_of(OWN);
    assert_eq!(own.len(), 2, "keys of the account at the CA, and of the one elsewhere");
    let mut needles: Needles = made.iter().chain(&own).flat_map(|key| forms(key)).collect();
    needles.extend(ejbca.codes().into_iter().map(|code| ("an enrolment code".to_owned(), code.into_bytes())));
    assert_eq!(needles.iter().filter(|(what, _)| what == "a private key").count(), 3, "two orders' and the account's");
    assert!(needles.iter().any(|(what, _)| what == "an enrolment code"));
    for (what, text) in [
        ("the key of an account elsewhere", EXTERNAL_KEY),
        ("the enrolment secret", ENROLMENT_SECRET),
        ("the gateway's key", ejbca.header()),
    ] {
        needles.push((what.to_owned(), text.as_bytes().to_vec()));
        needles.extend(decoded(text).map(|bytes| (what.to_owned(), bytes)));
    }
    search(&site.haystacks(&orders), &needles);

    gate.go_right();
    ejbca.approve();
    let kept = orders.each_ref().map(|order| {
        let ended = client.ended(order).unwrap();
        assert_eq!(ended["status"], "ACTIVE", "{ended}");
        let container = client.describe(ended["container_ref"].as_str().unwrap());
        let _ = client.post(&format!("{order}/revoke")).json(&json!({})).send().expect(204);
        client.part(&container, "private_key").unwrap()
    });
    assert!(kept.iter().all(|key| made.contains(key)), "what was searched for are other keys");
    search(&site.haystacks(&orders), &needles);
    app.stop().unwrap();
}

fn order(client: &Client, ca: &str) -> String {
    let found = client.describe(&format!("/v1/cas?plugin_ca_id={ca}"));
    let ca = found["cas"][0].as_str().unwrap();
    let meta = json!({ "ca_id": ca, "subject_dn": "CN=canary.example.test",
        "subject_alt_names": ["canary.example.test"] });
    client.order("certificate", &meta)
}

/// The private keys that are kept for the project, as they are kept.
fn keys_of_orders(app: &TestApp) -> Vec<Vec<u8>> {
    let is_key = |payload: &Vec<u8>| String::from_utf8_lossy(payload).contains("PRIVATE KEY");
    app.payloads_of(PROJECT).into_iter().filter(is_key).collect()
}

/// A key as it is kept, and, if it is an EC key, its DER, the lines of its PEM and the number that is the secret.
fn forms(kept: &[u8]) -> Needles {
    let mut needles = vec![("a key as it is kept".to_owned(), kept.to_vec())];
    let pem = std::str::from_utf8(kept).ok().filter(|text| text.contains("-----BEGIN"));
    let lines: Vec<&str> = pem.into_iter().flat_map(str::lines).filter(|line| !line.starts_with("--")).collect();
    let der = if lines.is_empty() { kept.to_vec() } else { decoded(&lines.concat()).unwrap() };
    if let Some(at) = der.windows(BEFORE_KEY.len()).position(|bytes| bytes == BEFORE_KEY) {
        let at = at + BEFORE_KEY.len();
        needles.push(("a private key".to_owned(), der[at..at + 32].to_vec()));
        needles.push(("a private key's DER".to_owned(), der));
        // What comes after these two lines is the public key alone.
        needles.extend(lines.iter().take(2).map(|line| ("a line of a PEM".to_owned(), line.as_bytes().to_vec())));
    }
    needles
}

struct Site<'a> {
    app: &'a TestApp,
    client: &'a Client,
    metrics: std::net::SocketAddr,
    collector: &'a Collector,
    /// What is in the metadata database, and in nothing else.
    planted: Vec<u8>,
}

impl Site<'_> {
    /// All that anybody is told, and all that the metadata database holds.
    fn haystacks(&self, orders: &[String]) -> Vec<Haystack> {
        let answers =
            orders.iter().map(String::as_str).chain(["/v1/orders", "/v1/cas", "/v1/secrets", "/v1/containers"]);
        let answers: Vec<Value> = answers.map(|path| self.client.describe(path)).collect();
        let refused = self.client.put(&orders[0]).json(&json!({ "type": "certificate", "meta": {} })).send();
        assert!((400..500).contains(&refused.status), "{refused}");
        process::until(PATIENCE, || {
            ensure!(!self.collector.bytes().is_empty(), "no traces");
            Ok(())
        })
        .unwrap();
        let scraped = Client::anonymous(self.metrics).get("/metrics").send().expect(200);
        let commands = [&["ca", "list"][..], &["order", "list"], &["config", "print"]];
        let printed = commands.map(|command| self.app.admin(command).unwrap()).concat();
        let mut haystacks = vec![
            Haystack::new("log", self.app.log().as_bytes()),
            Haystack::new("stdout", self.app.stdout().as_bytes()),
            Haystack::new("audit events", &fs::read(self.app.data_dir().join("audit.log")).unwrap()),
            Haystack::new("metrics", &scraped.body),
            Haystack::new("traces", &self.collector.bytes()),
            Haystack::new("answers", (json!(answers).to_string() + &refused.text()).as_bytes()),
            Haystack::new("administration", printed.as_bytes()),
        ];
        for dump in dumps(self.app) {
            assert!(dump.find(&self.planted).is_some(), "{} doesn't show what is planted", dump.name());
            haystacks.push(dump);
        }
        haystacks
    }
}

/// Nothing is found, and all would be.
fn search(haystacks: &[Haystack], needles: &Needles) {
    for haystack in haystacks {
        assert!(!haystack.is_empty(), "{} is empty", haystack.name());
        haystack.prove(canary().as_bytes());
        for (what, bytes) in needles {
            assert_eq!(haystack.find(bytes), None, "{what} is in {}", haystack.name());
        }
    }
}
