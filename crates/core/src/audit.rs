//! Audit events: who did what to which target, and how it ended.

use std::io;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;

/// How an audited action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Success,
    /// The caller had no right to it, or no valid credentials.
    Denied,
    /// It was tried and failed.
    Failure,
}

/// One audit event: one JSON line. Contains no payload, token or key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// When.
    pub time: DateTime<Utc>,
    /// The HTTP request, or nothing for an admin command and what is done unasked.
    pub request_id: Option<String>,
    /// The user, if known; `operator` for an admin command, `system` for what is done unasked.
    pub user: Option<String>,
    /// The project acted in.
    pub project: Option<String>,
    /// How the caller was authenticated; `local` for an admin command, `schedule` for what is done unasked.
    pub method: Option<&'static str>,
    /// The policy's rule name, or the admin command: `secret:decrypt`, `token create`; or what was done
    /// unasked: `purge expired`.
    pub action: String,
    /// What it was done to: `secrets/ID`.
    pub target: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, unless it succeeded.
    pub reason: Option<String>,
}

/// Where audit events go, in the order they came.
#[async_trait]
pub trait AuditSink: Send + Sync {
    /// Takes one event without waiting for anybody. It is written by the time [`settle`](Self::settle) says
    /// so; a sink that doesn't override that has written it already.
    ///
    /// # Errors
    /// When the sink can't take it.
    fn write(&self, event: &AuditEvent) -> io::Result<()>;

    /// Whether what is begun now can be expected to find its events written in time.
    fn is_ready(&self) -> bool {
        true
    }

    /// Waits, for a limited time, until every event taken so far is written.
    ///
    /// # Errors
    /// When that doesn't come about in time. The events are kept and written once that is possible.
    async fn settle(&self) -> io::Result<()> {
        Ok(())
    }
}
