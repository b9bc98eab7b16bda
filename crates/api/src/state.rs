//! What every request can reach.

use bailey_queue::Queue;

use crate::config::Config;

/// The API's settings and its way to a worker: all that an API process holds.
#[derive(Clone)]
pub struct State {
    /// Settings.
    pub config: Config,
    /// The way to a worker.
    pub queue: Queue,
}

impl State {
    /// Bundles settings and queue.
    #[must_use]
    pub const fn new(config: Config, queue: Queue) -> Self {
        Self { config, queue }
    }
}
