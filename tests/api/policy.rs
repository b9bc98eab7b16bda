//! The rows of the policy table that are about secrets, asked over HTTP, for both generations.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bailey_core::acl::AclChange;
use bailey_core::clock::Clock;
use bailey_core::ids::{ProjectId, SecretId, UserId};
use bailey_db::{Config, Db, Error, acl};
use bailey_testkit::process;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Answer, Database, TestApp, cases};
use nix::sys::signal::Signal;
use serde_json::json;

pub const CASES: &[OwnCase] = cases![legacy_roles, new_roles, strict_rules, own_rules];

/// Barbican's own answers, computed with its policy engine.
const TABLE: &str = include_str!("../data/policy-table.csv");

/// How long a signal may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn legacy_roles(database: Database) {
    check(database, "legacy");
}

fn new_roles(database: Database) {
    check(database, "new");
}

/// What `compat = "strict"` shuts: another project's secrets, and other people's private ones.
fn strict_rules(database: Database) {
    for (compat, elsewhere, upload) in [("barbican", 403, 204), ("strict", 404, 403)] {
        let app = TestApp::builder(database).set("BAILEY_COMPAT", compat).start();
        let app = app.unwrap_or_else(|error| panic!("{error:#}"));
        let [bob, alice] = ["bob", "alice"].map(|user| app.client_of("here", user, &["creator"]));
        let stranger = app.client_of("elsewhere", "alice", &["creator"]);
        let (stored, private) = (bob.store("a payload"), bob.create(&json!({})));
        write_acls(&app, vec![(id(&private), false, Vec::new())]);

        for path in [stored.clone(), format!("{stored}/payload"), format!("{stored}/metadata")] {
            let denied = stranger.get(&path).header("Accept", "*/*").send().expect(elsewhere);
            if compat == "strict" {
                let absent = format!("/v1/secrets/{}", SecretId::new());
                let unknown = stranger.get(&path.replace(&stored, &absent)).header("Accept", "*/*").send().expect(404);
                assert_eq!(denied.text(), unknown.text(), "nothing tells one from the other");
            }
        }
        let _ = stranger.delete(&stored).send().expect(elsewhere);
        let _ = alice.put_payload(&private, "text/plain", b"late").expect(upload);
        assert_eq!(alice.payload(&stored), b"a payload");
    }
}

/// Policies of the operator's own, read again on SIGHUP, unless something is wrong with them.
fn own_rules(database: Database) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("own.cedar");
    let write = |text: &str| std::fs::write(&file, text).expect("a policy file");
    write("");
    let app = TestApp::builder(database).set("BAILEY_POLICY__FILE", &file.display().to_string()).start();
    let app = app.unwrap_or_else(|error| panic!("{error:#}"));
    let client = app.client();
    let until = |status: u16| {
        let answered = || {
            let answer = client.get("/v1/secrets").send();
            anyhow::ensure!(answer.status == status, "{answer}");
            Ok(())
        };
        process::until(PATIENCE, answered).unwrap_or_else(|error| panic!("{error:#}"));
    };
    until(200);
    let forbid = r#"forbid (principal, action == Action::"secrets:get", resource);"#;
    write(forbid);
    app.signal(Signal::SIGHUP).expect("a signal");
    until(403);

    write("permit (principal, action, resource);\npermit (");
    app.signal(Signal::SIGHUP).expect("a signal");
    let noticed = || {
        anyhow::ensure!(app.log().contains("own.cedar:2"), "{}", app.log());
        Ok(())
    };
    process::until(PATIENCE, noticed).unwrap_or_else(|error| panic!("{error:#}"));
    let _ = client.get("/v1/secrets").send().expect(403);
    assert!(app.admin(&["config", "check"]).is_err());

    write("");
    app.signal(Signal::SIGHUP).expect("a signal");
    until(200);
}

/// A row of the table, asked by alice.
struct Row {
    text: String,
    rule: String,
    /// What alice sends as her roles; without any she would be an admin.
    roles: String,
    is_here: bool,
    kind: Kind,
    is_allowed: bool,
}

/// What is special about a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    is_hers: bool,
    is_private: bool,
    lists_her: bool,
}

impl Row {
    fn read(record: &csv::StringRecord) -> Self {
        let is = |column: usize| &record[column] == "1";
        Self {
            text: record.iter().collect::<Vec<_>>().join(","),
            rule: record[0].to_owned(),
            roles: if &record[2] == "none" { "nobody".to_owned() } else { record[2].to_owned() },
            is_here: is(3),
            kind: Kind { is_hers: is(4), is_private: is(5), lists_her: is(6) },
            is_allowed: is(7),
        }
    }

