//! Who makes the records that `dns-01` asks for.

mod rfc2136;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;
use bailey_core::ca::CaError;

pub(super) use rfc2136::Rfc2136;
pub(super) use webhook::Webhook;

/// Makes TXT records and takes them away. Several may stand for one name: those of a name and of its wildcard do.
#[async_trait]
pub(super) trait Records: Send + Sync {
    /// Whether records for this host can be made here.
    fn covers(&self, host: &str) -> bool;

    /// How long it takes until all servers have a record.
    fn wait(&self) -> Duration;

    /// Makes one, and leaves others of the name alone. Idempotent.
    ///
    /// # Errors
    /// `Unavailable`; `Internal` if it is refused.
    async fn add(&self, name: &str, value: &str) -> Result<(), CaError>;

    /// Takes one away. Idempotent.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    async fn remove(&self, name: &str, value: &str) -> Result<(), CaError>;
}
