//! A backup made beside a running server fits together: what its metadata refers to is in its vault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use bailey_testkit::process;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] = cases![
    what_is_deleted_during_a_backup_is_in_it,
    a_backup_made_under_load_reads_elsewhere,
    an_older_dump_of_the_metadata_destroys_nothing,
    a_backup_that_took_too_long_is_not_trusted,
];

fn start(database: Database) -> TestApp {
    TestApp::builder(database).set("BAILEY_WORKER__DELETION_INTERVAL_SECONDS", "0.2").start().unwrap()
}

/// As docs/operations.md says.
fn dump(app: &TestApp, which: Which, file: &Path) {
    match app.database() {
        Database::Sqlite => drop(app.sql(which, &format!("VACUUM INTO '{}'", file.display()))),
        Database::Postgres | Database::Split => app.postgres().back_up(&url(app, which), file).unwrap(),
    }
}

/// As docs/operations.md says.
fn restore(app: &TestApp, which: Which, file: &Path) {
    let url = url(app, which);
    match app.database() {
        Database::Sqlite => {
            let database = url.strip_prefix("sqlite://").unwrap();
            for more in ["-wal", "-shm"] {
                let _ = fs::remove_file(format!("{database}{more}"));
            }
            fs::copy(file, database).unwrap();
        }
        Database::Postgres | Database::Split => app.postgres().restore(&url, file).unwrap(),
    }
}

fn url(app: &TestApp, which: Which) -> String {
    match which {
        Which::Metadata => app.database_url(),
        Which::Vault => app.vault_url(),
    }
}

fn status(app: &TestApp) -> (bool, u64) {
    let status: Value = serde_json::from_str(&app.admin(&["backup", "status", "--json"]).unwrap()).unwrap();
    (status["held_until"].is_string(), status["waiting"].as_u64().unwrap())
}

fn what_is_deleted_during_a_backup_is_in_it(database: Database) {
    let app = start(database);
    let client = app.client();
    let [deleted, kept] = ["deleted meanwhile", "kept"].map(|payload| client.store(payload));
    let folder = tempfile::tempdir().unwrap();
    let [metadata, vault] = ["metadata", "vault"].map(|name| folder.path().join(name));

    assert_eq!(status(&app), (false, 0));
    app.admin(&["backup", "begin"]).unwrap();
    assert!(app.admin(&["backup", "begin"]).unwrap_err().to_string().contains("another backup"));
    dump(&app, Which::Metadata, &metadata);
    let _ = client.delete(&deleted).send().expect(204);
    let late = client.store("not in the dump of the metadata");
    // Several looks for payloads to destroy.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(status(&app), (true, 1));
    let refused = app.admin(&["store", "audit", "--repair"]).unwrap_err().to_string();
    assert!(refused.contains("bailey backup status"), "{refused}");
    dump(&app, Which::Vault, &vault);
    app.admin(&["backup", "end"]).unwrap();
    process::until(Duration::from_secs(10), || {
        ensure!(status(&app) == (false, 0), "what was deleted is still there");
        Ok(())
    })
    .unwrap();
    let _ = client.get(&deleted).send().expect(404);

    app.stop().unwrap();
    restore(&app, Which::Metadata, &metadata);
    restore(&app, Which::Vault, &vault);
    app.admin(&["restore"]).unwrap();
    app.restart().unwrap();
    assert_eq!(client.payload(&deleted), b"deleted meanwhile");
    assert_eq!(client.payload(&kept), b"kept");
    let _ = client.get(&late).send().expect(404);
    let audit: Value = serde_json::from_str(&app.admin(&["store", "audit", "--json"]).unwrap()).unwrap();
    assert_eq!((&audit[0]["rows"], &audit[0]["unreadable"]), (&json!(2), &json!([])));
    assert!(!status(&app).0, "the hold was restored with the rest");
}