    /// The rows of a generation whose resources are served.
    fn all(generation: &str) -> Vec<Self> {
        let served = ["secrets", "secret", "secret_meta"];
        let records = csv::Reader::from_reader(TABLE.as_bytes()).into_records().map(|record| record.expect("a row"));
        let wanted = records.filter(|record| {
            &record[1] == generation
                && record[0].split_once(':').is_some_and(|(resource, _)| served.contains(&resource))
        });
        wanted.map(|record| Self::read(&record)).collect()
    }

    /// Whether the row leaves its secret in a state that would disturb the next one.
    fn uses_up(&self) -> bool {
        let reads = self.rule.starts_with("secrets:") || self.rule.ends_with(":get") || self.rule == "secret:decrypt";
        self.is_allowed && !reads
    }

    /// Does what the rule is about; the second value is the status if that is allowed.
    fn ask(&self, app: &TestApp, secret: &str) -> (Answer, u16) {
        let alice = app.client_of(if self.is_here { "here" } else { "elsewhere" }, "alice", &[&self.roles]);
        let metadata = format!("{secret}/metadata");
        let (request, status) = match self.rule.as_str() {
            "secrets:post" => (alice.post("/v1/secrets").json(&json!({})), 201),
            "secrets:get" => (alice.get("/v1/secrets"), 200),
            "secret:get" => (alice.get(secret), 200),
            "secret:decrypt" => (alice.get(&format!("{secret}/payload")).header("Accept", "text/plain"), 200),
            "secret:put" => (alice.put(secret).payload("text/plain", b"late"), 204),
            "secret:delete" => (alice.delete(secret), 204),
            "secret_meta:get" => (alice.get(&metadata), 200),
            "secret_meta:post" => (alice.post(&metadata).json(&json!({ "key": "k", "value": "v" })), 201),
            "secret_meta:put" => (alice.put(&metadata).json(&json!({ "metadata": {} })), 201),
            "secret_meta:delete" => (alice.delete(&format!("{metadata}/k")), 204),
            rule => panic!("no request for {rule}"),
        };
        (request.send(), status)
    }
}

fn check(database: Database, generation: &str) {
    let app = TestApp::builder(database).set("BAILEY_POLICY__GENERATION", generation).start();
    let app = app.unwrap_or_else(|error| panic!("{error:#}"));
    let rows = Row::all(generation);
    assert_eq!(rows.len(), 8 * 128 + 2 * 8);

    // Rows that change nothing share one secret of each kind.
    let mut shared = HashMap::new();
    let mut acls = Vec::new();
    let mut secrets = Vec::new();
    for row in &rows {
        let mut create = |has_payload| {
            let secret = create(&app, &row.kind, has_payload);
            acls.extend(readers(&row.kind).map(|users| (id(&secret), !row.kind.is_private, users)));
            secret
        };
        secrets.push(if row.uses_up() {
            create(row.rule != "secret:put")
        } else {
            shared.entry(row.kind.clone()).or_insert_with(|| create(true)).clone()
        });
    }
    write_acls(&app, acls);

    let wrong = rows.iter().zip(&secrets).filter_map(|(row, secret)| {
        let (answer, status) = row.ask(&app, secret);
        let expected = if row.is_allowed { status } else { 403 };
        (answer.status != expected).then(|| format!("{}: {answer}", row.text))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{} rows are answered wrongly:\n{}", wrong.len(), wrong.join("\n"));
}

fn create(app: &TestApp, kind: &Kind, has_payload: bool) -> String {
    let creator = app.client_of("here", if kind.is_hers { "alice" } else { "bob" }, &["admin"]);
    if has_payload { creator.store("a payload") } else { creator.create(&json!({})) }
}

/// Whom the ACL lists, if the secret needs one to be what it is.
fn readers(kind: &Kind) -> Option<Vec<UserId>> {
    let names: &[&str] = match kind {
        Kind { lists_her: true, .. } => &["carol", "alice"],
        Kind { is_private: true, .. } => &["carol"],
        _ => return None,
    };
    Some(names.iter().map(|name| UserId::new(*name).expect("a user id")).collect())
}

fn id(href: &str) -> SecretId {
    href.rsplit('/').next().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no id in {href}"))
}

/// Past the API, which doesn't serve ACLs.
fn write_acls(app: &TestApp, acls: Vec<(SecretId, bool, Vec<UserId>)>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let db = Db::connect(&Config::new(app.database_url())).await.expect("the metadata database");
        let acls = Arc::new(acls);
        let written: Result<(), Error> = db
            .write(move |tx| {
                let acls = Arc::clone(&acls);
                Box::pin(async move {
                    let here = ProjectId::new("here").expect("a project id");
                    for (secret, project_access, users) in acls.iter() {
                        let change = AclChange { project_access: Some(*project_access), users: Some(users.clone()) };
                        acl::put(tx, &here, (*secret).into(), &change, Clock::system().now()).await?;
                    }
                    Ok(())
                })
            })
            .await;
        written.expect("the ACLs");
        db.close().await;
    });
}
