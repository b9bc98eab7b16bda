//! One attempt at an order: from its lease to whatever came of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bailey_core::ca::Pending;
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::order::OrderError;
use bailey_core::trace;
use bailey_db::order::{self, Fence, Job, Lost};
use chrono::TimeDelta;
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::wait::wait;
use crate::Worker;
use crate::generate::Refusal;
use crate::usecase::placement::Placed;

/// Attempts after which a fault of Bailey's own is taken for one that doesn't pass.
const FAULTS: i32 = 10;
/// Longest `error_reason` and `sub_status_message`, in characters.
const LONGEST_REASON: usize = 255;
/// `sub_status` of an order that waits for its next attempt.
const WAITING: &str = "WAITING";
/// `sub_status` of an order whose certificate is the CA's to do; Barbican's word.
const CERTIFICATE_PENDING: &str = "cert_request_pending";

/// What keeps an attempt from finishing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The order is another's by now, or has ended: nobody wants to know what came of this attempt.
    Lost,
    /// Nobody makes such a key.
    Refused(OrderError),
    /// A CA isn't done.
    Waits(Pending),
    /// Something failed, perhaps not for good.
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<bailey_db::Error> for Trouble {
    fn from(error: bailey_db::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(OrderError { code: refusal.code.to_owned(), reason: refusal.reason.into_owned() })
    }
}

impl From<Lost> for Trouble {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Lease => Self::Lost,
            Lost::Db(error) => error.into(),
        }
    }
}

/// Whether an order is still this process's, as far as it knows.
#[derive(Debug, Default)]
pub(super) struct Lease(AtomicBool);

impl Lease {
    /// Stops an attempt that would be in vain, before it places anything more.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        if self.0.load(Ordering::Relaxed) { Err(Trouble::Lost) } else { Ok(()) }
    }
}

impl Worker {
    /// Works on a claimed order, and records what came of it. Whatever can't be recorded is found by whoever
    /// claims the order once the lease has run out.
    pub(super) async fn attempt(self: Arc<Self>, job: Job) {
        let span = tracing::info_span!(
            target: trace::TARGET,
            "order",
            otel.name = "process order",
            otel.kind = "consumer",
            bailey.order.type = job.order.order_type.as_str(),
            bailey.request_id = job.request_id,
        );
        self.work_on(job).instrument(span).await;
    }

    async fn work_on(&self, job: Job) {
        let fence = job.fence(self.orders.holder);
        let mut placed = Vec::new();
        let result = if job.attempts > job.last_attempt {
            Err(Trouble::Refused(exhausted("The order was tried too often")))
        } else {
            self.try_once(&job, &fence, &mut placed).await
        };
        let outcome = match result {
            Ok(()) => self.succeeded(&job),
            Err(Trouble::Lost) => "lost",
            Err(Trouble::Refused(error)) => self.end(&job, &fence, error).await,
            Err(Trouble::Waits(pending)) => self.waits(&job, &fence, &pending).await,
            Err(Trouble::Failed(failure)) => self.failed(&job, &fence, &failure).await,
        };
        if outcome != "done" {
            for placed in &placed {
                self.take_back(placed).await;
            }
        }
        tracing::debug!(order = %job.order.id, attempt = job.attempts, outcome, "worked on an order");
        let kind = job.order.order_type.as_str();
        metrics::counter!("bailey_order_attempts_total", "type" => kind, "outcome" => outcome).increment(1);
    }

    async fn try_once(&self, job: &Job, fence: &Fence, placed: &mut Vec<Placed>) -> Result<(), Trouble> {
        let lease = Lease::default();
        let work = async {
            let product = self.make(job, &lease, placed).await?;
            lease.check()?;
            self.finish(product, fence).await
        };
        tokio::select! {
            done = AssertUnwindSafe(work).catch_unwind() => {
                done.unwrap_or_else(|_| Err(Failure::internal("an order's processing panicked").into()))
            }
            never = self.hold(fence, &lease) => match never {},
        }
    }

    /// Renews the lease until it is lost. A database that doesn't answer is no loss: if nobody else could
    /// take the order meanwhile, it is still this process's.
    async fn hold(&self, fence: &Fence, lease: &Lease) -> std::convert::Infallible {
        let config = &self.orders.config;
        loop {
            tokio::time::sleep(config.heartbeat()).await;
            let (fence, leases, now) = (fence.clone(), config.leases(), self.clock.now());
            let renewed = self.db.write(move |tx| {
                let fence = fence.clone();
                Box::pin(async move { order::renew(tx, &fence, leases, now).await })
            });
            if renewed.await == Ok(false) {
                lease.0.store(true, Ordering::Relaxed);
            }
        }
    }

