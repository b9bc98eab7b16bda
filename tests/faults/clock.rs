//! A clock that jumps by an hour, forth and back, while orders are pending: none stalls, none is done twice.

use std::time::Duration;

use anyhow::ensure;
use bailey_testkit::process;
use bailey_tests::app::Builder;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases};
use chrono::{NaiveDateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;

use crate::kill::assert_settled;
use crate::orders::{all, assert_products, order};

pub const CASES: &[OwnCase] = cases![orders_end_once_when_the_clock_jumps];

const HOUR: i64 = 3_600;
/// How far the clock is off after each jump.
const JUMPS: [i64; 4] = [HOUR, 0, -HOUR, 0];
/// Orders given before a jump, and as many after it.
const ORDERS: usize = 20;

/// A clock that is wrong by what a file says: libfaketime's, for those processes that are started with it.
struct WrongClock(TempDir);

impl WrongClock {
    /// Where Debian's package `faketime` has it; `$LIB` is the loader's to fill in.
    const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

    fn new() -> Self {
        let clock = Self(tempfile::tempdir().unwrap());
        clock.jump_to(0);
        clock
    }

    fn jump_to(&self, seconds: i64) {
        let new = self.0.path().join("new");
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        // Half a text would be another time.
        std::fs::rename(new, self.0.path().join("offset")).unwrap();
    }

    fn given_to(&self, builder: Builder) -> Builder {
        builder
            .set("LD_PRELOAD", Self::LIBRARY)
            .set("FAKETIME_TIMESTAMP_FILE", &self.0.path().join("offset").display().to_string())
            .set("FAKETIME_NO_CACHE", "1")
            .set("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .set("NO_FAKE_STAT", "1")
    }
}

/// Leases, waiting times and the sweeper's pauses are short beside a jump, and key pairs have to wait.
fn start(database: Database, clock: &WrongClock) -> Vec<TestApp> {
    let builder = TestApp::builder(database)
        .set("BAILEY_ORDERS__LEASE_SECONDS", "2")
        .set("BAILEY_ORDERS__LONGEST_WAIT_SECONDS", "2")
        .set("BAILEY_GENERATION__THREADS", "1")
        .set("BAILEY_GENERATION__WAITING", "1")
        .set("BAILEY_WORKER__SWEEP_INTERVAL_SECONDS", "0.2");
    let mut apps = vec![clock.given_to(builder).start().unwrap()];
    if database == Database::Postgres {
        apps.push(apps[0].beside().start().unwrap());
    }
    apps
}

/// Gives the order with this number to one of the processes; its path.
fn give(clients: &[Client], number: usize) -> String {
    let client = &clients[number % clients.len()];
    let href = client.post("/v1/orders").json(&order(number)).send().expect(202).string("order_ref");
    href.strip_prefix(&client.base()).unwrap().to_owned()
}

fn is_pending(order: &Value) -> bool {
    order["status"] == "PENDING"
}

/// How many seconds the server's clock is ahead, as an order that it has just taken tells.
fn seconds_ahead(client: &Client, path: &str) -> i64 {
    let created: NaiveDateTime = client.describe(path)["created"].as_str().unwrap().parse().unwrap();
    (created.and_utc() - Utc::now()).num_seconds()
}

fn orders_end_once_when_the_clock_jumps(database: Database) {
    let clock = WrongClock::new();
    let apps = start(database, &clock);
    let clients: Vec<Client> = apps.iter().map(|app| app.client_of("p", "tester", &["admin"])).collect();
    let mut numbers = 0..;
    let mut pending_at_jumps = Vec::new();
    for jump in JUMPS {
        for number in numbers.by_ref().take(ORDERS) {
            let _ = give(&clients, number);
        }
        clock.jump_to(jump);
        let pending = all(&clients[0], "orders").unwrap().iter().filter(|order| is_pending(order)).count();
        pending_at_jumps.push(pending);
        let late: Vec<String> = numbers.by_ref().take(ORDERS).map(|number| give(&clients, number)).collect();
        let off = seconds_ahead(&clients[0], &late[ORDERS - 1]) - jump;
        assert!(off.abs() < 60, "the clock is {off} s away from {jump} s: is libfaketime there?");
        let ended = process::until(Duration::from_secs(60), || {
            let orders = all(&clients[0], "orders")?;
            let pending: Vec<_> = orders.iter().filter(|order| is_pending(order)).collect();
            ensure!(pending.is_empty(), "{jump}: {pending:?}");
            Ok(orders.len())
        });
        assert_eq!(ended.unwrap(), pending_at_jumps.len() * 2 * ORDERS);
    }
    assert!(pending_at_jumps.iter().all(|pending| *pending > 0), "too little was pending: {pending_at_jumps:?}");
    assert_products(&clients[0], &all(&clients[0], "orders").unwrap());
    for app in &apps[1..] {
        app.stop().unwrap();
    }
    // Only what is old enough is judged, and by its id much of it was written an hour ahead.
    clock.jump_to(2 * HOUR);
    assert_settled(&apps[0]);
}
