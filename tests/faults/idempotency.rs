//! Requests repeated until they are answered, twice at once, while processes are killed: each has one effect.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use bailey_testkit::process;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, scale};
use serde_json::{Value, json};

use crate::kill::assert_settled;

pub const CASES: &[OwnCase] = cases![whatever_is_repeated_across_kills_is_done_once];

const WRITERS: usize = 4;

/// What a writer asks for in turn, the status it is answered with, and where the href is.
const KINDS: [(&str, u16, &str); 3] =
    [("/v1/secrets", 201, "secret_ref"), ("/v1/containers", 201, "container_ref"), ("/v1/orders", 202, "order_ref")];

fn body(kind: usize, name: &str) -> Value {
    match kind {
        0 => json!({ "name": name, "payload": "p", "payload_content_type": "text/plain" }),
        1 => json!({ "name": name, "type": "generic" }),
        _ => json!({ "type": "key", "meta": { "name": name, "algorithm": "aes", "bit_length": 256 } }),
    }
}

/// Asks until there is an answer, each time under the same key; the id of what was made.
fn insist(client: &Client, writer: usize, count: usize) -> String {
    let (kind, key) = (count % KINDS.len(), format!("request {count} of writer {writer}"));
    let (path, status, field) = KINDS[kind];
    let request = client.post(path).header("Idempotency-Key", &key).json(&body(kind, &key));
    loop {
        match request.try_send() {
            Ok(answer) if answer.status == 503 => {}
            Ok(answer) => return answer.expect(status).string(field).rsplit('/').next().unwrap().to_owned(),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Has two insist on the same at once.
fn insist_twice(clients: &[Client; 2], writer: usize, count: usize) -> String {
    std::thread::scope(|twins| {
        let twin = twins.spawn(|| insist(&clients[1], writer, count));
        let made = insist(&clients[0], writer, count);
        assert_eq!(twin.join().unwrap(), made);
        made
    })
}

fn whatever_is_repeated_across_kills_is_done_once(database: Database) {
    let mut apps = vec![TestApp::builder(database).start().unwrap()];
    if database == Database::Postgres {
        apps.push(apps[0].beside().start().unwrap());
    }
    let clients = [&apps[0], &apps[apps.len() - 1]].map(|app| app.client_of("p", "tester", &["admin"]));
    let (done, book) = (AtomicBool::new(false), Mutex::new(HashMap::new()));
    std::thread::scope(|threads| {
        for writer in 0..WRITERS {
            let (clients, done, book) = (&clients, &done, &book);
            threads.spawn(move || {
                for count in 0.. {
                    let made = insist_twice(clients, writer, count);
                    book.lock().unwrap_or_else(PoisonError::into_inner).insert((writer, count), made);
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        for round in 0..8 * scale() as usize {
            std::thread::sleep(Duration::from_millis(150 + 83 * (round as u64 % 5)));
            let app = &apps[round % apps.len()];
            app.kill();
            app.restart().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let book = book.into_inner().unwrap();
    for ((writer, count), made) in &book {
        assert_eq!(insist(&clients[0], *writer, *count), *made);
    }
    let asked = [0, 1, 2].map(|kind| book.keys().filter(|(_, count)| count % KINDS.len() == kind).count());
    assert!(asked.iter().all(|asked| *asked > 10), "too little happened: {asked:?}");
    let [secrets, containers, orders] = asked;
    // Orders make secrets, too.
    let expected = [secrets + orders, containers, orders].map(|total| json!(total));
    let totals = || KINDS.map(|(path, ..)| clients[0].describe(&format!("{path}?limit=1"))["total"].clone());
    process::until(Duration::from_secs(60), || {
        let there = totals();
        ensure!(there == expected, "{there:?} instead of {expected:?}");
        Ok(())
    })
    .unwrap();
    for app in &apps[1..] {
        app.stop().unwrap();
    }
    assert_settled(&apps[0]);
    assert_eq!(totals(), expected);
}
