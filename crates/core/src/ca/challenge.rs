//! What a CA asks a web server to prove that a name is its own.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::CaError;

/// Answers to challenges of the sort `http-01` (RFC 8555, section 8.3), kept where every process that serves
/// `/.well-known/acme-challenge/TOKEN` finds them. None of it is secret: the CA, and whoever knows the token, reads it.
#[async_trait]
pub trait Challenges: Send + Sync {
    /// Has a token answered until it is removed, or for so long. Idempotent.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn place(&self, token: &str, answer: &str, until: DateTime<Utc>) -> Result<(), CaError>;

    /// Has a token answered no more. Idempotent.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn remove(&self, token: &str) -> Result<(), CaError>;

    /// What a token is answered with now, if it is.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn find(&self, token: &str) -> Result<Option<String>, CaError>;
}
