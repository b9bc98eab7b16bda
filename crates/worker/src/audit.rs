//! Audit events of requests.

use bailey_core::access::Caller;
use bailey_core::audit::{AuditEvent, Outcome};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{ProjectId, RequestId};
use bailey_db::order::Job;

use crate::Worker;

impl Worker {
    /// Refuses to begin what could not be audited.
    pub(crate) fn require_audit(&self) -> Result<(), Failure> {
        if self.audit.is_ready() { Ok(()) } else { Err(unwritten("events wait to be written")) }
    }

    /// Holds an answer back until its audit events are written. Without them nobody gets a payload, and
    /// nobody is told that something was done; it is done nevertheless, and the sink keeps its event.
    pub(crate) async fn audited<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        match self.audit.settle().await {
            Ok(()) => result,
            Err(error) => Err(unwritten(&error.to_string())),
        }
    }

    /// Writes what the worker did of itself, for nobody.
    pub(crate) fn audit_own(&self, action: &str, project: &ProjectId, target: String, failure: Option<&Failure>) {
        self.write_event(&AuditEvent {
            time: self.clock.now(),
            request_id: None,
            user: Some("system".to_owned()),
            project: Some(project.to_string()),
            method: Some("schedule"),
            action: action.to_owned(),
            target: Some(target),
            outcome: failure.map_or(Outcome::Success, outcome),
            reason: failure.map(|failure| format!("{:?}", failure.kind)),
        });
    }

    /// Writes the event that tells how an order ended: who ordered it is who does it.
    pub(crate) fn audit_order(&self, job: &Job, reason: Option<String>) {
        self.write_event(&AuditEvent {
            time: self.clock.now(),
            request_id: Some(job.request_id.clone()),
            user: job.order.creator.as_ref().map(ToString::to_string),
            project: Some(job.order.project.to_string()),
            method: None,
            action: "order:process".to_owned(),
            target: Some(format!("orders/{}", job.order.id)),
            outcome: if reason.is_none() { Outcome::Success } else { Outcome::Failure },
            reason,
        });
    }

    /// Writes one event. A sink that can't take it is an error in the log, not in the answer: what
    /// was done can't be undone by refusing to say so.
    pub(crate) fn audit(
        &self,
        request: &RequestId,
        caller: Option<&Caller>,
        action: &str,
        target: Option<String>,
        failure: Option<&Failure>,
    ) {
        self.write_event(&AuditEvent {
            time: self.clock.now(),
            request_id: Some(request.to_string()),
            user: caller.and_then(|caller| caller.user.as_ref()).map(ToString::to_string),
            project: caller.map(|caller| caller.project.to_string()),
            method: caller.map(|caller| caller.method.as_str()),
            action: action.to_owned(),
            target,
            outcome: failure.map_or(Outcome::Success, outcome),
            reason: failure.map(|failure| format!("{:?}", failure.kind)),
        });
    }

    fn write_event(&self, event: &AuditEvent) {
        if let Err(error) = self.audit.write(event) {
            tracing::error!(%error, action = event.action, "an audit event could not be written");
            metrics::counter!("bailey_audit_failures_total").increment(1);
        }
    }
}

fn unwritten(detail: &str) -> Failure {
    metrics::counter!("bailey_audit_refusals_total").increment(1);
    Failure::unavailable("The audit log is not being written").with_detail(detail)
}

const fn outcome(failure: &Failure) -> Outcome {
    match failure.kind {
        FailureKind::Forbidden | FailureKind::Unauthenticated => Outcome::Denied,
        _ => Outcome::Failure,
    }
}