/// A Bailey of another folder and other databases, with the key files of the first: another machine.
fn elsewhere(app: &TestApp, dumps: [&Path; 2]) -> TestApp {
    let other = TestApp::builder(app.database())
        // Whatever could be destroyed would be at once.
        .set("BAILEY_WORKER__DELETION_INTERVAL_SECONDS", "0.1")
        .set("BAILEY_WORKER__SWEEP_INTERVAL_SECONDS", "0.1")
        .set("BAILEY_WORKER__ORPHAN_AGE_SECONDS", "0.001")
        .prepare()
        .unwrap();
    let [from, to] = [app, &other].map(|app| app.data_dir().join("keys"));
    let private = |folder: &Path| fs::DirBuilder::new().mode(0o700).recursive(true).create(folder).unwrap();
    private(&other.data_dir());
    private(&to);
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    for (which, dump) in [Which::Metadata, Which::Vault].into_iter().zip(dumps) {
        restore(&other, which, dump);
    }
    other.admin(&["restore"]).unwrap();
    other.restart().unwrap();
    other
}

fn id(href: &str) -> String {
    href.rsplit('/').next().unwrap().to_owned()
}

fn of_project(app: &TestApp) -> Client {
    app.client_of("backed-up", "tester", &["admin"])
}

/// The ids of all secrets.
fn listed(client: &Client) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    loop {
        let page = client.describe(&format!("/v1/secrets?limit=100&offset={}", ids.len()));
        let secrets = page["secrets"].as_array().unwrap();
        ids.extend(secrets.iter().map(|secret| id(secret["secret_ref"].as_str().unwrap())));
        if secrets.is_empty() {
            return ids;
        }
    }
}

/// Stores and deletes until told to stop. What was stored, with its payload; and what was to be deleted.
fn load(client: &Client, writer: usize, is_over: &AtomicBool) -> (Vec<(String, String)>, Vec<String>) {
    let (mut stored, mut deleted) = (Vec::new(), Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        let payload = format!("payload {} of writer {writer}", stored.len());
        stored.push((id(&client.store(&payload)), payload));
        if stored.len() % 3 == 0 {
            let (victim, _) = &stored[stored.len() / 2];
            if !deleted.contains(victim) {
                let _ = client.delete(&format!("/v1/secrets/{victim}")).send().expect(204);
                deleted.push(victim.clone());
            }
        }
    }
    (stored, deleted)
}

fn a_backup_made_under_load_reads_elsewhere(database: Database) {
    let app = start(database);
    let (client, folder, is_over) = (of_project(&app), tempfile::tempdir().unwrap(), AtomicBool::new(false));
    let [metadata, vault] = ["metadata", "vault"].map(|name| folder.path().join(name));
    let early: Vec<_> = (0..20).map(|number| format!("early {number}")).collect();
    let early: Vec<_> = early.into_iter().map(|payload| (id(&client.store(&payload)), payload)).collect();
    let (stored, deleted): (Vec<_>, Vec<_>) = std::thread::scope(|scope| {
        let (client, is_over) = (&client, &is_over);
        let writers: Vec<_> = (0..4).map(|writer| scope.spawn(move || load(client, writer, is_over))).collect();
        std::thread::sleep(Duration::from_secs(1));
        app.admin(&["backup", "begin"]).unwrap();
        dump(&app, Which::Metadata, &metadata);
        std::thread::sleep(Duration::from_secs(1));
        dump(&app, Which::Vault, &vault);
        app.admin(&["backup", "end"]).unwrap();
        is_over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).unzip()
    });
    let deleted: BTreeSet<_> = deleted.into_iter().flatten().collect();
    let known: BTreeMap<_, _> = stored.into_iter().flatten().chain(early.iter().cloned()).collect();
    assert!(known.len() > 40 && deleted.len() > 5, "{} stored, {} deleted", known.len(), deleted.len());
    let kept_alive = known.keys().rfind(|id| !deleted.contains(*id)).unwrap();
    assert_eq!(client.payload(&format!("/v1/secrets/{kept_alive}")), known[kept_alive].as_bytes());
    app.stop().unwrap();

    let other = elsewhere(&app, [&metadata, &vault]);
    let client = of_project(&other);
    let ids = listed(&client);
    assert!(early.iter().all(|(id, _)| ids.contains(id)), "what was stored before the backup is missing");
    assert!(ids.len() > early.len(), "nothing of what the load stored before the dump");
    for id in &ids {
        assert_eq!(client.payload(&format!("/v1/secrets/{id}")), known[id].as_bytes());
    }
    let audit: Value = serde_json::from_str(&other.admin(&["store", "audit", "--json"]).unwrap()).unwrap();
    assert_eq!((&audit[0]["rows"], &audit[0]["unreadable"]), (&json!(ids.len()), &json!([])));
}

