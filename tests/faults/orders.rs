//! Mixed orders while the processes that work on them are killed and their database is restarted: each
//! ends, with one product or with a reason.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use bailey_db::order::{Backlog, Leases, backlog};
use bailey_db::{Config, Db};
use bailey_testkit::postgres::Postgres;
use bailey_testkit::process;
use bailey_tests::sql::Which;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases, scale};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::kill::assert_settled;

pub const CASES: &[OwnCase] = cases![each_of_many_mixed_orders_ends_once, a_stuck_order_fails_its_test];

/// Orders at scale 1; at scale 17 they are more than a thousand.
const ORDERS: usize = 60;
const GIVERS: usize = 4;
/// How often something is killed at scale 1, and at least.
const ROUNDS: usize = 12;
const LEAST_ROUNDS: usize = 7;
const LEASE_SECONDS: i64 = 2;
const LONGEST_WAIT_SECONDS: i64 = 2;

/// The processes, and what they share.
struct Site {
    apps: Vec<TestApp>,
    postgres: Option<Postgres>,
    runtime: Runtime,
    db: Db,
}

impl Site {
    fn start(database: Database) -> Self {
        let postgres = (database == Database::Postgres).then(|| Postgres::start_with(&[]).unwrap());
        let mut builder = TestApp::builder(Database::Sqlite)
            .set("BAILEY_ORDERS__LEASE_SECONDS", &LEASE_SECONDS.to_string())
            .set("BAILEY_ORDERS__LONGEST_WAIT_SECONDS", &LONGEST_WAIT_SECONDS.to_string());
        if let Some(postgres) = &postgres {
            builder = builder
                .set("BAILEY_DATABASE__URL", &postgres.create_database().unwrap())
                .set("BAILEY_VAULT__URL", &postgres.create_database().unwrap());
        }
        let mut apps = vec![builder.start().unwrap()];
        if postgres.is_some() {
            apps.push(apps[0].beside().start().unwrap());
        }
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let db = runtime.block_on(Db::connect(&Config::new(apps[0].database_url()))).unwrap();
        Self { apps, postgres, runtime, db }
    }

    fn clients(&self) -> Vec<Client> {
        self.apps.iter().map(|app| app.client_of("p", "tester", &["admin"])).collect()
    }

    /// What is still to be done; `None` while the database is away.
    fn backlog(&self) -> Option<Backlog> {
        let leases = Leases {
            longest: TimeDelta::seconds(LEASE_SECONDS),
            longest_wait: TimeDelta::seconds(LONGEST_WAIT_SECONDS),
        };
        self.runtime.block_on(backlog(self.db.reader(), leases, Utc::now())).ok()
    }

    /// Kills one process and starts it again; now and then the database goes, too.
    fn disturb(&self, round: usize) {
        std::thread::sleep(Duration::from_millis(700));
        let app = &self.apps[round % self.apps.len()];
        app.kill();
        if let Some(postgres) = self.postgres.as_ref().filter(|_| round == 2 || round == 5) {
            postgres.kill().unwrap();
            std::thread::sleep(Duration::from_millis(500));
            postgres.restart().unwrap();
        }
        app.launch().unwrap();
    }
}

/// What is ordered: of ten, six plain keys, three key pairs, and one that nobody can make.
pub fn order(number: usize) -> Value {
    let name = format!("order {number}");
    let (kind, algorithm, bits) = match number % 10 {
        6 => ("asymmetric", "ec", 256),
        7 => ("asymmetric", "ed25519", 256),
        8 => ("asymmetric", "rsa", 2048),
        9 => ("key", "rot13", 256),
        _ => ("key", "aes", 256),
    };
    let mut meta = json!({ "name": name, "algorithm": algorithm, "bit_length": bits });
    if kind == "asymmetric" && number % 20 < 10 {
        meta["passphrase"] = json!(format!("passphrase {number}"));
    }
    json!({ "type": kind, "meta": meta })
}

