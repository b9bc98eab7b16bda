//! The MKEK of a store in a token is changed while clients go on and Bailey is killed.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bailey_testkit::process;
use bailey_testkit::softhsm::SoftHsm;
use bailey_tests::hsm::{LABELS, builder, destroy};
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, hsm, scale};
use serde_json::Value;

use crate::rotation::{assert_readable, refused, store, store_until};

pub const CASES: &[OwnCase] =
    cases![an_mkek_in_a_token_is_given_up_across_kills, ceremonies_that_are_killed_or_race_leave_nothing_double,];

const PATIENCE: Duration = Duration::from_secs(120);
/// KEKs to wrap anew at ten a second: enough for all kills to come in the middle of it.
const PROJECTS: u32 = 60;
const KILLS: u32 = 3;

fn start(database: Database, softhsm: &SoftHsm) -> Result<TestApp> {
    let store = hsm::store(softhsm, "hsm", softhsm.token_label(), "default = true");
    let builder = builder(database, softhsm, &store)
        .set("BAILEY_WORKER__ROTATION_INTERVAL_SECONDS", "0.2")
        .set("BAILEY_WORKER__REWRAP_PER_SECOND", "10");
    let app = builder.prepare()?;
    app.admin(&["db", "migrate"])?;
    app.admin(&["hsm", "generate"])?;
    app.restart()?;
    Ok(app)
}

/// The version in a state, and how many KEKs are under it.
fn version(app: &TestApp, state: &str) -> Result<(String, u64)> {
    let listed: Vec<Value> = serde_json::from_str(&app.admin(&["hsm", "list", "--json"])?)?;
    let version = listed.iter().find(|version| version["state"] == state).context("no version in that state")?;
    Ok((version["id"].as_str().context("an id")?.to_owned(), version["objects"].as_u64().context("a count")?))
}

/// Reads until told to stop; returns how often it was answered. An answer is the payload, or 503.
fn read_until(client: &Client, hrefs: &[String], done: &AtomicBool) -> usize {
    let mut answers = 0;
    for (number, href) in hrefs.iter().enumerate().cycle() {
        if done.load(Ordering::Relaxed) {
            break;
        }
        match client.get(&format!("{href}/payload")).header("Accept", "text/plain").try_send() {
            Ok(answer) if answer.status == 200 => {
                assert_eq!(answer.text(), format!("payload {number}"));
                answers += 1;
            }
            Ok(answer) => assert_eq!(answer.status, 503, "{answer}"),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    answers
}

fn an_mkek_in_a_token_is_given_up_across_kills(database: Database) {
    let softhsm = SoftHsm::start().unwrap();
    let app = start(database, &softhsm).unwrap();
    let client = app.client_of("project", "tester", &["admin"]);
    let hrefs = store(&client, 20);
    let projects = PROJECTS * scale();
    let others: Vec<(Client, Vec<String>)> = (0..projects)
        .map(|number| {
            let client = app.client_of(&format!("other-{number}"), "tester", &["admin"]);
            let stored = store(&client, 1);
            (client, stored)
        })
        .collect();
    let (old, keks) = version(&app, "active").unwrap();
    assert_eq!(keks, u64::from(projects) + 1);

    let done = AtomicBool::new(false);
    let (more, reads) = std::thread::scope(|threads| {
        let writer = threads.spawn(|| store_until(&client, &done));
        let reader = threads.spawn(|| read_until(&client, &hrefs, &done));
        app.admin(&["hsm", "rotate"]).unwrap();
        let mut left_at_kills = Vec::new();
        for _ in 0..KILLS {
            std::thread::sleep(Duration::from_secs(1));
            app.kill();
            left_at_kills.push(version(&app, "decrypt-only").unwrap().1);
            app.restart().unwrap();
        }
        assert!(
            left_at_kills.iter().all(|left| (1..keks).contains(left)),
            "killed at the wrong time: {left_at_kills:?}"
        );
        assert!(left_at_kills.is_sorted_by(|before, after| after < before), "it begins anew: {left_at_kills:?}");
        assert!(refused(&app, &["hsm", "retire", &old]).contains("in use"));
        process::until(PATIENCE, || {
            let (id, left) = version(&app, "decrypt-only")?;
            ensure!(id == old && left == 0, "{left} KEK(s) left under {id}");
            Ok(())
        })
        .unwrap();
        app.admin(&["hsm", "retire", &old]).unwrap();
        destroy(&softhsm, softhsm.token_label(), &old, &LABELS);
        std::thread::sleep(Duration::from_secs(1));
        done.store(true, Ordering::Relaxed);
        (writer.join().unwrap(), reader.join().unwrap())
    });

    app.restart().unwrap();
    assert_eq!(version(&app, "active").unwrap().1, keks);
    app.admin(&["store", "check"]).unwrap();
    assert_readable(&client, &hrefs);
    others.iter().for_each(|(client, stored)| assert_readable(client, stored));
    assert!(more.len() > 20 && reads > 20, "too little happened: {} writes, {reads} reads", more.len());
    assert!(more.iter().all(|href| client.payload(href) == b"more"));
}

/// What the commands leave in token and register: whole versions that both know, one of them active.
fn assert_in_order(app: &TestApp) {
    let listed: Vec<Value> = serde_json::from_str(&app.admin(&["hsm", "list", "--json"]).unwrap()).unwrap();
    let states: Vec<_> = listed.iter().map(|version| version["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "active").count(), 1, "{states:?}");
    assert!(states.iter().all(|state| ["active", "decrypt-only"].contains(state)), "{states:?}");
    assert!(listed.iter().all(|version| version["keys"].as_array().map(Vec::len) == Some(2)), "{listed:?}");
}

fn ceremonies_that_are_killed_or_race_leave_nothing_double(database: Database) {
    let softhsm = SoftHsm::start().unwrap();
    let store = hsm::store(&softhsm, "hsm", softhsm.token_label(), "default = true");
    let app = builder(database, &softhsm, &store).prepare().unwrap();
    app.admin(&["db", "migrate"]).unwrap();
    let generate = || app.command(&["hsm", "generate"]).output().unwrap().status.success();
    let made = std::thread::scope(|threads| [(); 3].map(|()| threads.spawn(generate)).map(|made| made.join().unwrap()));
    assert_eq!(made.iter().filter(|is_made| **is_made).count(), 1, "{made:?}");
    assert_in_order(&app);

    for round in 0..10 * scale() {
        let mut rotate = app.command(&["hsm", "rotate"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(round % 10) * 30));
        rotate.kill().unwrap();
        rotate.wait().unwrap();
        app.admin(&["hsm", "rotate"]).unwrap();
        assert_in_order(&app);
    }
    app.admin(&["hsm", "check"]).unwrap();
}
