//! A purged project leaves nothing behind, whatever is done to it meanwhile.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bailey_testkit::process;
use bailey_tests::app::TWO_STORES;
use bailey_tests::search::Haystack;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, scale};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] =
    cases![nothing_is_left_of_a_purged_project, a_backup_puts_the_end_of_a_purge_off, a_purge_ends_under_load];

/// Text that is nowhere else.
fn canary(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::new_v4())
}

/// What must not be found.
type Needles = Vec<(String, Vec<u8>)>;

/// A project with something of everything, and what its traces would look like.
struct Doomed {
    project: String,
    admin: Client,
    needles: Needles,
}

impl Doomed {
    fn fill(app: &TestApp, neighbour: &Client) -> Self {
        let project = canary("doomed");
        let admin = app.client_of(&project, &canary("user"), &["admin", "key-manager:service-admin"]);
        let mut doomed = Self { needles: vec![], project, admin };
        doomed.note(&doomed.project.clone());
        doomed.store();
        doomed.order();
        doomed.consume(neighbour);
        doomed
    }

    fn note(&mut self, text: &str) {
        self.needles.push((text.to_owned(), text.as_bytes().to_vec()));
    }

    fn coin(&mut self, what: &str) -> String {
        let text = canary(what);
        self.note(&text);
        text
    }

    /// Notes the id of what was made.
    fn made(&mut self, href: String) -> String {
        let id = href.rsplit('/').next().unwrap().to_owned();
        self.needles.push((href.clone(), uuid::Uuid::parse_str(&id).unwrap().as_bytes().to_vec()));
        self.note(&id);
        href
    }

    fn store(&mut self) {
        let admin = self.admin.clone();
        for _ in 0..120 {
            let body = json!({ "name": self.coin("name"), "payload": self.coin("payload"), "payload_content_type": "text/plain" });
            let href = admin.create(&body);
            self.made(href);
        }
        let preferred = admin.describe("/v1/secret-stores")["secret_stores"][1]["secret_store_ref"].clone();
        let _ = admin.post(&format!("{}/preferred", preferred.as_str().unwrap())).send().expect(204);
        let href = admin.store(&self.coin("elsewhere"));
        let href = self.made(href);
        let key = canary("label").replace('-', "");
        self.note(&key);
        let metadata = json!({ "metadata": { key: self.coin("value") } });
        let _ = admin.put(&format!("{href}/metadata")).json(&metadata).send().expect(201);
        let acl = json!({ "read": { "users": [self.coin("reader")], "project-access": false } });
        let _ = admin.put(&format!("{href}/acl")).json(&acl).send().expect(200);
        let container = admin.contain(&json!({
            "type": "generic", "name": self.coin("container"), "secret_refs": [{ "name": self.coin("part"), "secret_ref": href }],
        }));
        let container = self.made(container);
        let _ = admin.put(&format!("{container}/acl")).json(&acl).send().expect(200);
        let bare = admin.create(&json!({ "name": self.coin("bare") }));
        self.made(bare);
        let expiring = json!({ "name": self.coin("expired"), "expiration": bailey_tests::secrets::in_seconds(2) });
        let expiring = admin.create(&expiring);
        self.made(expiring);
        let repeated = self.coin("key");
        let post = admin.post("/v1/secrets").header("Idempotency-Key", &repeated).json(&json!({}));
        let repeated = post.send().expect(201).string("secret_ref");
        self.made(repeated);
        let quotas = json!({ "project_quotas": { "secrets": 100_000 } });
        let _ = admin.put(&format!("/v1/project-quotas/{}", self.project)).json(&quotas).send().expect(204);
    }

    fn order(&mut self) {
        let admin = self.admin.clone();
        for (kind, algorithm) in [("key", "aes"), ("asymmetric", "ec"), ("asymmetric", "rot13")] {
            let meta = json!({ "name": self.coin("ordered"), "algorithm": algorithm, "bit_length": 256, "passphrase": self.coin("phrase") });
            let order = admin.post("/v1/orders").json(&json!({ "type": kind, "meta": meta })).send().expect(202);
            let order = self.made(order.string("order_ref"));
            process::until(Duration::from_secs(60), || {
                let order = admin.describe(&order);
                anyhow::ensure!(order["status"] != "PENDING", "{order}");
                Ok(())
            })
            .unwrap();
        }
    }

