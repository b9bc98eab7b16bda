//! Several API processes and workers, a load balancer before them, and clients that never rest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bailey_testkit::postgres::Postgres;
use bailey_testkit::process;
use bailey_tests::app::{Node, Role};
use bailey_tests::{Answer, Client, Database, Request, TestApp};
use serde_json::{Value, json};

const WRITERS: usize = 4;
/// How many secrets are to be acknowledged at least, and how long that may take.
const LEAST: usize = 50;
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks of the load balancer.
const LOOK: Duration = Duration::from_millis(20);

/// A deployment: the app's own two processes, and more.
pub struct Fleet {
    pub app: TestApp,
    more: Vec<Node>,
}

impl Fleet {
    /// Two API processes and as many workers as asked for, over servers of their own.
    pub fn start(workers: usize) -> Self {
        let postgres = Arc::new(Postgres::start_with(&[]).unwrap());
        let app = TestApp::builder(Database::Split)
            .on_postgres(postgres)
            .set("BAILEY_HTTP__DRAIN_SECONDS", "1")
            .set("BAILEY_DATABASE__TIMEOUT_SECONDS", "2")
            .set("BAILEY_VAULT__TIMEOUT_SECONDS", "2")
            .set("BAILEY_ORDERS__LEASE_SECONDS", "2")
            .set("BAILEY_ORDERS__LONGEST_WAIT_SECONDS", "2")
            .start()
            .unwrap();
        let mut more: Vec<Node> = (1..workers).map(|_| app.another(Role::Worker)).collect();
        more.push(app.another(Role::Api));
        more.iter().for_each(|node| node.restart().unwrap());
        Self { app, more }
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.app.nodes().iter().chain(&self.more)
    }

    pub fn of(&self, role: Role) -> Vec<&Node> {
        self.nodes().filter(|node| node.role() == role).collect()
    }

    /// Has clients ask by a load balancer while `disturb` does what it does, and tells what they know then.
    pub fn under_load(&self, disturb: impl FnOnce()) -> Book {
        let (book, done) = (Book::default(), AtomicBool::new(false));
        let balancer = Balancer::new(self);
        std::thread::scope(|threads| {
            threads.spawn(|| balancer.look(&done));
            for writer in 0..WRITERS {
                let (balancer, book, done) = (&balancer, &book, &done);
                threads.spawn(move || write(balancer, writer, book, done));
            }
            threads.spawn(|| order(&balancer, &book, &done));
            std::thread::sleep(Duration::from_millis(300));
            disturb();
            // On a busy machine it takes longer until enough has happened.
            let enough = process::until(PATIENCE, || {
                ensure!(book.acknowledged() > LEAST && book.given() > LEAST / 10, "{book:?}");
                Ok(())
            });
            done.store(true, Ordering::Relaxed);
            enough.unwrap();
        });
        book
    }
}

/// Sends each request to one of the API processes that say they are ready.
pub struct Balancer {
    apis: Vec<(Client, AtomicBool)>,
    next: AtomicUsize,
}

impl Balancer {
    fn new(fleet: &Fleet) -> Self {
        let client = fleet.app.client_of("fleet", "tester", &["admin"]);
        let apis = fleet.of(Role::Api).into_iter().map(|api| (client.clone().at(api.address()), AtomicBool::new(true)));
        Self { apis: apis.collect(), next: AtomicUsize::new(0) }
    }

