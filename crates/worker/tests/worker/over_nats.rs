//! A worker asked over NATS by somebody who has the queue's keys, or has seen its messages.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::access::{Call, Credentials};
use bailey_core::clock::Clock;
use bailey_core::failure::{FailureKind, Parsed};
use bailey_core::ids::RequestId;
use bailey_core::request::{CreateSecret, GetPayload, ListProjectQuotas, PayloadForm, PutProjectQuotas, Request};
use bailey_core::secret::{NewSecret, PageRequest};
use bailey_core::spec::{SecretType, Spec};
use bailey_queue::keys::{KeyRing, WorkerKeys};
use bailey_queue::{Config, NatsConfig, Queue, Server};
use bailey_testkit::memory::{MemoryShelf, MemoryStore};
use bailey_testkit::nats::{Nats, PASSWORD, Seen, User};

use crate::harness::{self, Harness, text};

struct Split {
    harness: Harness,
    shelf: Arc<MemoryShelf>,
    nats: Nats,
    queue: Queue,
    _server: Server,
}

impl Split {
    async fn new() -> Self {
        let nats = tokio::task::spawn_blocking(|| Nats::start().unwrap()).await.unwrap();
        let shelf = Arc::new(MemoryShelf::default());
        let kept = Arc::clone(&shelf);
        let harness = Harness::new(|id, _, _| Arc::new(MemoryStore::new(id, kept))).await;
        let keys = WorkerKeys::generate().unwrap();
        let for_api = keys.for_api().unwrap();
        let of_worker = KeyRing::new(move || Ok(keys.clone())).unwrap();
        let of_api = KeyRing::new(move || Ok(for_api.clone())).unwrap();
        let (handlers, clock) = (harness.worker.handlers(), Clock::system);
        let server = Server::start(&config(&nats, User::Worker), of_worker, handlers, clock()).await.unwrap();
        let queue = Queue::connect(&config(&nats, User::Api), of_api, clock()).await.unwrap();
        let connected = async {
            while !(queue.is_connected() && server.connectivity()()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), connected).await.expect("a connection");
        tokio::time::sleep(Duration::from_millis(50)).await;
        Self { harness, shelf, nats, queue, _server: server }
    }
}

fn config(nats: &Nats, user: User) -> Config {
    let nats = NatsConfig {
        url: nats.url(),
        user: user.name().to_owned(),
        password: PASSWORD.to_owned(),
        ca_file: nats.ca_file(),
        certificate_file: nats.certificate_file(),
        private_key_file: nats.private_key_file(),
        ..NatsConfig::default()
    };
    Config { nats, ..Config::default() }
}

fn create() -> CreateSecret {
    let secret = NewSecret {
        name: None,
        secret_type: SecretType::Opaque,
        spec: Spec::default(),
        expires_at: None,
        payload: Some(text("payload").into()),
        transport_key_needed: false,
    };
    CreateSecret { secret: Parsed::Valid(secret), idempotency: Parsed::Valid(None) }
}

#[tokio::test]
async fn the_queue_s_keys_alone_open_nothing() {
    async fn refused<R: Request>(split: &Split, request: R) {
        let call = Call::new(Credentials::default(), RequestId::new());
        let failure = split.queue.call(call, request).await.map(drop).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unauthenticated, "{}", R::NAME);
    }

    let split = Split::new().await;
    let made = split.queue.call(harness::call(), create()).await.unwrap();
    let before = split.harness.dump();
    refused(&split, create()).await;
    refused(&split, GetPayload { id: Parsed::Valid(made.id), form: Parsed::Valid(PayloadForm::AsStored) }).await;
    refused(&split, ListProjectQuotas { page: PageRequest { limit: 1, offset: 0 } }).await;
    let project = Parsed::Valid("project".parse().unwrap());
    refused(&split, PutProjectQuotas { project, quotas: Parsed::Valid(Default::default()) }).await;
    assert_eq!(split.harness.dump(), before);
    assert_eq!(split.shelf.stored().len(), 1);
}

#[tokio::test]
async fn a_repeated_message_changes_nothing() {
    let split = Split::new().await;
    let spy = split.nats.spy().await.unwrap();
    split.queue.call(harness::call(), create()).await.unwrap();
    let seen = spy.seen().await.unwrap();
    let sent = Seen::only(&seen, "bailey.requests").unwrap();
    let rows = |dump: &str| dump.lines().filter(|line| line.starts_with("INSERT INTO secrets")).count();
    assert_eq!(rows(&split.harness.dump()), 1);
    spy.forget();
    for _ in 0..5 {
        spy.send(&sent).await.unwrap();
    }
    // Each is refused, to the first asker's subject; two at once may share an answer.
    let answered = async {
        while spy.seen().await.unwrap().iter().all(|seen| !seen.subject.starts_with("bailey.replies")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.expect("an answer");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(rows(&split.harness.dump()), 1);
    assert_eq!(split.shelf.stored().len(), 1, "what it placed is gone again");
}
