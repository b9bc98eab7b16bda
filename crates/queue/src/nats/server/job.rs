//! One request: from sealed bytes to a sealed answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::client::PublishErrorKind;
use async_nats::{Message, Subject};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::MessageId;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, interval_at};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::Shared;
use crate::codec::{Encoded, Told, encode};
use crate::handlers::Begun;
use crate::measure::Refusal;
use crate::seal::{Direction, Head, Letter, Rejection, reply_frame};

/// How often whoever asked hears that the work goes on: before it would ask another worker.
const SIGN_OF_LIFE: Duration = Duration::from_millis(300);

/// A request that was opened.
struct Job {
    letter: Letter,
    reply_to: Subject,
    plaintext: Encoded,
}

impl Shared {
    /// Takes a message. Whatever it is, the next one can be taken when this returns.
    pub(super) fn take(self: &Arc<Self>, message: Message) {
        let shared = Arc::clone(self);
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => drop(tokio::spawn(async move { shared.work(message, permit).await })),
            Err(_) => drop(tokio::spawn(async move { shared.refuse(message).await })),
        }
    }

    /// Says at once that there is too much to do.
    async fn refuse(&self, message: Message) {
        if let Some(job) = self.open(&message) {
            self.tell(&job, Err(self.measure.refuse(Refusal::Full))).await;
        }
    }

    async fn work(self: Arc<Self>, message: Message, permit: OwnedSemaphorePermit) {
        let waiting = self.measure.begin();
        let Some(job) = self.open(&message) else { return };
        // Asked again of the one that is at it: the answer to the first time is the answer.
        let Some(_at_work) = AtWork::begin(&self.at_work, job.letter.message.id) else { return };
        let Some(begun) = self.handlers.begin(&job.letter.name, &job.plaintext, job.letter.message) else {
            let unknown = Failure::new(FailureKind::NotSupported, "The worker doesn't know this operation yet");
            return self.tell(&job, Err(unknown)).await;
        };
        // What exactly is wrong with it would quote it.
        let Ok(Begun { request_id, work }) = begun else {
            return self.tell(&job, Err(Failure::internal("a request can't be read: versions differ"))).await;
        };
        let _working = waiting.over();
        let span = tracing::info_span!("request", %request_id, trace_id = Empty, operation = job.letter.name);
        let reply = self.see_through(&job, work).instrument(span.clone()).await;
        span.in_scope(|| reply.as_ref().inspect_err(|failure| log(failure)).is_ok());
        self.tell(&job, reply).await;
        drop(permit);
    }

    /// Has the work done as a task of its own, giving signs of life meanwhile.
    async fn see_through(
        &self,
        job: &Job,
        work: impl Future<Output = Result<Encoded, Failure>> + Send + 'static,
    ) -> Result<Encoded, Failure> {
        let mut task = tokio::spawn(work.in_current_span());
        let mut signs = interval_at(Instant::now() + SIGN_OF_LIFE, SIGN_OF_LIFE);
        loop {
            tokio::select! {
                ended = &mut task => {
                    return ended.unwrap_or_else(|panic| {
                        Err(Failure::internal(format!("a handler did not finish: {panic}")))
                    });
                }
                _ = signs.tick() => {
                    if let Ok(working) = encode(&Told::<()>::Working) {
                        let _ = self.send(job, &working).await;
                    }
                }
            }
        }
    }

    /// Opens a message; what can't be opened is dropped and counted, never answered.
    fn open(&self, message: &Message) -> Option<Job> {
        let opened = self.try_open(message);
        opened.map_err(|rejection| self.reject(rejection)).ok()
    }

    fn try_open(&self, message: &Message) -> Result<Job, Rejection> {
        let reply_to = message.reply.clone().ok_or(Rejection::Malformed)?;
        let (head, sealed) = Head::split(&message.payload)?;
        let (now, deadline) = (self.clock.now(), head.message.deadline);
        if deadline <= now {
            return Err(Rejection::TooLate);
        }
        if deadline > now + self.longest_deadline {
            return Err(Rejection::TooFarAhead);
        }
        let mut keys = self.keys.held();
        if !keys.has(head.key) {
            match self.keys.reload_seldom() {
                Ok(true) => keys = self.keys.held(),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the queue's keys can't be read again"),
            }
        }
        let (letter, plaintext) = self.openers.open(&keys, head, &reply_to, sealed)?;
        Ok(Job { letter, reply_to, plaintext })
    }

    fn reject(&self, rejection: Rejection) {
        metrics::counter!("bailey_queue_rejected_total", "reason" => rejection.as_str()).increment(1);
        if let Some(unsaid) = self.rejections.may_say() {
            tracing::warn!(reason = rejection.as_str(), unsaid, "a message of the queue is not taken");
        }
    }

    /// Answers: with a reply as it was encoded, or with a failure without what is nobody else's business.
    async fn tell(&self, job: &Job, reply: Result<Encoded, Failure>) {
        let told = reply.or_else(failed);
        let Ok(encoded) = told else { return };
        match self.send(job, &encoded).await {
            Err(PublishErrorKind::MaxPayloadExceeded) => {
                tracing::warn!(
                    operation = job.letter.name,
                    bytes = encoded.len(),
                    "an answer is larger than NATS' max_payload"
                );
                let too_large = Failure::new(FailureKind::TooLarge, "The answer is larger than what can be sent back");
                if let Ok(encoded) = failed(too_large) {
                    let _ = self.send(job, &encoded).await;
                }
            }
            Err(error) => tracing::warn!(operation = job.letter.name, %error, "an answer could not be sent"),
            Ok(()) => {}
        }
    }

    async fn send(&self, job: &Job, encoded: &Encoded) -> Result<(), PublishErrorKind> {
        let frame = job.letter.seal(Direction::Reply, reply_frame(job.letter.message.id), encoded);
        let frame = frame.map_err(|_| PublishErrorKind::Send)?;
        let sent = self.link.client().publish(job.reply_to.clone(), frame.into()).await;
        sent.map_err(|error| error.kind())
    }
}

fn failed(failure: Failure) -> Result<Encoded, rmp_serde::encode::Error> {
    encode(&Told::<()>::Failed(failure.without_internals()))
}

/// The API's log says that it failed; only this one says why.
fn log(failure: &Failure) {
    match failure.kind {
        FailureKind::Unavailable => tracing::warn!(%failure, "refused"),
        _ if failure.is_fault() => tracing::error!(%failure, "failed"),
        _ => {}
    }
}

/// A message that is being worked on in this process.
struct AtWork<'s> {
    all: &'s Mutex<std::collections::HashSet<MessageId>>,
    id: MessageId,
}

impl<'s> AtWork<'s> {
    /// `None` if it is being worked on already.
    fn begin(all: &'s Mutex<std::collections::HashSet<MessageId>>, id: MessageId) -> Option<Self> {
        let is_new = all.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        // Not before it is known: whoever drops one says that the work is over.
        is_new.then(|| Self { all, id })
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
