//! Audit events: who did what to which target, and how it ended.

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
    /// The HTTP request, or nothing for an admin command.
    pub request_id: Option<String>,
    /// The user, if known; `operator` for an admin command.
    pub user: Option<String>,
    /// The project acted in.
    pub project: Option<String>,
    /// How the caller was authenticated; `local` for an admin command.
    pub method: Option<&'static str>,
    /// The policy's rule name, or the admin command: `secret:decrypt`, `token create`.
    pub action: String,
    /// What it was done to: `secrets/ID`.
    pub target: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, unless it succeeded.
    pub reason: Option<String>,
}

/// Where audit events go.
pub trait AuditSink: Send + Sync {
    /// Writes one event before it returns.
    ///
    /// # Errors
    /// When the sink can't take it.
    fn write(&self, event: &AuditEvent) -> std::io::Result<()>;
}
