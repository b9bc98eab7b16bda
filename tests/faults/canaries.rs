//! Canaries: payloads, keys and tokens with a face, used in every way, and then searched for where
//! they must not be.

use std::fs;
use std::time::Duration;

use bailey_testkit::process;
use bailey_tests::collector::Collector;
use bailey_tests::search::Haystack;
use bailey_tests::secrets::base64;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const CASES: &[OwnCase] = cases![nothing_secret_is_where_it_must_not_be];

/// What must not be found, and what it is.
pub type Needles = Vec<(String, Vec<u8>)>;

/// A payload that is like no other.
pub fn canary() -> String {
    format!("canary-{}", uuid::Uuid::new_v4())
}

fn nothing_secret_is_where_it_must_not_be(database: Database) {
    let metrics = format!("127.0.0.1:{}", bailey_testkit::ports::free());
    let collector = Collector::start();
    let builder = TestApp::builder(database).with_tokens().set("BAILEY_METRICS__LISTEN", &metrics);
    let builder = builder.set("BAILEY_TRACES__ENDPOINT", &collector.endpoint());
    let app = builder.set("BAILEY_LOG__LEVEL", "debug").start().unwrap();
    let mut run = Run {
        client: app.client_of("canaries", "operator", &["admin"]),
        needles: tokens(&app),
        answers: Vec::new(),
        ciphertexts: Vec::new(),
    };

    run.store_and_read();
    run.order();
    run.err();
    run.ciphertexts.extend(hex_column(&app, "ciphertexts", "bytes"));
    let printed = administrate(&app, &mut run);
    run.ciphertexts.extend(hex_column(&app, "ciphertexts", "bytes"));
    run.ciphertexts.extend(hex_column(&app, "project_keks", "wrapped"));
    run.delete();

    let scraped = Client::anonymous(metrics.parse().unwrap()).get("/metrics").send().expect(200);
    let dump = metadata_dump(&app);
    app.stop().unwrap();
    let mut haystacks = vec![
        Haystack::new("log", app.log().as_bytes()),
        Haystack::new("stdout", app.stdout().as_bytes()),
        Haystack::new("audit events", &fs::read(app.data_dir().join("audit.log")).unwrap()),
        Haystack::new("metrics", &scraped.body),
        Haystack::new("traces", &collector.bytes()),
        Haystack::new("errors", run.answers.join("\n").as_bytes()),
        Haystack::new("administration", printed.as_bytes()),
    ];
    run.needles.extend(keys(&app));
    haystacks.extend(dump);
    for haystack in &haystacks {
        assert!(!haystack.is_empty(), "{} is empty", haystack.name());
        haystack.prove(canary().as_bytes());
        for (what, bytes) in &run.needles {
            assert_eq!(haystack.find(bytes), None, "{what} is in {}", haystack.name());
        }
        assert!(run.ciphertexts.len() > 10);
        for ciphertext in &run.ciphertexts {
            assert_eq!(haystack.find(ciphertext), None, "a ciphertext is in {}", haystack.name());
        }
    }
}

/// What clients do.
struct Run {
    client: Client,
    needles: Needles,
    answers: Vec<String>,
    ciphertexts: Vec<Vec<u8>>,
}

impl Run {
    fn new_canary(&mut self) -> String {
        let canary = canary();
        self.needles.push(("a payload".to_owned(), canary.clone().into_bytes()));
        // A short payload can be guessed, and a guess confirmed by its hash.
        self.needles.push(("a payload's hash".to_owned(), Sha256::digest(&canary).to_vec()));
        canary
    }

    fn store_and_read(&mut self) {
        for _ in 0..8 {
            let text = self.new_canary();
            let href = self.client.store(&text);
            assert_eq!(self.client.payload(&href), text.as_bytes());
            let bytes = self.new_canary();
            let href = self.client.store_bytes(bytes.as_bytes());
            let _ = self.client.get(&href).header("Accept", "application/octet-stream").send().expect(200);
            let later = self.new_canary();
            let href = self.client.create(&json!({ "name": "labelled" }));
            let _ = self.client.put_payload(&href, "application/octet-stream", later.as_bytes()).expect(204);
            assert_eq!(self.client.payload(&href), later.as_bytes());
            let _ = self.client.get(&format!("{href}/payload")).send().expect(200);
        }
        let _ = self.client.get("/v1/secrets?limit=100").send().expect(200);
    }

