//! Payloads move between stores while clients work and the command is killed: nothing is lost, nothing is
//! there twice, and no client sees anything of it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use bailey_testkit::process::{self, Process};
use bailey_tests::app::TWO_STORES;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, scale};
use serde_json::Value;

use crate::kill::assert_settled;

pub const CASES: &[OwnCase] =
    cases![a_migration_is_killed_at_every_step_and_nobody_notices, a_whole_machine_dies_while_payloads_move];

const PATIENCE: Duration = Duration::from_secs(60);
/// The project whose secrets nobody changes: what the vault has of it beyond them a killed migration has left.
const QUIET: &str = "quiet";
const STORES: [&str; 2] = ["first", "second"];

fn start(database: Database) -> TestApp {
    let builder = TestApp::builder(database).file(TWO_STORES);
    // Nobody but the command destroys what it has left.
    builder.set("BAILEY_WORKER__DELETION_INTERVAL_SECONDS", "3600").start().unwrap()
}

fn fill(app: &TestApp) -> (Client, Vec<(String, String)>) {
    let client = app.client_of(QUIET, "tester", &["admin"]);
    let payloads = (0..120 * scale()).map(|number| format!("payload {number}"));
    let secrets = payloads.map(|payload| (client.store(&payload), payload)).collect();
    (client, secrets)
}

fn assert_readable(client: &Client, secrets: &[(String, String)]) {
    for (href, payload) in secrets {
        assert_eq!(client.payload(href), payload.as_bytes(), "{href}");
    }
}

/// Reads what moves, and stores, reads and deletes beside it, until told to stop. Nothing may fail.
fn work(mover: &Client, secrets: &[(String, String)], own: &Client, done: &AtomicBool) -> usize {
    let mut rounds = 0;
    while !done.load(Ordering::Relaxed) {
        for (href, payload) in secrets.iter().skip(rounds * 7 % secrets.len()).take(7) {
            assert_eq!(mover.payload(href), payload.as_bytes(), "{href}");
        }
        let payload = format!("round {rounds}");
        let href = own.store(&payload);
        assert_eq!(own.payload(&href), payload.as_bytes());
        if rounds % 2 == 0 {
            let _ = own.delete(&href).send().expect(204);
        }
        rounds += 1;
    }
    rounds
}

fn number(app: &TestApp, which: Which, query: &str) -> u64 {
    app.sql(which, query).trim().parse().unwrap()
}

/// How many of the quiet secrets a store has.
fn placed(app: &TestApp, store: &str) -> u64 {
    let query = "SELECT COUNT(*) FROM secrets s JOIN stores t ON t.id = s.store_id";
    number(app, Which::Metadata, &format!("{query} WHERE s.project = '{QUIET}' AND t.name = '{store}'"))
}

/// What killed migrations have left so far: copies that nothing refers to, originals that nothing refers to.
fn left_behind(app: &TestApp) -> (usize, usize) {
    let writes = |which, table: &str| -> HashSet<String> {
        let id = if app.database() == Database::Sqlite { "hex(write_id)" } else { "write_id" };
        let query = format!("SELECT {id} FROM {table} WHERE project = '{QUIET}' AND write_id IS NOT NULL");
        app.sql(which, &query).lines().map(str::to_owned).collect()
    };
    let stored = writes(Which::Vault, "ciphertexts");
    let (referred, due) = (writes(Which::Metadata, "secrets"), writes(Which::Metadata, "deletions"));
    let copies = stored.iter().filter(|write| !referred.contains(*write) && !due.contains(*write));
    (copies.count(), due.len())
}

fn command<'a>(from: &'a str, to: &'a str) -> Vec<&'a str> {
    vec!["store", "migrate", "--from", from, "--to", to, "--rate", "300", "--json"]
}

/// Kills a migration some time after it has moved something, another time in each round.
fn kill_one(app: &TestApp, from: &str, to: &str, round: u32) {
    let before = placed(app, to);
    let mut migration = Process::start(app.command(&command(from, to))).unwrap();
    process::until(PATIENCE, || {
        ensure!(placed(app, to) > before || !migration.is_running(), "nothing has moved");
        Ok(())
    })
    .unwrap();
    std::thread::sleep(Duration::from_micros(u64::from(round * 7_919 % 23) * 700));
    migration.kill();
}

fn finish(app: &TestApp, from: &str, to: &str) -> Value {
    serde_json::from_str(&app.admin(&command(from, to)).unwrap()).unwrap()
}

fn a_migration_is_killed_at_every_step_and_nobody_notices(database: Database) {
    let app = start(database);
    let (quiet, secrets) = fill(&app);
    let done = AtomicBool::new(false);
    let total = secrets.len() as u64;
    let (mut copies, mut originals) = (0, 0);
    let [mut from, mut to] = STORES;
    std::thread::scope(|threads| {
        let work = |_| threads.spawn(|| work(&quiet, &secrets, &app.client(), &done));
        let workers = [0, 1, 2].map(work);
        for round in 0..60 * scale() {
            kill_one(&app, from, to, round);
            let left = left_behind(&app);
            (copies, originals) = (copies.max(left.0), originals.max(left.1));
            assert_eq!(placed(&app, from) + placed(&app, to), total);
            if placed(&app, from) == 0 {
                (from, to) = (to, from);
            }
            if round >= 8 * scale() && copies > 0 && originals > 0 {
                break;
            }
        }
        let finished = finish(&app, from, to);
        assert_eq!((&finished["skipped"], placed(&app, to)), (&Value::Array(vec![]), total), "{finished}");
        done.store(true, Ordering::Relaxed);
        for worker in workers {
            assert!(worker.join().unwrap() > 5, "too little happened");
        }
    });
    assert!(copies > 0 && originals > 0, "no kill hit between copy, row and destruction: {copies}, {originals}");
    // Nobody stores any more: now nothing is left.
    let finished = finish(&app, from, to);
    assert_eq!((&finished["left"], &finished["payloads_to_destroy"]), (&0.into(), &0.into()), "{finished}");
    assert_once(&app, &quiet, &secrets);
}

/// Every secret has its payload, and the vault has nothing beside them.
fn assert_once(app: &TestApp, quiet: &Client, secrets: &[(String, String)]) {
    assert_readable(quiet, secrets);
    assert_settled(app);
    let stored = number(app, Which::Vault, "SELECT COUNT(*) FROM ciphertexts");
    let rows = number(app, Which::Metadata, "SELECT COUNT(*) FROM secrets WHERE write_id IS NOT NULL");
    assert_eq!(stored, rows);
}

fn a_whole_machine_dies_while_payloads_move(database: Database) {
    let app = start(database);
    let (quiet, secrets) = fill(&app);
    let [from, to] = STORES;
    for round in 0..4 * scale() {
        let before = placed(&app, to);
        let mut migration = Process::start(app.command(&command(from, to))).unwrap();
        process::until(PATIENCE, || {
            ensure!(placed(&app, to) > before || !migration.is_running(), "nothing has moved");
            Ok(())
        })
        .unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(round * 13 % 40)));
        app.kill();
        migration.kill();
        app.restart().unwrap();
        assert_readable(&quiet, &secrets[..10]);
    }
    // Two at once do no more than one.
    let mut other = Process::start(app.command(&command(from, to))).unwrap();
    let finished = finish(&app, from, to);
    assert!(other.wait(PATIENCE).unwrap().success());
    assert_eq!((&finished["skipped"], placed(&app, to)), (&Value::Array(vec![]), secrets.len() as u64), "{finished}");
    assert_once(&app, &quiet, &secrets);
}
