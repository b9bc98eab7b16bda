//! A NATS server, an API and workers on it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailey_core::access::{Call, Claims, Credentials, Message};
use bailey_core::clock::Clock;
use bailey_core::failure::{Failure, Parsed};
use bailey_core::ids::{RequestId, SecretId};
use bailey_core::request::{CreateSecret, GetPayload, Identify, PayloadForm, Request};
use bailey_core::secret::{CreatedSecret, NewSecret, Payload};
use bailey_core::spec::{ContentType, SecretType, Spec};
use bailey_queue::keys::{ApiKeys, KeyRing, WorkerKeys};
use bailey_queue::{Config, Handlers, NatsConfig, Queue, Server};
use bailey_testkit::nats::{Nats, PASSWORD, User};

pub const TOKEN: &str = "token-canary-4711";
pub const PAYLOAD: &str = "payload-canary-4712";
pub const NAME: &str = "name-canary-4713";

/// What a worker was asked to do, in order.
#[derive(Default)]
pub struct Done {
    pub created: Mutex<Vec<Option<Message>>>,
    pub read: AtomicU32,
}

impl Done {
    pub fn created(&self) -> usize {
        self.created.lock().unwrap().len()
    }
}

pub struct Fixture {
    pub nats: Nats,
    pub keys: WorkerKeys,
    pub done: Arc<Done>,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// With more lines of the server's configuration.
    pub async fn with(settings: &'static str) -> Self {
        let nats = tokio::task::spawn_blocking(move || Nats::start_with(settings).unwrap()).await.unwrap();
        Self { nats, keys: WorkerKeys::generate().unwrap(), done: Arc::default() }
    }

    pub fn config(&self, user: User) -> Config {
        let nats = NatsConfig {
            url: self.nats.url(),
            user: user.name().to_owned(),
            password: PASSWORD.to_owned(),
            ca_file: self.nats.ca_file(),
            certificate_file: self.nats.certificate_file(),
            private_key_file: self.nats.private_key_file(),
            ..NatsConfig::default()
        };
        Config { nats, ..Config::default() }
    }

    pub async fn api(&self) -> Queue {
        self.api_with(&self.config(User::Api), Clock::system()).await
    }

    pub async fn api_with(&self, config: &Config, clock: Clock) -> Queue {
        let queue = Queue::connect(config, api_keys(&self.keys), clock).await.unwrap();
        connected(|| queue.is_connected()).await;
        queue
    }

    pub async fn worker(&self) -> Server {
        self.worker_with(&self.config(User::Worker), self.handlers()).await
    }

    pub async fn worker_with(&self, config: &Config, handlers: Handlers) -> Server {
        let server = Server::start(config, worker_keys(&self.keys), handlers, Clock::system()).await.unwrap();
        connected(|| server.connectivity()()).await;
        server
    }

    /// Handlers that note what they are asked.
    pub fn handlers(&self) -> Handlers {
        let (created, read) = (Arc::clone(&self.done), Arc::clone(&self.done));
        Handlers::default()
            .on(|_, Identify {}| async { Ok(()) })
            .on(move |call: Call, request: CreateSecret| {
                let done = Arc::clone(&created);
                async move {
                    assert_eq!(call.credentials.token.unwrap().expose(), TOKEN);
                    assert_eq!(request.secret.accept()?.name.as_deref(), Some(NAME));
                    done.created.lock().unwrap().push(call.message);
                    Ok(CreatedSecret { id: SecretId::new(), transport_key: None })
                }
            })
            .on(move |_, _: GetPayload| {
                let done = Arc::clone(&read);
                async move {
                    done.read.fetch_add(1, Ordering::SeqCst);
                    Ok(payload(PAYLOAD.as_bytes()))
                }
            })
    }
}

pub fn api_keys(keys: &WorkerKeys) -> KeyRing<ApiKeys> {
    let keys = keys.for_api().unwrap();
    KeyRing::new(move || Ok(keys.clone())).unwrap()
}

pub fn worker_keys(keys: &WorkerKeys) -> KeyRing<WorkerKeys> {
    let keys = keys.clone();
    KeyRing::new(move || Ok(keys.clone())).unwrap()
}

/// Waits until something has come about.
pub async fn connected(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The subscriptions go out after the connection is told of.
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it comes about");
}

pub fn call() -> Call {
    let credentials = Credentials { token: Some(TOKEN.to_owned().into()), claims: Claims::default() };
    Call::new(credentials, RequestId::new())
}

pub fn payload(bytes: &[u8]) -> Payload {
    Payload { content_type: ContentType::OctetStream, bytes: bytes.to_vec().into() }
}

pub fn create() -> CreateSecret {
    create_of(PAYLOAD.as_bytes())
}

pub fn create_of(bytes: &[u8]) -> CreateSecret {
    let secret = NewSecret {
        name: Some(NAME.to_owned()),
        secret_type: SecretType::Opaque,
        spec: Spec::default(),
        expires_at: None,
        payload: Some(payload(bytes).into()),
        transport_key_needed: false,
    };
    CreateSecret { secret: Parsed::Valid(secret), idempotency: Parsed::Valid(None) }
}

pub fn read() -> GetPayload {
    GetPayload { id: Parsed::Valid(SecretId::new()), form: Parsed::Valid(PayloadForm::AsStored) }
}

/// Asks, and fails the test if that takes too long.
pub async fn ask<R: Request>(queue: &Queue, request: R) -> Result<R::Reply, Failure> {
    tokio::time::timeout(Duration::from_secs(30), queue.call(call(), request)).await.expect("an answer")
}