/// Gives an order until it is taken, once.
fn give(clients: &[Client], number: usize) -> String {
    let key = format!("order {number}");
    for attempt in number.. {
        let request = clients[attempt % clients.len()].post("/v1/orders").header("Idempotency-Key", &key);
        match request.json(&order(number)).try_send() {
            Ok(answer) if answer.status == 202 => return answer.string("order_ref"),
            Ok(answer) => assert_eq!(answer.status, 503, "{answer}"),
            Err(_) => {}
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    unreachable!("it is tried for ever")
}

fn each_of_many_mixed_orders_ends_once(database: Database) {
    let site = Site::start(database);
    let (clients, count) = (site.clients(), ORDERS * scale() as usize);
    let (next, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut rounds = 0;
    std::thread::scope(|threads| {
        for _ in 0..GIVERS {
            let (clients, next, taken) = (&clients, &next, &taken);
            threads.spawn(move || {
                while let Some(number) = Some(next.fetch_add(1, Ordering::SeqCst)).filter(|number| *number < count) {
                    let _ = give(clients, number);
                    taken.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let is_done =
            || taken.load(Ordering::SeqCst) == count && site.backlog().is_some_and(|backlog| backlog.pending == 0);
        while rounds < ROUNDS * scale() as usize && !(rounds >= LEAST_ROUNDS && is_done()) {
            site.disturb(rounds);
            if let Some(backlog) = site.backlog() {
                assert_eq!(backlog.stuck, 0, "{backlog:?}");
            }
            rounds += 1;
        }
    });
    let settled = process::until(Duration::from_secs(120), || {
        let orders = all(&clients[0], "orders")?;
        ensure!(orders.iter().all(|order| order["status"] != "PENDING"));
        Ok(orders)
    });
    let orders = settled.unwrap();
    assert_eq!(orders.len(), count, "each was taken once");
    assert_products(&clients[0], &orders);
    for app in &site.apps[1..] {
        app.stop().unwrap();
    }
    assert_settled(&site.apps[0]);
    eprintln!("{database}: {count} orders ended in {rounds} rounds");
}

/// All items of a list.
pub fn all(client: &Client, what: &str) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    loop {
        let answer = client.get(&format!("/v1/{what}?limit=100&offset={}", items.len())).try_send()?;
        ensure!(answer.status == 200, "{answer}");
        let page = answer.json()[what].as_array().cloned().unwrap_or_default();
        if page.is_empty() {
            return Ok(items);
        }
        items.extend(page);
    }
}

/// Each order that can be done has one product that reads back, the others a reason, and there is nothing
/// beside the products.
pub fn assert_products(client: &Client, orders: &[Value]) {
    let (mut secrets, mut containers) = (HashSet::new(), HashSet::new());
    for order in orders {
        let algorithm = order["meta"]["algorithm"].as_str().unwrap();
        if algorithm == "rot13" {
            assert_eq!((&order["status"], &order["error_status_code"]), (&json!("ERROR"), &json!("400")), "{order}");
            continue;
        }
        assert_eq!(order["status"], "ACTIVE", "{order}");
        if let Some(href) = order["secret_ref"].as_str() {
            assert_eq!(client.payload(href).len(), 32);
            assert!(secrets.insert(href.to_owned()), "{href} is the product of two orders");
            continue;
        }
        let href = order["container_ref"].as_str().unwrap();
        assert!(containers.insert(href.to_owned()), "{href} is the product of two orders");
        let number: usize = order["meta"]["name"].as_str().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        for held in client.describe(href)["secret_refs"].as_array().unwrap() {
            let payload = String::from_utf8(client.payload(held["secret_ref"].as_str().unwrap())).unwrap();
            match held["name"].as_str().unwrap() {
                "private_key" => assert_eq!(payload.contains("ENCRYPTED"), number % 20 < 10),
                "public_key" => assert!(payload.contains("PUBLIC KEY")),
                _ => assert_eq!(payload, format!("passphrase {number}")),
            }
            assert!(secrets.insert(held["secret_ref"].as_str().unwrap().to_owned()));
        }
    }
    let there = |what: &str, field: &str| -> HashSet<String> {
        all(client, what).unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
    };
    let ids = |hrefs: HashSet<String>| -> HashSet<String> {
        hrefs.into_iter().map(|href| href.rsplit('/').next().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(there("secrets", "secret_ref")), ids(secrets), "secrets that nobody ordered");
    assert_eq!(ids(there("containers", "container_ref")), ids(containers), "containers that nobody ordered");
}

/// Every test ends with a look for orders that are stuck; here it finds one.
fn a_stuck_order_fails_its_test(database: Database) {
    let app = TestApp::builder(database).start().unwrap();
    assert_eq!(app.client().post("/v1/orders").json(&order(0)).send().status, 202);
    app.stop().unwrap();
    let far_away =
        "UPDATE orders SET status = 'PENDING', locked_by = NULL, next_attempt_at = '2999-01-01T00:00:00+00:00'";
    let _ = app.sql(Which::Metadata, far_away);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(app))).is_err());
}
