//! Who waits for which answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Message, StatusCode, Subject, Subscriber};
use bailey_core::ids::MessageId;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::super::ConnectError;
use super::super::link::Link;
use super::random_id;

/// Signs of life and answers that may wait to be looked at.
const WAITING: usize = 32;

type Map = Arc<Mutex<HashMap<MessageId, mpsc::Sender<Heard>>>>;

/// What came to an answer's subject.
#[derive(Debug)]
pub(super) enum Heard {
    /// The server says that nobody listens for requests.
    NoWorker,
    /// Something, perhaps of a worker.
    Sealed(Bytes),
}

/// One subscription for the answers to all requests of this process: `INBOX.MESSAGE`.
pub(super) struct Pending {
    inbox: String,
    map: Map,
    listening: JoinHandle<()>,
}

impl Pending {
    pub(super) async fn listen(link: &Link, replies: &str) -> Result<Self, ConnectError> {
        let process = random_id().map_err(|failure| ConnectError::Settings(failure.to_string()))?;
        let inbox = format!("{replies}.{process}");
        let subscriber = link.client().subscribe(format!("{inbox}.*")).await.map_err(|_| ConnectError::Closed)?;
        let map = Map::default();
        let listening = tokio::spawn(listen(subscriber, Arc::clone(&map)));
        Ok(Self { inbox, map, listening })
    }

    /// Where the answer to a message is to go.
    pub(super) fn subject(&self, id: MessageId) -> Subject {
        format!("{}.{id}", self.inbox).into()
    }

    /// Waits for the answers to a message, until the result is dropped.
    pub(super) fn expect(&self, id: MessageId) -> Answers<'_> {
        let (sender, receiver) = mpsc::channel(WAITING);
        locked(&self.map).insert(id, sender);
        Answers { map: &self.map, id, receiver }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// The answers to one message.
pub(super) struct Answers<'p> {
    map: &'p Map,
    id: MessageId,
    receiver: mpsc::Receiver<Heard>,
}

impl Answers<'_> {
    /// The next one; `None` when there will be none any more.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        self.receiver.recv().await
    }
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        locked(self.map).remove(&self.id);
    }
}

async fn listen(mut subscriber: Subscriber, map: Map) {
    while let Some(message) = subscriber.next().await {
        // Nobody waits for an answer that comes too late, or twice, or unasked.
        let Some(sender) = id(&message.subject).and_then(|id| locked(&map).get(&id).cloned()) else { continue };
        // Who floods a subject with what is no answer may keep the answer from being heard: no more than by
        // keeping it from being sent.
        let _ = sender.try_send(heard(message));
    }
}

fn heard(message: Message) -> Heard {
    match message.status {
        Some(StatusCode::NO_RESPONDERS) => Heard::NoWorker,
        _ => Heard::Sealed(message.payload),
    }
}

fn id(subject: &str) -> Option<MessageId> {
    let (_, id) = subject.rsplit_once('.')?;
    Some(MessageId::from(Uuid::try_parse(id).ok()?.into_bytes()))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
