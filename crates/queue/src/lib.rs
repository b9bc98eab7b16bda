//! Carries requests from the API to the worker, and replies back.
//!
//! In process nothing is serialised: a request is handed to the worker's handler, which runs as a
//! task of its own on the worker's runtime. Between processes every message is sealed and goes over NATS
//! (`docs/queue.md`). It is not the place for orders: an order is a row, and the row is its queue. Start
//! reading at [`Queue::call`].

pub mod codec;
mod config;
mod handlers;
mod in_process;
pub mod keys;
mod measure;
mod nats;
pub mod seal;
mod seldom;
pub mod trace;

use std::sync::Arc;
use std::time::Duration;

use bailey_core::access::Call;
use bailey_core::clock::Clock;
use bailey_core::failure::Failure;
use bailey_core::request::Request;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

pub use config::{Config, NatsConfig};
pub use handlers::Handlers;
pub use nats::{ConnectError, Server};

use in_process::InProcess;
use keys::{ApiKeys, KeyRing};
use measure::{Measure, Refusal};
use nats::Asker;

/// The way to a worker. Clone it freely.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    way: Way,
    permits: Arc<Semaphore>,
    in_flight: u32,
    measure: Measure,
}

enum Way {
    InProcess(InProcess),
    Nats(Box<Asker>),
}

impl Queue {
    /// A queue without a worker: it answers `Unavailable` until one is [attached](Self::attach).
    /// Requests are worked on by `runtime`.
    #[must_use]
    pub fn new(config: &Config, runtime: Handle) -> Self {
        Self::over(Way::InProcess(InProcess::new(config.deadline(), runtime)), config)
    }

    /// A queue to the workers that listen on NATS, each with a [`Server`]. It connects, now and whenever the
    /// connection is lost, by itself, and answers `Unavailable` meanwhile.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub async fn connect(config: &Config, keys: KeyRing<ApiKeys>, clock: Clock) -> Result<Self, ConnectError> {
        let asker = Asker::connect(config, keys, clock).await?;
        Ok(Self::over(Way::Nats(Box::new(asker)), config))
    }

    fn over(way: Way, config: &Config) -> Self {
        let permits = Arc::new(Semaphore::new(config.in_flight as usize));
        Self(Arc::new(Inner { way, permits, in_flight: config.in_flight, measure: Measure::new() }))
    }

    /// Gives a queue within a process its worker. A second one is ignored.
    pub fn attach(&self, handlers: Handlers) {
        if let Way::InProcess(way) = &self.0.way {
            way.attach(handlers);
        }
    }

    /// Whether there is a way to workers: that one answers is not said.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        match &self.0.way {
            Way::InProcess(way) => way.is_attached(),
            Way::Nats(asker) => asker.is_connected(),
        }
    }

    /// Asks the worker and waits for its reply.
    ///
    /// The work goes on when the caller is dropped or the deadline passes: a client that hangs up
    /// loses the reply, never half an effect.
    ///
    /// # Errors
    /// The worker's failure; `Unavailable` when no worker is there, too much is in flight or the
    /// deadline passes; `TooLarge` for what is more than NATS carries; `Internal` when the handler panics or
    /// none is registered.
    pub async fn call<R: Request>(&self, call: Call, request: R) -> Result<R::Reply, Failure> {
        let span = trace::asking(R::NAME);
        let call = Call { trace: trace::context_of(&span), ..call };
        let reply = self.ask(call, request).instrument(span.clone()).await;
        reply
            .map_err(|failure| Failure { operation: R::OPERATION, ..failure })
            .inspect_err(|failure| trace::failed(&span, failure))
    }

    async fn ask<R: Request>(&self, call: Call, request: R) -> Result<R::Reply, Failure> {
        let measure = &self.0.measure;
        let permit = || Arc::clone(&self.0.permits).try_acquire_owned().map_err(|_| measure.refuse(Refusal::Full));
        match &self.0.way {
            Way::InProcess(way) => way.ask(call, request, permit, measure).await,
            Way::Nats(asker) => {
                let _permit = permit()?;
                asker.ask(call, request, measure).await
            }
        }
    }

    /// Waits until nothing is in flight, at most `patience`; returns whether that came about. Later
    /// requests are answered `Unavailable`.
    pub async fn drain(&self, patience: Duration) -> bool {
        let idle = tokio::time::timeout(patience, self.0.permits.acquire_many(self.0.in_flight)).await;
        let drained = matches!(idle, Ok(Ok(_)));
        self.0.permits.close();
        drained
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::access::Credentials;
    use bailey_core::failure::FailureKind;
    use bailey_core::ids::RequestId;
    use bailey_core::request::Identify;
    use tokio::sync::Notify;

    use super::*;

    fn call() -> Call {
        Call::new(Credentials::default(), RequestId::new())
    }

    fn queue(config: &Config) -> Queue {
        Queue::new(config, Handle::current())
    }

    #[tokio::test]
    async fn without_a_worker_the_answer_is_unavailable_at_once() {
        let failure = queue(&Config::default()).call(call(), Identify {}).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unavailable);
        assert_eq!(failure.operation, Identify::OPERATION);
        assert!(failure.retry_after.is_some());
    }

    #[tokio::test]
    async fn the_bound_refuses_and_recovers() {
        let queue = queue(&Config { in_flight: 1, ..Config::default() });
        let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inside, gate) = (Arc::clone(&entered), Arc::clone(&release));
        queue.attach(Handlers::default().on(move |_, Identify {}| {
            let (inside, gate) = (Arc::clone(&inside), Arc::clone(&gate));
            async move {
                inside.notify_one();
                gate.notified().await;
                Ok(())
            }
        }));
        let first = tokio::spawn({
            let queue = queue.clone();
            async move { queue.call(call(), Identify {}).await }
        });
        entered.notified().await;
        assert_eq!(queue.call(call(), Identify {}).await.unwrap_err().kind, FailureKind::Unavailable);
        release.notify_one();
        first.await.unwrap().unwrap();
        release.notify_one();
        queue.call(call(), Identify {}).await.unwrap();
        assert!(queue.drain(Duration::from_secs(1)).await);
        assert_eq!(queue.call(call(), Identify {}).await.unwrap_err().kind, FailureKind::Unavailable);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_does_not_stop_the_work() {
        let queue = queue(&Config::default());
        let (started, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (start, finish) = (Arc::clone(&started), Arc::clone(&done));
        queue.attach(Handlers::default().on(move |_, Identify {}| {
            let (start, finish) = (Arc::clone(&start), Arc::clone(&finish));
            async move {
                start.notify_one();
                tokio::task::yield_now().await;
                finish.notify_one();
                Ok(())
            }
        }));
        tokio::select! {
            _ = queue.call(call(), Identify {}) => {}
            () = started.notified() => {}
        }
        tokio::time::timeout(Duration::from_secs(5), done.notified()).await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_and_a_missed_deadline_are_failures() {
        let queue = queue(&Config { deadline_seconds: 0.05, ..Config::default() });
        queue.attach(Handlers::default().on(|call: Call, Identify {}| async move {
            assert!(call.credentials.token.is_some(), "refuse");
            std::future::pending().await
        }));
        assert_eq!(queue.call(call(), Identify {}).await.unwrap_err().kind, FailureKind::Internal);
        let mut late = call();
        late.credentials.token = Some("t".to_owned().into());
        assert_eq!(queue.call(late, Identify {}).await.unwrap_err().kind, FailureKind::Unavailable);
    }
}
