//! A backup made beside a running server fits together: what its metadata refers to is in its vault.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use bailey_testkit::process;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] =
    cases![what_is_deleted_during_a_backup_is_in_it, a_backup_that_took_too_long_is_not_trusted];

fn start(database: Database) -> TestApp {
    TestApp::builder(database).set("BAILEY_WORKER__DELETION_INTERVAL_SECONDS", "0.2").start().unwrap()
}

/// As docs/operations.md says.
fn dump(app: &TestApp, which: Which, file: &Path) {
    match app.database() {
        Database::Sqlite => drop(app.sql(which, &format!("VACUUM INTO '{}'", file.display()))),
        Database::Postgres => app.postgres().back_up(&url(app, which), file).unwrap(),
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
        Database::Postgres => app.postgres().restore(&url, file).unwrap(),
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