    fn succeeded(&self, job: &Job) -> &'static str {
        self.audit_order(job, None);
        let seconds = (self.clock.now() - job.order.created_at).as_seconds_f64().max(0.0);
        metrics::histogram!("bailey_order_seconds", "type" => job.order.order_type.as_str()).record(seconds);
        "done"
    }

    /// Puts an order off, or ends it if another attempt wouldn't help.
    async fn failed(&self, job: &Job, fence: &Fence, failure: &Failure) -> &'static str {
        tracing::warn!(order = %job.order.id, attempt = job.attempts, %failure, "an attempt at an order failed");
        let now = self.clock.now();
        // How often a CA was polled says nothing about what goes wrong now.
        let in_vain = self.orders.config.max_attempts - (job.last_attempt - job.attempts);
        let next = now + wait(in_vain, self.orders.config.leases().longest_wait);
        if let Some(error) = verdict(in_vain, failure) {
            return self.end(job, fence, error).await;
        }
        if job.attempts >= job.last_attempt {
            return self.end(job, fence, exhausted("The order was tried too often")).await;
        }
        if next > job.deadline_at {
            return self.end(job, fence, exhausted("The order could not be done in time")).await;
        }
        let message = shorten(format!("Attempt {} failed: {}; it is tried again", job.attempts, told(failure)));
        let fence = fence.clone();
        let postponed = self.db.write(move |tx| {
            let (fence, message) = (fence.clone(), message.clone());
            Box::pin(async move { order::postpone(tx, &fence, next, (WAITING, &message), now).await })
        });
        match postponed.await {
            Ok(true) => "postponed",
            Ok(false) => "lost",
            Err(error) => unrecorded(job, &error),
        }
    }

    /// Puts an order off until its CA is to be polled again.
    async fn waits(&self, job: &Job, fence: &Fence, pending: &Pending) -> &'static str {
        let (now, longest) = (self.clock.now(), self.orders.config.leases().longest_wait);
        let wait = TimeDelta::from_std(pending.retry_after).unwrap_or(longest).min(longest);
        if now + wait > job.deadline_at {
            return self.end(job, fence, exhausted("The certificate authority did not answer in time")).await;
        }
        let message = shorten(format!("The certificate authority waits for {}", pending.waits_for));
        let (fence, state) = (fence.clone(), pending.state.0.clone());
        let postponed = self.db.write(move |tx| {
            let (fence, state, message) = (fence.clone(), state.clone(), message.clone());
            Box::pin(async move {
                let told = (CERTIFICATE_PENDING, message.as_str());
                order::postpone_with(tx, &fence, &state, now + wait, told, now).await
            })
        });
        match postponed.await {
            Ok(true) => "waiting",
            Ok(false) => "lost",
            Err(error) => unrecorded(job, &error),
        }
    }

    /// Ends an order for good without a product.
    async fn end(&self, job: &Job, fence: &Fence, error: OrderError) -> &'static str {
        let (fence, now) = (fence.clone(), self.clock.now());
        let reason = error.reason.clone();
        let ended = self.db.write(move |tx| {
            let (fence, error) = (fence.clone(), error.clone());
            Box::pin(async move { order::fail(tx, &fence, &error, now).await })
        });
        match ended.await {
            Ok(()) => {
                self.audit_order(job, Some(reason));
                "failed"
            }
            Err(Lost::Lease) => "lost",
            Err(Lost::Db(error)) => unrecorded(job, &error),
        }
    }
}

fn unrecorded(job: &Job, error: &bailey_db::Error) -> &'static str {
    tracing::warn!(order = %job.order.id, %error, "what came of an order could not be recorded");
    "unrecorded"
}

/// The error that an order ends with, unless another attempt may help.
fn verdict(attempt: i32, failure: &Failure) -> Option<OrderError> {
    let error =
        |code: &str, reason: &str| Some(OrderError { code: code.to_owned(), reason: shorten(reason.to_owned()) });
    match failure.kind {
        FailureKind::Unavailable | FailureKind::Conflict => None,
        FailureKind::Internal if attempt < FAULTS => None,
        FailureKind::Internal | FailureKind::Corrupt => error("500", told(failure)),
        _ => error("400", &failure.reason),
    }
}

/// What a client may know of a failure: the reason of a fault is the log's.
fn told(failure: &Failure) -> &str {
    match failure.kind {
        FailureKind::Internal | FailureKind::Corrupt => {
            "Order processing failure seen - please contact site administrator"
        }
        _ => &failure.reason,
    }
}

fn exhausted(reason: &str) -> OrderError {
    OrderError { code: "500".to_owned(), reason: reason.to_owned() }
}

pub(super) fn shorten(text: String) -> String {
    match text.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_what_can_t_is_not() {
        let code = |kind, attempt| verdict(attempt, &Failure::new(kind, "why")).map(|error| error.code);
        assert_eq!(code(FailureKind::Unavailable, 500), None);
        assert_eq!(code(FailureKind::Internal, 1), None);
        assert_eq!(code(FailureKind::Internal, FAULTS).as_deref(), Some("500"));
        assert_eq!(code(FailureKind::Corrupt, 1).as_deref(), Some("500"));
        assert_eq!(code(FailureKind::NotSupported, 1).as_deref(), Some("400"));
        assert_eq!(code(FailureKind::Invalid, 1).as_deref(), Some("400"));
    }

    #[test]
    fn a_fault_s_reason_is_not_for_clients() {
        let fault = Failure::internal("canary of the inside");
        assert!(verdict(FAULTS, &fault).is_some_and(|error| !error.reason.contains("canary")));
        assert_eq!(shorten("ä".repeat(300)).chars().count(), 255);
        assert_eq!(shorten("short".to_owned()), "short");
    }
}
