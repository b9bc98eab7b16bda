//! Working on orders: the rows are the queue, and whoever holds a lease works.
//!
//! An order is claimed, what it makes is placed under fresh write ids, and one transaction makes secrets,
//! container and order ACTIVE together. Whoever dies on the way leaves bytes that no row refers to, and a
//! lease that runs out.

mod attempt;
mod certificate;
mod config;
pub(crate) mod engine;
mod product;
mod renewal;
mod template;
mod wait;

use std::sync::Arc;

use bailey_core::ids::WorkerId;
use tokio::sync::Notify;

pub(crate) use certificate::{CERTIFICATE, check_request, key_among, ordered};
pub use config::Config;
pub(crate) use template::Template;
pub(crate) use wait::wait;

/// The name of a key pair's passphrase among its order's inputs.
pub(crate) const PASSPHRASE: &str = "passphrase";

/// What a process works on orders with.
pub struct Orders {
    /// Settings.
    pub config: Config,
    /// Names this process in leases. Another start is another holder: what the last one held is lost.
    pub(crate) holder: WorkerId,
    came: Arc<Notify>,
}

impl Orders {
    /// Nothing is worked on yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, holder: WorkerId::new(), came: Arc::default() }
    }

    /// Tells this process that there may be something to claim.
    pub(crate) fn wake(&self) {
        self.came.notify_one();
    }
}
