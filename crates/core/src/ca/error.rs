//! Why a CA failed.

use std::fmt;
use std::time::Duration;

/// What a CA's failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaErrorKind {
    /// The CA didn't issue such a certificate.
    NotFound,
    /// A state, a key or a certificate isn't what it was.
    Corrupt,
    /// The CA can't do that, ever.
    Unsupported,
    /// The CA, or a key it needs, is out of reach now, or wants to be left alone for a while.
    Unavailable,
    /// A fault in the plugin's own code or configuration.
    Internal,
}

/// Why a CA failed: kind, operation, context and source. Contains no key, password or token.
#[derive(Debug, thiserror::Error)]
pub struct CaError {
    /// What it means to whoever called.
    pub kind: CaErrorKind,
    /// What was being done: `sign certificate`.
    pub operation: &'static str,
    /// What an operator needs to know beside that.
    pub context: String,
    /// When the CA wants to be asked again, if it said so.
    pub retry_after: Option<Duration>,
    /// The error underneath.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl CaError {
    /// An error without a source.
    pub fn new(kind: CaErrorKind, operation: &'static str, context: impl Into<String>) -> Self {
        Self { kind, operation, context: context.into(), retry_after: None, source: None }
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Adds when to ask again.
    #[must_use]
    pub fn retried_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, CaErrorKind::Unavailable)
    }
}

impl fmt::Display for CaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.operation, self.kind)?;
        if !self.context.is_empty() {
            write!(f, ": {}", self.context)?;
        }
        Ok(())
    }
}
