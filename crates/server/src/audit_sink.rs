//! Where audit events go: a file or a standard stream, one JSON line each.

mod output;
mod queue;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bailey_core::audit::{AuditEvent, AuditSink, Outcome};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use output::Output;
pub use queue::QueuedSink;

/// Where audit events go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditConfig {
    /// Kind of the sink.
    pub sink: SinkKind,
    /// The file; `audit.log` in the data folder, if empty.
    pub path: PathBuf,
    /// Events of a server that may wait to be written.
    pub queue: u32,
    /// Seconds that an answer is held back for its events to be written.
    pub deadline_seconds: f64,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { sink: SinkKind::File, path: PathBuf::new(), queue: 4096, deadline_seconds: 2.0 }
    }
}

impl AuditConfig {
    fn deadline(&self) -> Duration {
        Duration::from_secs_f64(self.deadline_seconds)
    }
}

/// A kind of sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkKind {
    /// A file that is only appended to.
    File,
    /// Standard output of `serve`; commands use stderr, because their stdout is their result.
    Stdout,
}

/// Opens the configured sink for `serve`: a full disk or a pipe that nobody reads keeps no thread of it.
///
/// # Errors
/// When a file can't be opened or made.
pub fn open(config: &AuditConfig) -> Result<Arc<QueuedSink>> {
    let output = match config.sink {
        SinkKind::File => Output::file(&config.path)?,
        SinkKind::Stdout => Output::stream(io::stdout())?,
    };
    QueuedSink::start(output, config.queue, config.deadline())
}

/// Opens it for a command, which waits for what it writes; its stdout is its result.
///
/// # Errors
/// As [`open`].
pub fn open_for_command(config: &AuditConfig) -> Result<Arc<dyn AuditSink>> {
    let output = match config.sink {
        SinkKind::File => Output::file(&config.path)?,
        SinkKind::Stdout => Output::stream(io::stderr())?,
    };
    Ok(Arc::new(DirectSink(Mutex::new(output))))
}

/// Writes while its caller waits.
struct DirectSink(Mutex<Output>);

impl AuditSink for DirectSink {
    fn write(&self, event: &AuditEvent) -> io::Result<()> {
        let line = line(event)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(&mut &line[..])
    }
}

fn line(event: &AuditEvent) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    Ok(line)
}

/// What an operator did at the machine itself; `trouble` is why it failed, if it did.
#[must_use]
pub fn operator_event(
    time: DateTime<Utc>,
    action: &str,
    target: Option<String>,
    trouble: Option<String>,
) -> AuditEvent {
    AuditEvent {
        time,
        request_id: None,
        user: Some("operator".to_owned()),
        project: None,
        method: Some("local"),
        action: action.to_owned(),
        target,
        outcome: if trouble.is_none() { Outcome::Success } else { Outcome::Failure },
        reason: trouble,
    }
}
