//! Carries requests from the API to the worker, and replies back.
//!
//! In process nothing is serialised: a request is handed to the worker's handler, which runs as a
//! task of its own on the worker's runtime. It is not the place for orders: an order is a row, and
//! the row is its queue. Start reading at [`Queue::call`].

mod handlers;
mod measure;
pub mod trace;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use bailey_core::request::Request;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

pub use handlers::Handlers;

use measure::{Measure, Refusal};

/// Bounds of the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// How many requests may be worked on at once; further ones are answered 503.
    pub in_flight: u32,
    /// Seconds after which a request is answered 503, whatever becomes of its work.
    pub deadline_seconds: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { in_flight: 512, deadline_seconds: 20.0 }
    }
}

/// The way to a worker. Clone it freely.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    handlers: OnceLock<Handlers>,
    permits: Arc<Semaphore>,
    in_flight: u32,
    deadline: Duration,
    runtime: Handle,
    measure: Measure,
}

impl Queue {
    /// A queue without a worker: it answers `Unavailable` until one is [attached](Self::attach).
    /// Requests are worked on by `runtime`.
    #[must_use]
    pub fn new(config: &Config, runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            handlers: OnceLock::new(),
            permits: Arc::new(Semaphore::new(config.in_flight as usize)),
            in_flight: config.in_flight,
            deadline: Duration::from_secs_f64(config.deadline_seconds),
            runtime,
            measure: Measure::new(),
        }))
    }

    /// Gives the queue its worker. A second one is ignored.
    pub fn attach(&self, handlers: Handlers) {
        let _ = self.0.handlers.set(handlers);
    }

    /// Asks the worker and waits for its reply.
    ///
    /// The work goes on when the caller is dropped or the deadline passes: a client that hangs up
    /// loses the reply, never half an effect.
    ///
    /// # Errors
    /// The worker's failure; `Unavailable` when no worker is there, too much is in flight or the
    /// deadline passes; `Internal` when the handler panics or none is registered.
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
        let handlers = self.0.handlers.get().ok_or_else(|| measure.refuse(Refusal::NoWorker))?;
        let handler = handlers.find::<R>().ok_or_else(|| Failure::internal("no handler for this request"))?;
        let permit = Arc::clone(&self.0.permits).try_acquire_owned().map_err(|_| measure.refuse(Refusal::Full))?;
        let work = handler(call, request).in_current_span();
        let waiting = measure.begin();
        let task = self.0.runtime.spawn(async move {
            let _working = waiting.over();
            let reply = work.await;
            drop(permit);
            reply
        });
        match tokio::time::timeout(self.0.deadline, task).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(panic)) => Err(Failure::internal(format!("a handler did not finish: {panic}"))),
            Err(_) => Err(measure.refuse(Refusal::Late)),
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