    /// Consumers of each project with what is the other's.
    fn consume(&mut self, neighbour: &Client) {
        let ours = self.admin.store("shared");
        let ours = self.made(ours);
        let theirs = neighbour.store("shared too");
        for (client, href, reader) in [(&self.admin, &theirs, neighbour), (neighbour, &ours, &self.admin)] {
            let acl = json!({ "read": { "users": [user_of(client)], "project-access": true } });
            let _ = reader.put(&format!("{href}/acl")).json(&acl).send().expect(200);
        }
        for (client, href) in [(self.admin.clone(), theirs), (neighbour.clone(), ours)] {
            let consumer = json!({ "service": self.coin("service"), "resource_type": "t", "resource_id": "r" });
            let _ = client.post(&format!("{href}/consumers")).json(&consumer).send().expect(200);
        }
    }
}

/// The user that a client's secrets belong to.
fn user_of(client: &Client) -> String {
    let href = client.create(&json!({}));
    let user = client.describe(&href)["creator_id"].as_str().unwrap().to_owned();
    let _ = client.delete(&href).send().expect(204);
    user
}

/// Both databases in full, as they are on the disk or in a dump.
fn databases(app: &TestApp) -> Vec<Haystack> {
    let dump = |which, name: &str, url: String| match app.database() {
        Database::Postgres | Database::Split => vec![Haystack::new(name, &app.postgres().dump(&url).unwrap())],
        Database::Sqlite => {
            let file = url.strip_prefix("sqlite://").unwrap();
            let files = ["", "-wal"].map(|more| fs::read(format!("{file}{more}")).unwrap_or_default());
            let dump = app.sql(which, ".dump");
            vec![Haystack::new(format!("{name}'s dump"), dump.as_bytes()), Haystack::new(name, &files.concat())]
        }
    };
    let mut found = dump(Which::Metadata, "metadata", app.database_url());
    found.extend(dump(Which::Vault, "vault", app.vault_url()));
    found
}

fn counts(app: &TestApp, project: &str) -> Value {
    let printed = app.admin(&["project", "purge", project, "--dry-run", "--json"]).unwrap();
    serde_json::from_str(&printed).unwrap()
}

fn nothing_is_left_of_a_purged_project(database: Database) {
    let builder = TestApp::builder(database).with_tokens().file(TWO_STORES);
    // Nobody but the purge destroys anything.
    let app = builder.set("BAILEY_WORKER__DELETION_INTERVAL_SECONDS", "3600").start().unwrap();
    let neighbour = app.client_of(&canary("neighbour"), &canary("user"), &["admin"]);
    let kept = neighbour.store("kept");
    let doomed = Doomed::fill(&app, &neighbour);
    let project = doomed.project.as_str();
    // Bytes that no row refers to.
    let lost = doomed.admin.store("lost");
    let lost = app.uuid(lost.rsplit('/').next().unwrap());
    let forget = "DELETE FROM writes WHERE write_id = (SELECT write_id FROM secrets WHERE id =";
    let _ = app.sql(Which::Metadata, &format!("{forget} {lost}); DELETE FROM secrets WHERE id = {lost}"));

    let there = counts(&app, project);
    assert!(there["secrets"].as_u64().unwrap() > 120 && there["ciphertexts"].as_u64() >= Some(122), "{there}");
    for (what, number) in
        [("orders", 3), ("containers", 2), ("consumers", 1), ("settings", 2), ("keys", 2), ("tokens", 1)]
    {
        assert_eq!(there[what], number, "{what}: {there}");
    }
    let refused = app.admin(&["project", "purge", project]).unwrap_err().to_string();
    assert!(refused.contains("--yes"), "{refused}");
    assert_eq!(counts(&app, project), there, "so far nothing was done");
    for haystack in databases(&app) {
        assert!(haystack.find(project.as_bytes()).is_some(), "{} doesn't show what is there", haystack.name());
    }

    app.admin(&["project", "purge", project, "--yes"]).unwrap();
    let left = counts(&app, project);
    assert!(left.as_object().unwrap().values().all(|number| number == 0), "{left}");
    // A server remembers a token for a second.
    process::until(Duration::from_secs(10), || {
        let answer = doomed.admin.get("/v1/secrets").send();
        anyhow::ensure!(answer.status == 401, "{answer}");
        Ok(())
    })
    .unwrap();
    assert_eq!(neighbour.payload(&kept), b"kept");
    app.admin(&["project", "purge", project, "--yes"]).unwrap();
    let audit: Value =
        serde_json::from_str(&app.admin(&["store", "audit", "--older-than", "1s", "--json"]).unwrap()).unwrap();
    for store in audit.as_array().unwrap() {
        assert_eq!((store["orphans"].as_array().unwrap().len(), store["unreadable"].as_array().unwrap().len()), (0, 0));
    }
    let events = fs::read_to_string(app.data_dir().join("audit.log")).unwrap();
    for action in ["project close", "project purge"] {
        let found = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found = found.filter(|event| event["action"] == action && event["target"] == format!("projects/{project}"));
        assert_eq!(found.filter(|event| event["outcome"] == "success").count(), 2, "{action}");
    }

    app.stop().unwrap();
    for haystack in databases(&app) {
        haystack.prove(canary("planted").as_bytes());
        for (what, bytes) in &doomed.needles {
            assert_eq!(haystack.find(bytes), None, "{what} is in {}", haystack.name());
        }
    }
    app.restart().unwrap();
    // Whoever comes under its name begins anew.
    let again = app.client_of(project, "somebody", &["creator"]);
    assert_eq!(again.describe("/v1/secrets")["total"], 0);
    let href = again.store("anew");
    assert_eq!(again.payload(&href), b"anew");
}