fn an_older_dump_of_the_metadata_destroys_nothing(database: Database) {
    let app = start(database);
    let (client, folder) = (of_project(&app), tempfile::tempdir().unwrap());
    let [older, newer, vault] = ["older", "newer", "vault"].map(|name| folder.path().join(name));
    let kept = client.store("in both");
    app.admin(&["backup", "begin"]).unwrap();
    dump(&app, Which::Metadata, &older);
    let late: Vec<String> = (0..10).map(|number| client.store(&format!("late {number}"))).collect();
    app.admin(&["backup", "end"]).unwrap();
    app.stop().unwrap();
    dump(&app, Which::Metadata, &newer);
    dump(&app, Which::Vault, &vault);

    let other = elsewhere(&app, [&older, &vault]);
    let orphans = || {
        let audit = other.admin(&["store", "audit", "--older-than", "1s", "--json"]).unwrap();
        let audit: Value = serde_json::from_str(&audit).unwrap();
        audit[0]["orphans"].as_array().unwrap().len()
    };
    let begin_anew_with = |dump: &Path| {
        other.stop().unwrap();
        restore(&other, Which::Metadata, dump);
        other.admin(&["restore"]).unwrap();
        other.restart().unwrap();
    };
    // Many times as long as the sweeper waits.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(of_project(&other).payload(&format!("/v1/secrets/{}", id(&kept))), b"in both");
    assert_eq!(orphans(), late.len());

    // The mistake is found: the right dump beside the same vault has everything.
    begin_anew_with(&newer);
    for (number, href) in late.iter().enumerate() {
        let payload = of_project(&other).payload(&format!("/v1/secrets/{}", id(href)));
        assert_eq!(payload, format!("late {number}").into_bytes());
    }
    // It was the restore that kept them: once it is accepted, they go.
    begin_anew_with(&older);
    other.admin(&["store", "audit", "--accept-restore"]).unwrap();
    process::until(Duration::from_secs(20), || {
        ensure!(orphans() == 0, "orphans of an accepted restore are still there");
        Ok(())
    })
    .unwrap();
}

fn a_backup_that_took_too_long_is_not_trusted(database: Database) {
    let app = start(database);
    let client = app.client();
    let href = client.store("deleted");
    assert!(app.admin(&["backup", "end"]).unwrap_err().to_string().contains("no backup"));
    app.admin(&["backup", "begin", "--for", "2s"]).unwrap();
    let _ = client.delete(&href).send().expect(204);
    assert_eq!(status(&app), (true, 1));
    process::until(Duration::from_secs(20), || {
        ensure!(status(&app) == (false, 0), "a hold that ran out is none");
        Ok(())
    })
    .unwrap();
    let told = app.admin(&["backup", "end"]).unwrap_err().to_string();
    assert!(told.contains("may not fit together") && told.contains("--for"), "{told}");
    app.admin(&["backup", "begin"]).unwrap();
    app.admin(&["backup", "end"]).unwrap();
}
