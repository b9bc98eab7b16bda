//! API processes and workers apart: any of them, NATS and PostgreSQL go away and come back under load.

mod fleet;

use std::fs;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bailey_testkit::process;
use bailey_tests::app::{Node, Role};
use bailey_tests::sql::Which;
use bailey_tests::{Database, TestApp, cases, scale};
use serde_json::json;

use crate::kill::assert_settled;
use fleet::Fleet;

pub const CASES: &[(&str, fn())] = cases![
    without_a_worker_the_answer_is_503_at_once,
    requests_of_a_killed_worker_are_done_once_at_most,
    nats_comes_back_and_so_do_both_sides,
    postgresql_comes_back_and_workers_go_on,
    a_rolling_restart_shows_clients_nothing_but_503,
    a_migration_that_adds_leaves_running_processes_working,
    of_several_first_starts_one_makes_the_keys,
    the_queue_s_key_is_rotated_while_all_goes_on,
];

/// As soon as NATS has noticed, which a broken connection tells it at once.
const AT_ONCE: Duration = Duration::from_millis(100);

fn start() -> TestApp {
    TestApp::builder(Database::Split).start().unwrap_or_else(|error| panic!("{error:#}"))
}

fn without_a_worker_the_answer_is_503_at_once() {
    let app = start();
    let (client, worker) = (app.client(), &app.nodes()[0]);
    let href = client.store("before");
    worker.kill();
    let refused = process::until(Duration::from_secs(10), || {
        ensure!(client.get(&href).try_send()?.status == 503);
        Ok(())
    });
    refused.unwrap();
    for _ in 0..20 {
        let begun = Instant::now();
        let answer = client.get(&href).send().expect(503);
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        assert!(answer.header("retry-after").is_some(), "{answer}");
    }
    worker.restart().unwrap();
    assert_eq!(client.payload(&href), b"before");
}

fn requests_of_a_killed_worker_are_done_once_at_most() {
    let fleet = Fleet::start(2);
    let workers = fleet.of(Role::Worker);
    let book = fleet.under_load(|| {
        for round in 0..6 * scale() as usize {
            let worker = workers[round % workers.len()];
            worker.kill();
            std::thread::sleep(Duration::from_millis(300));
            worker.restart().unwrap();
        }
    });
    book.assert_kept(&fleet.app.client_of("fleet", "tester", &["admin"]));
    assert_eq!(book.broken.load(Ordering::Relaxed), 0, "API processes went on");
    assert_settled(&fleet.app);
}

fn nats_comes_back_and_so_do_both_sides() {
    let fleet = Fleet::start(2);
    let book = fleet.under_load(|| {
        for round in 0..3 {
            let nats = fleet.app.nats();
            if round % 2 == 0 {
                nats.stop().unwrap()
            } else {
                nats.kill()
            }
            std::thread::sleep(Duration::from_millis(700));
            nats.restart().unwrap();
            assert_recovers(&fleet);
        }
    });
    book.assert_kept(&fleet.app.client_of("fleet", "tester", &["admin"]));
    assert_eq!(book.broken.load(Ordering::Relaxed), 0);
    assert!(book.refused.load(Ordering::Relaxed) > 0, "nobody noticed");
}

fn postgresql_comes_back_and_workers_go_on() {
    let fleet = Fleet::start(2);
    let book = fleet.under_load(|| {
        for round in 0..2 {
            let postgres = fleet.app.postgres();
            if round % 2 == 0 {
                postgres.stop().unwrap()
            } else {
                postgres.kill().unwrap()
            }
            std::thread::sleep(Duration::from_millis(700));
            postgres.restart().unwrap();
            assert_recovers(&fleet);
        }
    });
    book.assert_kept(&fleet.app.client_of("fleet", "tester", &["admin"]));
    assert_eq!(book.broken.load(Ordering::Relaxed), 0);
    assert!(book.refused.load(Ordering::Relaxed) > 0, "nobody noticed");
}

/// Through each API process something can be stored again, and each process says that it is ready.
fn assert_recovers(fleet: &Fleet) {
    let client = fleet.app.client_of("fleet", "tester", &["admin"]);
    for node in fleet.nodes() {
        let client = client.clone().at(node.address());
        let recovered = process::until(Duration::from_secs(30), || {
            let ready = client.get("/readyz").try_send()?;
            ensure!(ready.status == 200, "{ready}");
            if node.role() == Role::Api {
                let answer = client.post("/v1/secrets").json(&json!({ "name": "recovered" })).try_send()?;
                ensure!(answer.status == 201, "{answer}");
            }
            Ok(())
        });
        recovered.unwrap_or_else(|error| panic!("{:?}: {error:#}", node.role()));
    }
}

