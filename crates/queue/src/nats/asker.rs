//! The API's side: seals a request, sends it, waits for whoever answers.

mod pending;

use std::time::Duration;

use async_nats::Subject;
use async_nats::client::PublishErrorKind;
use bailey_core::access::{Call, Message};
use bailey_core::clock::Clock;
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::MessageId;
use bailey_core::request::Request;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::ConnectError;
use super::link::Link;
use crate::codec::{Asked, Told, decode, encode};
use crate::config::Config;
use crate::keys::{ApiKeys, KeyRing};
use crate::measure::{Measure, Refusal};
use crate::seal::{Direction, Letter, Sealers, split_reply};
use pending::{Heard, Pending};

/// How long an answer may still come from whoever was asked first, once another one has said that it can't
/// do it: that the first one has done it may be just the reason.
const GRACE: Duration = Duration::from_millis(500);

/// The way to workers over NATS.
pub(crate) struct Asker {
    link: Link,
    pending: Pending,
    keys: KeyRing<ApiKeys>,
    sealers: Sealers,
    requests: Subject,
    deadline: Duration,
    ask_again: Duration,
    clock: Clock,
}

/// A request on its way.
struct Sent {
    letter: Letter,
    reply_to: Subject,
    frame: Bytes,
}

impl Asker {
    pub(crate) async fn connect(config: &Config, keys: KeyRing<ApiKeys>, clock: Clock) -> Result<Self, ConnectError> {
        let link = Link::connect(&config.nats, "api").await?;
        let pending = Pending::listen(&link, &config.nats.replies()).await?;
        Ok(Self {
            link,
            pending,
            keys,
            sealers: Sealers::default(),
            requests: config.nats.requests().into(),
            deadline: config.deadline(),
            ask_again: config.nats.ask_again(),
            clock,
        })
    }

    /// Whether the server is there.
    pub(crate) fn is_connected(&self) -> bool {
        self.link.is_up()
    }

    /// Asks whichever worker gets it.
    pub(crate) async fn ask<R: Request>(&self, call: Call, request: R, measure: &Measure) -> Result<R::Reply, Failure> {
        if !self.link.is_up() {
            return Err(measure.refuse(Refusal::Unreachable));
        }
        let id = random_id()?;
        let mut answers = self.pending.expect(id);
        let sent = self.seal(id, &call, &request)?;
        drop((call, request));
        let _in_flight = measure.begin();
        tokio::select! {
            reply = self.exchange::<R>(&sent, &mut answers, measure) => reply,
            () = self.link.lost() => Err(measure.refuse(Refusal::Unreachable)),
            () = tokio::time::sleep(self.deadline) => Err(measure.refuse(Refusal::Late)),
        }
    }

    fn seal<R: Request>(&self, id: MessageId, call: &Call, request: &R) -> Result<Sent, Failure> {
        let fault = |error: &dyn std::fmt::Display| Failure::internal(format!("{}: {error}", R::NAME));
        let message = Message { id, deadline: self.clock.now() + self.deadline };
        let reply_to = self.pending.subject(id);
        let sealer = self.sealers.current(&self.keys.held()).map_err(|error| fault(&error))?;
        let (letter, head) = sealer.letter(message, R::NAME, reply_to.to_string());
        let plaintext = encode(&Asked { call, request }).map_err(|error| fault(&error))?;
        let frame = letter.seal(Direction::Request, head, &plaintext).map_err(|error| fault(&error))?;
        Ok(Sent { letter, reply_to, frame: frame.into() })
    }

    /// Sends and waits. Without a sign of life from the worker, another one is asked the same: the message is
    /// the same too, so that what it changes is changed once.
    async fn exchange<R: Request>(
        &self,
        sent: &Sent,
        answers: &mut pending::Answers<'_>,
        measure: &Measure,
    ) -> Result<R::Reply, Failure> {
        let mut asked = 1_u32;
        self.send(sent).await?;
        let mut ask_again_at = Instant::now() + self.ask_again;
        let mut refused: Option<(Failure, Instant)> = None;
        loop {
            let wake_at = refused.as_ref().map_or(ask_again_at, |(_, until)| *until);
            let heard = tokio::select! {
                heard = answers.next() => heard,
                () = sleep_until(wake_at) => match refused {
                    Some((failure, _)) => return Err(failure),
                    None => {
                        metrics::counter!("bailey_queue_asked_again_total").increment(1);
                        self.send(sent).await?;
                        asked += 1;
                        ask_again_at = Instant::now() + self.ask_again;
                        continue;
                    }
                }
            };
            match heard.map(|heard| open::<R::Reply>(&sent.letter, heard)) {
                None => return Err(measure.refuse(Refusal::Unreachable)),
                Some(Answer::NoWorker) => return Err(measure.refuse(Refusal::NoWorker)),
                // Whoever sent this is none of the workers.
                Some(Answer::Forged) => {}
                Some(Answer::Told(Told::Working)) => ask_again_at = Instant::now() + self.ask_again,
                Some(Answer::Told(Told::Done(reply))) => return Ok(reply),
                Some(Answer::Told(Told::Failed(failure))) => {
                    if failure.kind != FailureKind::Unavailable || asked == 1 {
                        return Err(failure);
                    }
                    refused.get_or_insert((failure, Instant::now() + GRACE));
                }
            }
        }
    }

    async fn send(&self, sent: &Sent) -> Result<(), Failure> {
        let client = self.link.client();
        let published =
            client.publish_with_reply(self.requests.clone(), sent.reply_to.clone(), sent.frame.clone()).await;
        published.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => {
                Failure::new(FailureKind::TooLarge, "The request is larger than what can be sent to a worker")
            }
            _ => Failure::unavailable("The queue is out of reach").with_detail(error.to_string()),
        })
    }
}

enum Answer<T> {
    NoWorker,
    Forged,
    Told(Told<T>),
}

fn open<T: serde::de::DeserializeOwned>(letter: &Letter, heard: Heard) -> Answer<T> {
    let bytes = match heard {
        Heard::NoWorker => return Answer::NoWorker,
        Heard::Sealed(bytes) => bytes,
    };
    let opened = split_reply(&bytes).and_then(|(_, sealed)| letter.open(Direction::Reply, sealed));
    let told = opened.ok().map(|plaintext| decode::<Told<T>>(&plaintext));
    match told {
        Some(Ok(told)) => Answer::Told(told),
        // It is a worker's. What exactly is wrong with it would quote it.
        Some(Err(_)) => Answer::Told(Told::Failed(Failure::internal("an answer can't be read: versions differ"))),
        None => {
            metrics::counter!("bailey_queue_rejected_total", "reason" => "answer").increment(1);
            Answer::Forged
        }
    }
}

fn random_id() -> Result<MessageId, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Failure::internal("the system has no randomness to give"))?;
    Ok(MessageId::from(bytes))
}
