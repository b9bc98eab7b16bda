//! Who may do what, asked over HTTP.

mod matrix;
mod strict;
mod table;

use std::time::Duration;

use bailey_testkit::process;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};
use nix::sys::signal::Signal;

use matrix::matrix_of_the_contract;
use strict::{lists_keep_what_is_private, no_project_sees_another, only_owners_and_admins_change_what_is_private};

pub const CASES: &[OwnCase] = cases![
    legacy_roles,
    new_roles,
    legacy_roles_strictly,
    new_roles_strictly,
    matrix_of_the_contract,
    no_project_sees_another,
    only_owners_and_admins_change_what_is_private,
    lists_keep_what_is_private,
    own_rules,
];

/// How long a signal may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn legacy_roles(database: Database) {
    table::check(database, "legacy", "barbican");
}

fn new_roles(database: Database) {
    table::check(database, "new", "barbican");
}

fn legacy_roles_strictly(database: Database) {
    table::check(database, "legacy", "strict");
}

fn new_roles_strictly(database: Database) {
    table::check(database, "new", "strict");
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