    fn look(&self, done: &AtomicBool) {
        while !done.load(Ordering::Relaxed) {
            for (api, is_ready) in &self.apis {
                // That a worker or a database is away is no reason to ask another API process.
                let answer = api.get("/readyz").try_send();
                is_ready.store(answer.is_ok_and(|answer| !answer.text().contains("stopping")), Ordering::Relaxed);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Asks one process; nothing is asked again.
    fn send(&self, request: impl Fn(&Client) -> Request) -> Result<Answer, std::io::Error> {
        loop {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let (api, is_ready) = &self.apis[next % self.apis.len()];
            if is_ready.load(Ordering::Relaxed) {
                return request(api).try_send();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a client knows of something it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Done,
    /// 503, or no answer at all.
    Unclear,
}

/// What was asked for, by name, and what clients saw.
#[derive(Debug, Default)]
pub struct Book {
    secrets: Mutex<HashMap<String, (Known, String)>>,
    orders: Mutex<Vec<String>>,
    /// Answers of 503, and connections that ended without an answer.
    pub refused: AtomicUsize,
    pub broken: AtomicUsize,
    /// Milliseconds.
    pub longest_refusal: AtomicUsize,
}

impl Book {
    /// How many secrets were acknowledged.
    fn acknowledged(&self) -> usize {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.values().filter(|(known, _)| *known == Known::Done).count()
    }

    /// How many orders were taken.
    fn given(&self) -> usize {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether an answer is what was hoped for. Anything but that and a 503 that says when to come again is
    /// a fault.
    fn judge(&self, answer: Result<Answer, std::io::Error>, hoped: u16, since: Instant) -> Option<Answer> {
        let Ok(answer) = answer else {
            self.broken.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
            return None;
        };
        if answer.status == hoped {
            return Some(answer);
        }
        assert_eq!(answer.status, 503, "{answer}");
        assert!(answer.header("retry-after").is_some(), "{answer}");
        self.refused.fetch_add(1, Ordering::Relaxed);
        let milliseconds = usize::try_from(since.elapsed().as_millis()).unwrap();
        self.longest_refusal.fetch_max(milliseconds, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
        None
    }

    /// What was acknowledged is there, once; what is unclear is there at most once; orders ended.
    pub fn assert_kept(&self, client: &Client) {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        for (name, (known, href)) in secrets.iter() {
            let total = client.describe(&format!("/v1/secrets?limit=1&name={name}"))["total"].as_u64().unwrap();
            match known {
                Known::Done => {
                    assert_eq!(total, 1, "{name}");
                    assert_eq!(client.payload(href), name.as_bytes(), "{href}");
                    done += 1;
                }
                Known::Unclear => assert!(total <= 1, "{name} was stored {total} times"),
            }
        }
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        for href in orders.iter() {
            let ended = process::until(Duration::from_secs(30), || {
                let order = client.describe(href);
                ensure!(order["status"] != "PENDING", "{order}");
                Ok(order)
            });
            let order = ended.unwrap();
            assert_eq!(order["status"], "ACTIVE", "{order}");
        }
        let (refused, broken) = (self.refused.load(Ordering::Relaxed), self.broken.load(Ordering::Relaxed));
        let (asked, longest) = (secrets.len(), self.longest_refusal.load(Ordering::Relaxed));
        eprintln!(
            "{asked} secrets, {done} acknowledged; {} orders; {refused} refused, the slowest after {longest} ms; {broken} broken",
            orders.len()
        );
    }
}

/// Stores secrets of a name each, and reads them.
fn write(balancer: &Balancer, writer: usize, book: &Book, done: &AtomicBool) {
    for count in 0.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("secret-{writer}-{count}");
        let body = json!({ "name": name, "payload": name, "payload_content_type": "text/plain" });
        let begun = Instant::now();
        let stored = balancer.send(|api| api.post("/v1/secrets").json(&body));
        let stored = book.judge(stored, 201, begun);
        let known = stored.as_ref().map_or(Known::Unclear, |_| Known::Done);
        let href = stored.map(|answer| path_of(&answer.string("secret_ref"))).unwrap_or_default();
        if known == Known::Done {
            let begun = Instant::now();
            let read = balancer.send(|api| api.get(&format!("{href}/payload")).header("Accept", "text/plain"));
            if let Some(read) = book.judge(read, 200, begun) {
                assert_eq!(read.text(), name);
            }
        }
        book.secrets.lock().unwrap_or_else(PoisonError::into_inner).insert(name, (known, href));
    }
}

/// Gives orders, which are to be done throughout.
fn order(balancer: &Balancer, book: &Book, done: &AtomicBool) {
    let order: Value = json!({ "type": "key", "meta": { "algorithm": "aes", "bit_length": 256 } });
    while !done.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let given = balancer.send(|api| api.post("/v1/orders").json(&order));
        if let Some(answer) = book.judge(given, 202, begun) {
            let href = path_of(&answer.string("order_ref"));
            book.orders.lock().unwrap_or_else(PoisonError::into_inner).push(href);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Without the host, since each API process names its own.
fn path_of(href: &str) -> String {
    href.find("/v1/").map_or_else(|| href.to_owned(), |start| href[start..].to_owned())
}