fn a_rolling_restart_shows_clients_nothing_but_503() {
    let fleet = Fleet::start(3);
    let book = fleet.under_load(|| {
        // Workers first, as an upgrade does it.
        for node in fleet.of(Role::Worker).into_iter().chain(fleet.of(Role::Api)) {
            assert!(node.stop().unwrap().is_some_and(|status| status.success()), "{}", node.log());
            node.restart().unwrap();
        }
    });
    book.assert_kept(&fleet.app.client_of("fleet", "tester", &["admin"]));
    assert_eq!(book.broken.load(Ordering::Relaxed), 0, "a connection was broken");
    assert_settled(&fleet.app);
}

/// What the next release may do to the schemas while processes of this one run.
fn a_migration_that_adds_leaves_running_processes_working() {
    let fleet = Fleet::start(2);
    let book = fleet.under_load(|| {
        for (which, table) in [(Which::Metadata, "secrets"), (Which::Vault, "ciphertexts")] {
            let added = [
                format!("ALTER TABLE {table} ADD COLUMN added_later text NOT NULL DEFAULT 'later'"),
                format!("CREATE INDEX {table}_added_later ON {table} (added_later)"),
                "CREATE TABLE added_later (id uuid PRIMARY KEY, what text NOT NULL)".to_owned(),
                "UPDATE schema_version SET version = version + 1".to_owned(),
            ];
            let _ = fleet.app.sql(which, &format!("BEGIN; {}; COMMIT", added.join("; ")));
        }
        std::thread::sleep(Duration::from_millis(500));
        // One of this release that starts beside the next one's schema.
        fleet.of(Role::Worker)[0].restart().unwrap();
        assert_recovers(&fleet);
    });
    book.assert_kept(&fleet.app.client_of("fleet", "tester", &["admin"]));
    assert_settled(&fleet.app);
}

/// How many keys a key file has.
fn keys_in(app: &TestApp, name: &str) -> usize {
    let text = fs::read_to_string(app.keys_dir().join(name)).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).count()
}

fn of_several_first_starts_one_makes_the_keys() {
    for _ in 0..3 * scale() {
        let app = TestApp::builder(Database::Split).prepare().unwrap();
        let mut workers: Vec<Node> = (0..2).map(|_| app.another(Role::Worker)).collect();
        // One that doesn't have the others' folder of key files.
        workers.push(app.another(Role::Worker).with("BAILEY_KEYS_DIR", &app.data_dir().join("elsewhere")));
        std::thread::scope(|threads| {
            let starts: Vec<_> = workers.iter().map(|worker| threads.spawn(|| worker.restart().is_ok())).collect();
            let started: Vec<bool> = starts.into_iter().map(|start| start.join().unwrap()).collect();
            let together = started[0] && started[1];
            assert!(together != started[2], "{started:?}: {}", app.log());
            if together {
                assert_eq!((keys_in(&app, "worker.key"), keys_in(&app, "mkek-simple.key")), (1, 1));
                assert!(app.log().contains("put it back from its backup or from another machine"), "{}", app.log());
            }
        });
    }
}

fn the_queue_s_key_is_rotated_while_all_goes_on() {
    let fleet = Fleet::start(2);
    let queue = |arguments: &[&str]| fleet.app.queue(arguments).unwrap();
    let read_again = |role: Role| {
        for node in fleet.of(role) {
            let before = node.log().matches("key file read again").count();
            node.signal(nix::sys::signal::Signal::SIGHUP).unwrap();
            let done = process::until(Duration::from_secs(10), || {
                ensure!(node.log().matches("key file read again").count() > before);
                Ok(())
            });
            done.unwrap();
        }
    };
    let book = fleet.under_load(|| {
        let listed: serde_json::Value = serde_json::from_str(&queue(&["list", "--json"])).unwrap();
        let old = listed[0]["id"].as_str().unwrap().to_owned();
        let new = queue(&["add"]).trim().to_owned();
        read_again(Role::Worker);
        let _ = queue(&["activate", &new]);
        read_again(Role::Api);
        std::thread::sleep(Duration::from_millis(500));
        let _ = queue(&["retire", &old]);
        read_again(Role::Worker);
    });
    book.assert_kept(&fleet.app.client_of("fleet", "tester", &["admin"]));
    let (refused, broken) = (book.refused.load(Ordering::Relaxed), book.broken.load(Ordering::Relaxed));
    assert_eq!((refused, broken), (0, 0), "clients saw it");
}
