//! Processes killed and stopped under load: what was acknowledged holds, what is left over is found.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bailey_testkit::process;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, scale};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

pub const CASES: &[OwnCase] =
    cases![acknowledged_stores_and_deletes_survive, a_stopped_writer_never_ends_in_an_unreadable_row];

/// What a client knows of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// 201 was answered, and nobody asked for its end.
    Stored,
    /// Its end was asked for, and no answer came.
    Unclear,
    /// 204 was answered to DELETE.
    Deleted,
}

/// Every secret by its href, with its payload and what is known of it.
#[derive(Debug, Default)]
struct Book(Mutex<HashMap<String, (String, Known)>>);

impl Book {
    fn note(&self, href: &str, payload: &str, known: Known) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.insert(href.to_owned(), (payload.to_owned(), known));
    }

    fn entries(&self) -> Vec<(String, String, Known)> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.iter().map(|(href, (payload, known))| (href.clone(), payload.clone(), *known)).collect()
    }
}

/// Stores and deletes until told to stop; a broken connection or a 503 tells nothing.
fn work(client: &Client, name: usize, book: &Book, done: &AtomicBool) {
    let mut count = 0;
    while !done.load(Ordering::Relaxed) {
        count += 1;
        let payload = format!("payload {count} of writer {name}");
        let body = json!({ "name": "kill", "payload": payload, "payload_content_type": "text/plain" });
        let Ok(answer) = client.post("/v1/secrets").json(&body).try_send() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        if answer.status != 201 {
            assert_eq!(answer.status, 503, "{answer}");
            continue;
        }
        let href = answer.json()["secret_ref"].as_str().expect("a secret_ref").to_owned();
        book.note(&href, &payload, Known::Stored);
        if count % 3 == 0 {
            book.note(&href, &payload, Known::Unclear);
            if client.delete(&href).try_send().is_ok_and(|answer| answer.status == 204) {
                book.note(&href, &payload, Known::Deleted);
            }
        }
    }
}

/// Has six writers work while `disturb` does what it does.
fn under_load(app: &TestApp, disturb: impl FnOnce()) -> (Client, Book) {
    let (client, book, done) = (app.client(), Book::default(), AtomicBool::new(false));
    std::thread::scope(|threads| {
        for name in 0..6 {
            let (client, book, done) = (&client, &book, &done);
            threads.spawn(move || work(client, name, book, done));
        }
        disturb();
        std::thread::sleep(Duration::from_millis(300));
        done.store(true, Ordering::Relaxed);
    });
    (client, book)
}

/// What was stored reads back, what was deleted doesn't, and nothing in between is a fault.
fn assert_kept(client: &Client, book: &Book) {
    let (mut stored, mut deleted) = (0, 0);
    for (href, payload, known) in book.entries() {
        let answer = client.get(&format!("{href}/payload")).header("Accept", "text/plain").send();
        match known {
            Known::Stored => {
                assert_eq!((answer.status, answer.text()), (200, payload), "{href}");
                stored += 1;
            }
            Known::Deleted => {
                assert_eq!(answer.status, 404, "{href} was deleted");
                deleted += 1;
            }
            Known::Unclear => assert!(matches!(answer.status, 200 | 404), "{href}: {answer}"),
        }
    }
    assert!(stored > 20 && deleted > 5, "too little happened: {stored} stored, {deleted} deleted");
}

fn audit(app: &TestApp, more: &[&str]) -> Result<Value> {
    let arguments = [&["store", "audit", "--older-than", "1s", "--json"], more].concat();
    Ok(serde_json::from_str(&app.admin(&arguments)?)?)
}

/// Rows and payloads match, once what was deleted when a process died is destroyed.
pub fn assert_settled(app: &TestApp) {
    // Whatever was placed last must be old enough to be judged.
    std::thread::sleep(Duration::from_millis(1_100));
    audit(app, &["--repair"]).unwrap();
    process::until(Duration::from_secs(30), || {
        let audit = audit(app, &[])?;
        for store in audit.as_array().context("one report for each store")? {
            ensure!(store["orphans"] == json!([]) && store["unreadable"] == json!([]), "{audit}");
            ensure!(store["rows"] == store["judged"], "{audit}");
        }
        Ok(())
    })
    .unwrap();
}

fn acknowledged_stores_and_deletes_survive(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let (client, book) = under_load(&app, || {
        for round in 0..8 * scale() {
            std::thread::sleep(Duration::from_millis(150 + 83 * u64::from(round % 5)));
            app.kill();
            app.restart().unwrap();
        }
    });
    assert_kept(&client, &book);
    assert_settled(&app);
}

/// The writer stands still between its two databases while somebody else sweeps, and goes on then.
fn a_stopped_writer_never_ends_in_an_unreadable_row(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let mut destroyed = 0;
    let (client, book) = under_load(&app, || {
        for round in 0..40 {
            std::thread::sleep(Duration::from_millis(250));
            app.signal(Signal::SIGSTOP).unwrap();
            std::thread::sleep(Duration::from_millis(1_100));
            // Stopped inside a transaction, it keeps SQLite's lock: then nobody else can write.
            let swept = audit(&app, &["--repair"]);
            app.signal(Signal::SIGCONT).unwrap();
            destroyed += swept.ok().and_then(|swept| swept[0]["destroyed"].as_u64()).unwrap_or_default();
            if destroyed >= u64::from(scale()) && round >= 4 {
                break;
            }
        }
    });
    assert!(destroyed > 0, "no writer was ever stopped between its databases");
    assert_kept(&client, &book);
    assert_settled(&app);
}
