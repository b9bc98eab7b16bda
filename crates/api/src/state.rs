//! What every request can reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::{HttpRequest, web};
use bailey_core::failure::Failure;
use bailey_queue::Queue;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::Config;
use crate::http2::Connections;

/// Most bytes set aside at once for bodies that are being read: nobody asks yet who sends them.
const BODIES: usize = 64 * 1024 * 1024;

/// The API's settings and its way to a worker: all that an API process holds.
#[derive(Clone)]
pub struct State {
    /// Settings.
    pub config: Config,
    /// The way to a worker.
    pub queue: Queue,
    bodies: Arc<Semaphore>,
    is_ending: Arc<AtomicBool>,
    /// Those that need more watching over than others.
    pub(crate) connections: Connections,
}

impl State {
    /// Bundles settings and queue.
    #[must_use]
    pub fn new(config: Config, queue: Queue) -> Self {
        let bodies = Arc::new(Semaphore::new(BODIES));
        Self { config, queue, bodies, is_ending: Arc::default(), connections: Connections::default() }
    }

    /// Has `/readyz` send clients elsewhere from now on.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Whether the process is about to stop.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// Sets memory aside for a body of `size` bytes, until the permit is dropped.
    ///
    /// # Errors
    /// `Unavailable` when too many bodies are being read already.
    pub(crate) fn body_memory(&self, size: usize) -> Result<SemaphorePermit<'_>, Failure> {
        let size = u32::try_from(size.min(BODIES)).unwrap_or(u32::MAX);
        self.bodies.try_acquire_many(size).map_err(|_| Failure::unavailable("too many bodies are being read"))
    }

    /// The state of the application that a request is routed in.
    pub(crate) fn of(request: &HttpRequest) -> Result<&Self, Failure> {
        let state = request.app_data::<web::Data<Self>>();
        state
            .map(|state| state.get_ref())
            .ok_or_else(|| Failure::internal("the application was assembled without its state"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::failure::FailureKind;

    use super::*;

    #[actix_web::test]
    async fn bodies_that_are_read_at_once_are_bounded() {
        let queue = Queue::new(&bailey_queue::Config::default(), tokio::runtime::Handle::current());
        let state = State::new(Config::default(), queue);
        let read: Vec<_> = (0..1024).map(|_| state.body_memory(64 * 1024).unwrap()).collect();
        assert_eq!(state.clone().body_memory(1).unwrap_err().kind, FailureKind::Unavailable);
        drop(read);
        assert!(state.body_memory(usize::MAX).is_ok(), "a limit beyond the bound lets one body in at a time");
    }
}
