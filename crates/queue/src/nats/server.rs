//! The worker's side: opens requests, has them worked on, seals what is answered.

mod job;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use bailey_core::clock::Clock;
use bailey_core::ids::MessageId;
use futures_util::StreamExt as _;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::ConnectError;
use super::link::Link;
use crate::Handlers;
use crate::config::Config;
use crate::keys::{KeyRing, WorkerKeys};
use crate::measure::Measure;
use crate::seal::Openers;
use crate::seldom::Seldom;

/// Workers share the requests: each goes to one of this group.
const GROUP: &str = "workers";
/// How long answers may take to leave a process that stops.
const FLUSH: Duration = Duration::from_secs(1);

/// A worker that listens for requests. It does so from the start until it is [stopped](Self::stop).
pub struct Server {
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

struct Shared {
    link: Link,
    handlers: Handlers,
    keys: KeyRing<WorkerKeys>,
    openers: Openers,
    permits: Arc<Semaphore>,
    in_flight: u32,
    at_work: Mutex<HashSet<MessageId>>,
    longest_deadline: Duration,
    clock: Clock,
    measure: Measure,
    rejections: Seldom,
}

impl Server {
    /// Begins to listen, as soon as NATS is there and whenever it is there again.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub async fn start(
        config: &Config,
        keys: KeyRing<WorkerKeys>,
        handlers: Handlers,
        clock: Clock,
    ) -> Result<Self, ConnectError> {
        let link = Link::connect(&config.nats, "worker").await?;
        let subscribed = link.client().queue_subscribe(config.nats.requests(), GROUP.to_owned()).await;
        let subscriber = subscribed.map_err(|_| ConnectError::Closed)?;
        let shared = Arc::new(Shared {
            link,
            handlers,
            keys,
            openers: Openers::default(),
            permits: Arc::new(Semaphore::new(config.in_flight as usize)),
            in_flight: config.in_flight,
            at_work: Mutex::default(),
            longest_deadline: config.nats.longest_deadline(),
            clock,
            measure: Measure::new(),
            rejections: Seldom::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let listening = tokio::spawn(listen(Arc::clone(&shared), subscriber, stopped));
        Ok(Self { shared, listening, stop })
    }

    /// What tells at any time whether NATS is there, as far as is known.
    pub fn connectivity(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let link = self.shared.link.clone();
        move || link.is_up()
    }

    /// Takes no further request, finishes what was taken, answers it, and closes the connection; waits for that
    /// at most `patience`. Whether it came about.
    pub async fn stop(mut self, patience: Duration) -> bool {
        let _ = self.stop.send(true);
        let finish = async {
            let _ = (&mut self.listening).await;
            self.shared.permits.acquire_many(self.shared.in_flight).await.is_ok()
        };
        let is_finished = tokio::time::timeout(patience, finish).await.unwrap_or(false);
        self.listening.abort();
        let client = self.shared.link.client();
        let _ = tokio::time::timeout(FLUSH, client.flush()).await;
        let _ = tokio::time::timeout(FLUSH, client.drain()).await;
        is_finished
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(shared: Arc<Shared>, mut subscriber: Subscriber, mut stopped: watch::Receiver<bool>) {
    loop {
        let message: Message = tokio::select! {
            message = subscriber.next() => match message {
                Some(message) => message,
                None => return,
            },
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        shared.take(message);
    }
    // Others get what comes from now on; what the server has sent here already is still taken.
    if subscriber.drain().await.is_ok() {
        while let Some(message) = subscriber.next().await {
            shared.take(message);
        }
    }
}