    /// Orders with passphrases: one that is done, one that fails, one that has no use for it, one refused.
    fn order(&mut self) {
        let mut hrefs = Vec::new();
        for (kind, algorithm, bits, status) in [
            ("asymmetric", "ec", 256, 202),
            ("asymmetric", "rot13", 256, 202),
            ("key", "aes", 256, 202),
            ("asymmetric", "ec", 257, 400),
        ] {
            let meta = json!({ "algorithm": algorithm, "bit_length": bits, "passphrase": self.new_canary() });
            let answer = self.client.post("/v1/orders").json(&json!({ "type": kind, "meta": meta })).send();
            self.answers.push(answer.text());
            let answer = answer.expect(status);
            hrefs.extend(answer.json()["order_ref"].as_str().map(str::to_owned));
        }
        for href in hrefs {
            let ended = process::until(Duration::from_secs(60), || {
                let order = self.client.describe(&href);
                anyhow::ensure!(order["status"] != "PENDING", "{order}");
                Ok(order)
            });
            let order = ended.unwrap();
            self.answers.push(order.to_string());
            if let Some(secret) = order["secret_ref"].as_str() {
                self.needles.push(("a generated key".to_owned(), self.client.payload(secret)));
            }
        }
        self.answers.push(self.client.describe("/v1/orders").to_string());
    }

    /// Every complaint that is made about a request with a payload in it.
    fn err(&mut self) {
        let href = self.client.store("there");
        let stranger = self.client.clone().with("X-Auth-Token", "no.token");
        for _ in 0..2 {
            let text = self.new_canary();
            let body = |more: Value| {
                let mut body = json!({ "payload": text, "payload_content_type": "text/plain" });
                body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                body
            };
            let mut requests: Vec<_> = [
                json!({ "payload_content_type": "text/html" }),
                json!({ "payload_content_type": "application/octet-stream" }),
                json!({ "payload_content_type": "application/octet-stream", "payload_content_encoding": "base64" }),
                json!({ "payload_content_encoding": "gzip" }),
                json!({ "secret_type": "nonsense" }),
                json!({ "payload": [text] }),
                json!({ "payload": text.repeat(600) }),
                json!({ "expiration": "2001-01-01" }),
                json!({ "transport_key_id": "x" }),
            ]
            .into_iter()
            .map(|more| self.client.post("/v1/secrets").json(&body(more)))
            .collect();
            let whole = body(json!({})).to_string();
            requests.extend([
                stranger.post("/v1/secrets").json(&body(json!({}))),
                self.client.post("/v1/secrets").payload("text/plain", whole.clone()),
                self.client.post("/v1/secrets").payload("application/json", &whole.as_bytes()[1..]),
                self.client.post("/v1/secrets").payload("application/json", &whole.as_bytes()[..whole.len() - 1]),
                self.client.post("/v1/nothing").json(&body(json!({}))),
                self.client.put(&href).payload("text/plain", text.clone()),
                self.client.put(&href).payload("text/html", text.clone()),
                self.client.put(&href).payload("text/plain", text.repeat(600)),
                self.client.put(&format!("{href}/metadata")).payload("application/json", text.clone()),
                self.client.put("/v1/secrets/junk").payload("text/plain", text.clone()),
            ]);
            let encoded = base64(text.as_bytes());
            let bare = self.client.create(&json!({}));
            requests.push(
                self.client
                    .put(&bare)
                    .payload("application/octet-stream", encoded + "!")
                    .header("Content-Encoding", "base64"),
            );
            for request in requests {
                let answer = request.send();
                assert!((400..500).contains(&answer.status), "{answer}");
                self.answers.push(answer.text());
            }
        }
    }

    fn delete(&mut self) {
        let listed = self.client.describe("/v1/secrets?limit=100");
        let hrefs = listed["secrets"].as_array().unwrap().iter().map(|secret| secret["secret_ref"].as_str().unwrap());
        for href in hrefs.step_by(2) {
            let _ = self.client.delete(href).send().expect(204);
        }
    }
}

/// Tokens of every state: good, revoked, made up. Only what makes them good is secret.
fn tokens(app: &TestApp) -> Needles {
    let tokens = [(); 3].map(|()| app.token("canaries", "tester", &["creator"]).unwrap());
    let admin = fs::read_to_string(app.data_dir().join("admin.token")).unwrap();
    let (id, _) = tokens[1].split_once('.').unwrap();
    app.admin(&["token", "revoke", id]).unwrap();
    let made_up = format!("{id}.{}", base64(uuid::Uuid::new_v4().as_bytes()));
    let mut needles = Needles::new();
    for token in tokens.iter().map(String::as_str).chain([admin.trim(), &made_up]) {
        for client in [
            app.anonymous().with("X-Auth-Token", token),
            app.anonymous().with("Authorization", &format!("Bearer {token}")),
        ] {
            assert!(matches!(client.get("/v1/secrets").send().status, 200 | 401));
        }
        let secret = token.split_once('.').unwrap().1;
        needles.push(("a token".to_owned(), secret.as_bytes().to_vec()));
        needles.extend(decoded(secret).map(|bytes| ("a token's bytes".to_owned(), bytes)));
    }
    needles
}

