//! The webhook that is told of renewed certificates: down, failing and slow, and one that it is not told twice at once.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailey_core::certificate::KeySource;
use bailey_core::consumer::ContainerUse;
use bailey_core::failure::Parsed;
use bailey_core::ids::ContainerId;
use bailey_core::order::OrderStatus;
use bailey_core::request::AddContainerConsumer;
use bailey_core::sensitive::SecretSetting;
use bailey_db::{Engine, container, notice};
use bailey_testkit::ports;
use bailey_worker::usecase::consumer;
use bailey_worker::{RenewalConfig, Schedules, Webhook};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::certificates::{ec, ended, give, parts_of, product, subject, with_ca};
use crate::harness::{Harness, call};
use crate::renewing::{parts_after, renewed};

const KEY: [u8; 32] = [9; 32];

/// A request that arrived.
#[derive(Debug, Clone)]
struct Heard {
    headers: HashMap<String, String>,
    body: String,
    /// Whether another one of its id was being answered.
    overlaps: bool,
}

impl Heard {
    fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// As whoever receives it does, with the key, the headers and the body alone.
    fn is_signed(&self) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
        mac.update(format!("{}.{}.{}", self.id(), self.headers["webhook-timestamp"], self.body).as_bytes());
        self.headers["webhook-signature"] == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[derive(Default)]
struct Shared {
    /// What the next requests are answered, and how late; then 200 at once.
    answers: Mutex<VecDeque<(Duration, &'static str)>>,
    always_late: Duration,
    heard: Mutex<Vec<Heard>>,
    busy: Mutex<Vec<String>>,
}

struct Receiver {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Receiver {
    async fn start(port: u16, always_late: Duration, answers: &[(Duration, &'static str)]) -> Self {
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.iter().copied().collect()),
            always_late,
            ..Shared::default()
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let all = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let all = Arc::clone(&all);
                tokio::spawn(async move { while_open(stream, &all).await });
            }
        });
        Self { shared, task }
    }

    fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn while_open(mut stream: TcpStream, shared: &Shared) {
    let mut bytes = Vec::new();
    while let Some((headers, body)) = request(&mut stream, &mut bytes).await {
        let id = headers["webhook-id"].clone();
        let overlaps = shared.busy.lock().unwrap().contains(&id);
        shared.busy.lock().unwrap().push(id.clone());
        shared.heard.lock().unwrap().push(Heard { headers, body, overlaps });
        let (late, status) = shared.answers.lock().unwrap().pop_front().unwrap_or((shared.always_late, "200 OK"));
        tokio::time::sleep(late).await;
        shared.busy.lock().unwrap().retain(|busy| *busy != id);
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nLocation: /elsewhere\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Headers and body of the next request.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(HashMap<String, String>, String)> {
    loop {
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let headers: HashMap<_, _> = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length: usize = headers["content-length"].parse().unwrap();
            if rest.len() >= length {
                *bytes = rest.as_bytes()[length..].to_vec();
                return Some((headers, rest[..length].to_owned()));
            }
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn telling(harness: &mut Harness, port: u16) {
    let config = RenewalConfig {
        webhook: format!("http://127.0.0.1:{port}/renewed"),
        webhook_key: SecretSetting::new(format!("whsec_{}", STANDARD.encode(KEY))),
        webhook_timeout_seconds: 1.0,
        ..RenewalConfig::default()
    };
    let webhook = Webhook::new(&config, "https://keys.example.org/").map_err(|(_, complaint)| complaint).unwrap();
    Arc::get_mut(&mut harness.worker).unwrap().webhook = Some(webhook);
}

/// A container whose certificate was renewed, with a consumer.
async fn renew_one(harness: &Harness, name: &str) -> ContainerId {
    let order = renewed(KeySource::Made { spec: ec(), subject: subject(name) });
    let (container, _) = product(harness, give(harness, order).await.unwrap()).await;
    let usage = ContainerUse { name: "lb".to_owned(), url: "https://lb.example.org/1".to_owned() };
    let request = AddContainerConsumer { id: Parsed::Valid(container), usage: Parsed::Valid(usage) };
    consumer::add_to_container(&harness.worker, call(), request).await.unwrap();
    container
}

async fn waiting(harness: &Harness) -> u64 {
    notice::standing(harness.worker.db.reader()).await.unwrap().0
}

/// Lets hours pass until nothing waits to be told.
async fn until_told(harness: &Harness) {
    for _ in 0..100 {
        if waiting(harness).await == 0 {
            return;
        }
        harness.pass_hours(1);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the webhook has not heard of it");
}

#[tokio::test]
async fn the_webhook_hears_of_a_renewal_however_often_it_fails() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (harness, _) = with_ca(engine, 0).await;
        let (mut harness, port) = (harness.with_quick_rotation(), ports::free());
        telling(&mut harness, port);
        let schedules = Schedules::start(&harness.worker);
        let container = renew_one(&harness, "a.example.test").await;
        assert_eq!(waiting(&harness).await, 0, "the first certificate is none that was renewed");
        let (_, before) = parts_of(&harness, container).await;
        harness.pass_hours(20 * 24 + 1);
        parts_after(&harness, container, &before[0].1).await;

        // Nobody is there. The process ends; the next one goes on with what was written down.
        let tried = async {
            while attempts(&harness).await == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), tried).await.unwrap();
        schedules.stop(Duration::from_secs(5)).await;
        assert_eq!(waiting(&harness).await, 1);
        let late = Duration::from_secs(3);
        let answers = [(Duration::ZERO, "500 No"), (Duration::ZERO, "307 Elsewhere"), (late, "200 OK")];
        let receiver = Receiver::start(port, Duration::ZERO, &answers).await;
        let schedules = Schedules::start(&harness.worker);
        until_told(&harness).await;
        schedules.stop(Duration::from_secs(5)).await;

        let heard = receiver.heard();
        assert_eq!(heard.len(), 4, "{heard:?}");
        for one in &heard {
            assert!(one.is_signed(), "{one:?}");
            assert_eq!((one.id(), &one.body), (heard[0].id(), &heard[0].body));
            assert_eq!(one.headers["content-type"], "application/json");
        }
        says_what_is_there(&harness, container, &heard[0].body).await;
    }
}

async fn attempts(harness: &Harness) -> i32 {
    let now = harness.worker.clock.now() + TimeDelta::days(1);
    let all = notice::due(harness.worker.db.reader(), now, TimeDelta::days(1), 10).await.unwrap();
    all.iter().map(|notice| notice.attempts).max().unwrap_or_default()
}

async fn says_what_is_there(harness: &Harness, container: ContainerId, body: &str) {
    let told: serde_json::Value = serde_json::from_str(body).unwrap();
    let data = &told["data"];
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(told["type"], "certificate.renewed");
    assert_eq!(text("project_id"), "project");
    assert_eq!(text("container_ref"), format!("https://keys.example.org/v1/containers/{container}"));
    assert_eq!(data["consumers"], serde_json::json!([{"name": "lb", "URL": "https://lb.example.org/1"}]));
    let held =
        container::references(harness.worker.db.reader(), &[container]).await.unwrap().remove(&container).unwrap();
    for (name, field) in [("certificate", "certificate_ref"), ("intermediates", "intermediates_ref")] {
        let secret = held.iter().find(|held| held.name.as_deref() == Some(name)).unwrap().secret;
        assert_eq!(text(field), format!("https://keys.example.org/v1/secrets/{secret}"));
    }
    let order = text("order_ref").rsplit('/').next().unwrap().parse().unwrap();
    let order = ended(harness, order).await;
    assert_eq!((order.status, order.container), (OrderStatus::Active, Some(container)));
    let (_, parts) = parts_of(harness, container).await;
    let (_, pem) = x509_parser::pem::parse_x509_pem(parts[0].1.as_bytes()).unwrap();
    let serial = pem.parse_x509().unwrap().raw_serial_as_string().replace(':', "");
    assert_eq!(text("serial").trim_start_matches('0'), serial.trim_start_matches('0'));
    assert!(!body.contains("PRIVATE") && !body.contains("BEGIN"), "{body}");
}

#[tokio::test]
async fn two_workers_never_tell_the_same_at_once() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (harness, _) = with_ca(engine, 0).await;
        let (mut harness, port) = (harness.with_quick_rotation(), ports::free());
        telling(&mut harness, port);
        let receiver = Receiver::start(port, Duration::from_millis(400), &[]).await;
        let both = [Schedules::start(&harness.worker), Schedules::start(&harness.worker)];
        let mut containers = Vec::new();
        for name in ["a.example.test", "b.example.test", "c.example.test", "d.example.test"] {
            let container = renew_one(&harness, name).await;
            containers.push((container, parts_of(&harness, container).await.1));
        }
        harness.pass_hours(20 * 24 + 1);
        for (container, before) in &containers {
            parts_after(&harness, *container, &before[0].1).await;
        }
        let told = async {
            while waiting(&harness).await > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
        for schedules in both {
            schedules.stop(Duration::from_secs(5)).await;
        }
        let heard = receiver.heard();
        let mut ids: Vec<_> = heard.iter().map(Heard::id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((heard.len(), ids.len()), (4, 4), "{heard:?}");
        assert!(!heard.iter().any(|one| one.overlaps), "{heard:?}");
    }
}

#[tokio::test]
async fn what_nobody_hears_is_given_up() {
    let (harness, _) = with_ca(Engine::Sqlite, 0).await;
    let (mut harness, port) = (harness.with_quick_rotation(), ports::free());
    telling(&mut harness, port);
    let receiver = Receiver::start(port, Duration::ZERO, &[(Duration::ZERO, "503 No"); 100]).await;
    let schedules = Schedules::start(&harness.worker);
    let container = renew_one(&harness, "a.example.test").await;
    let (_, before) = parts_of(&harness, container).await;
    harness.pass_hours(20 * 24 + 1);
    parts_after(&harness, container, &before[0].1).await;
    let tried = async {
        while receiver.heard().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), tried).await.unwrap();
    assert_eq!(waiting(&harness).await, 1);
    harness.pass_hours(72);
    let given_up = async {
        while waiting(&harness).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), given_up).await.unwrap();
    let heard = receiver.heard().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.heard().len(), heard);
    schedules.stop(Duration::from_secs(5)).await;
}
