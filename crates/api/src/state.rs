//! What every request can reach.

use actix_web::{HttpRequest, web};
use bailey_core::failure::Failure;
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

    /// The state of the application that a request is routed in.
    pub(crate) fn of(request: &HttpRequest) -> Result<&Self, Failure> {
        let state = request.app_data::<web::Data<Self>>();
        state
            .map(|state| state.get_ref())
            .ok_or_else(|| Failure::internal("the application was assembled without its state"))
    }
}