/// What operators do. Returns what it prints.
fn administrate(app: &TestApp, run: &mut Run) -> String {
    let mut printed = String::new();
    let mut admin = |arguments: &[&str]| {
        let output = app.admin(arguments).unwrap();
        printed += &output;
        output
    };
    admin(&["mkek", "add"]);
    let keys: Value = serde_json::from_str(&admin(&["mkek", "list", "--json"])).unwrap();
    let added = keys.as_array().unwrap().iter().find(|key| key["state"] == json!("added")).unwrap();
    let id = added["id"].as_str().unwrap().to_owned();
    // The running server is told by a signal, and then reports that it has the key.
    app.signal(nix::sys::signal::Signal::SIGHUP).unwrap();
    bailey_testkit::process::until(std::time::Duration::from_secs(20), || app.admin(&["mkek", "activate", &id]))
        .unwrap();
    run.store_and_read();
    for arguments in [
        &["kek", "rotate", "--project", "canaries", "--reencrypt"][..],
        &["token", "list"],
        &["kek", "list"],
        &["mkek", "list"],
        &["store", "audit"],
        &["config", "print"],
        &["db", "status"],
    ] {
        admin(arguments);
    }
    run.store_and_read();
    printed
}

/// Every key in the key files.
fn keys(app: &TestApp) -> Needles {
    let mut needles = Needles::new();
    for entry in fs::read_dir(app.data_dir().join("keys")).unwrap() {
        for line in fs::read_to_string(entry.unwrap().path()).unwrap().lines().filter(|line| !line.starts_with('#')) {
            let (_, key) = line.split_once(' ').unwrap();
            needles.push(("a key's line".to_owned(), key.as_bytes().to_vec()));
            needles.extend(decoded(key).map(|bytes| ("a key".to_owned(), bytes)));
        }
    }
    assert!(needles.len() >= 6, "two MKEKs and a worker key");
    needles
}

pub fn decoded(text: &str) -> Option<Vec<u8>> {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok()
}

fn hex_column(app: &TestApp, table: &str, column: &str) -> Vec<Vec<u8>> {
    let expression = match app.database() {
        Database::Sqlite => format!("hex({column})"),
        Database::Postgres | Database::Split => format!("encode({column}, 'hex')"),
    };
    let rows = app.sql(Which::Vault, &format!("SELECT {expression} FROM {table}"));
    rows.lines()
        .map(|row| (0..row.len()).step_by(2).map(|at| u8::from_str_radix(&row[at..at + 2], 16).unwrap()).collect())
        .collect()
}

/// The metadata database in full: its dump, and for SQLite the files as they are on the disk. A
/// value planted as text and as bytes is found in each of them first.
fn metadata_dump(app: &TestApp) -> Vec<Haystack> {
    let planted = plant(app);
    let haystacks = dumps(app);
    for haystack in &haystacks {
        assert!(haystack.find(&planted).is_some(), "{} doesn't show what is planted", haystack.name());
    }
    haystacks
}

/// Puts a canary into the metadata database.
pub fn plant(app: &TestApp) -> Vec<u8> {
    let planted = canary();
    let hex: String = planted.bytes().map(|byte| format!("{byte:02x}")).collect();
    let (kind, literal) = match app.database() {
        Database::Sqlite => ("BLOB", format!("x'{hex}'")),
        Database::Postgres | Database::Split => ("bytea", format!("'\\x{hex}'")),
    };
    let _ = app
        .sql(Which::Metadata, &format!("CREATE TABLE planted (kept {kind}); INSERT INTO planted VALUES ({literal})"));
    planted.into_bytes()
}

pub fn dumps(app: &TestApp) -> Vec<Haystack> {
    match app.database() {
        Database::Postgres | Database::Split => {
            vec![Haystack::new("pg_dump", &app.postgres().dump(&app.database_url()).unwrap())]
        }
        Database::Sqlite => {
            let dump = app.sql(Which::Metadata, ".dump");
            let files =
                ["metadata.db", "metadata.db-wal"].map(|file| fs::read(app.data_dir().join(file)).unwrap_or_default());
            vec![Haystack::new(".dump", dump.as_bytes()), Haystack::new("metadata.db", &files.concat())]
        }
    }
}
