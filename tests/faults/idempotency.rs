//! Requests repeated until they are answered, while the process is killed: each has one effect.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, scale};
use serde_json::{Value, json};

pub const CASES: &[OwnCase] = cases![whatever_is_repeated_across_kills_is_done_once];

const WRITERS: usize = 6;

/// What a writer asks for: a secret, or a container, each time under another key.
fn request(writer: usize, count: usize) -> (&'static str, &'static str, Value) {
    let name = format!("request {count} of writer {writer}");
    match count % 2 {
        0 => {
            ("/v1/secrets", "secret_ref", json!({ "name": name, "payload": "p", "payload_content_type": "text/plain" }))
        }
        _ => ("/v1/containers", "container_ref", json!({ "name": name, "type": "generic" })),
    }
}

/// Asks until there is an answer.
fn insist(client: &Client, writer: usize, count: usize) -> String {
    let (path, field, body) = request(writer, count);
    let request = client.post(path).header("Idempotency-Key", &format!("{writer}-{count}")).json(&body);
    loop {
        match request.try_send() {
            Ok(answer) if answer.status == 503 => {}
            Ok(answer) => return answer.expect(201).string(field),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn whatever_is_repeated_across_kills_is_done_once(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    let (client, done, book) = (app.client(), AtomicBool::new(false), Mutex::new(HashMap::new()));
    std::thread::scope(|threads| {
        for writer in 0..WRITERS {
            let (client, done, book) = (&client, &done, &book);
            threads.spawn(move || {
                for count in 0.. {
                    let made = insist(client, writer, count);
                    book.lock().unwrap_or_else(PoisonError::into_inner).insert((writer, count), made);
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        for round in 0..8 * scale() {
            std::thread::sleep(Duration::from_millis(150 + 83 * u64::from(round % 5)));
            app.kill();
            app.restart().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let book = book.into_inner().unwrap();
    for ((writer, count), made) in &book {
        assert_eq!(insist(&client, *writer, *count), *made);
    }
    for (path, parity) in [("/v1/secrets", 0), ("/v1/containers", 1)] {
        let asked = book.keys().filter(|(_, count)| count % 2 == parity).count();
        assert!(asked > 20, "too little happened: {asked}");
        assert_eq!(client.describe(&format!("{path}?limit=1"))["total"], json!(asked));
    }
}