fn a_backup_puts_the_end_of_a_purge_off(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let client = app.client_of("doomed", "somebody", &["admin"]);
    let hrefs: Vec<String> = (0..5).map(|number| client.store(&number.to_string())).collect();
    app.admin(&["backup", "begin"]).unwrap();
    let incomplete = app.admin(&["project", "purge", "doomed", "--yes"]).unwrap_err().to_string();
    assert!(incomplete.contains("backup") && incomplete.contains("closed"), "{incomplete}");
    assert_eq!(counts(&app, "doomed")["ciphertexts"], 5, "they are part of the backup");
    for href in &hrefs {
        let _ = client.get(href).send().expect(404);
    }
    for (path, body) in [
        ("/v1/secrets", json!({ "payload": "x", "payload_content_type": "text/plain" })),
        ("/v1/secrets", json!({})),
        ("/v1/orders", json!({ "type": "key", "meta": { "algorithm": "aes", "bit_length": 256 } })),
        ("/v1/containers", json!({ "type": "generic", "secret_refs": [] })),
    ] {
        let _ = client.post(path).json(&body).send().expect(403);
    }
    app.admin(&["backup", "end"]).unwrap();
    app.admin(&["project", "purge", "doomed", "--yes"]).unwrap();
    assert!(counts(&app, "doomed").as_object().unwrap().values().all(|number| number == 0));
    let _ = client.store("anew");
}

/// Clients store, read and order all the time, and the command is killed again and again.
fn a_purge_ends_under_load(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let client = app.client_of("doomed", "somebody", &["admin"]);
    let before: Vec<String> = (0..200 * scale()).map(|number| client.store(&number.to_string())).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let work = |writer: usize| {
            let mut stored = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let order = json!({ "type": "key", "meta": { "algorithm": "aes", "bit_length": 256 } });
                let status = client.post("/v1/orders").json(&order).send().status;
                assert!(matches!(status, 202 | 403 | 503), "{status}");
                let payload = format!("payload of {writer}");
                let secret = json!({ "payload": payload, "payload_content_type": "text/plain" });
                let answer = client.post("/v1/secrets").json(&secret).send();
                assert!(matches!(answer.status, 201 | 403 | 503), "{answer}");
                if answer.status == 201 {
                    let href = answer.string("secret_ref");
                    let status = client.get(&format!("{href}/payload")).send().status;
                    assert!(matches!(status, 200 | 404 | 503), "{status}");
                    stored.push((href, payload));
                }
            }
            stored
        };
        let writers: Vec<_> = (0..3).map(|writer| scope.spawn(move || work(writer))).collect();
        for wait in [150, 300, 450, 600, 900] {
            let mut command = process::Process::start(app.command(&["project", "purge", "doomed", "--yes"])).unwrap();
            std::thread::sleep(Duration::from_millis(wait));
            command.kill();
        }
        app.admin(&["project", "purge", "doomed", "--yes"]).unwrap();
        done.store(true, Ordering::Relaxed);
        for href in &before {
            let _ = client.get(href).send().expect(404);
        }
        // What is still there was stored after the purge, and is whole.
        for (href, payload) in writers.into_iter().flat_map(|writer| writer.join().unwrap()) {
            let answer = client.get(&format!("{href}/payload")).header("Accept", "text/plain").send();
            assert!(answer.status == 404 || (answer.status == 200 && answer.body == payload.as_bytes()), "{answer}");
        }
    });
    // Nobody stores any more: now nothing is left.
    app.admin(&["project", "purge", "doomed", "--yes"]).unwrap();
    assert!(counts(&app, "doomed").as_object().unwrap().values().all(|number| number == 0));
    assert_eq!(app.sql(Which::Vault, "SELECT count(*) FROM ciphertexts").trim(), "0");
    app.admin(&["store", "audit", "--older-than", "1s"]).unwrap();
}
