//! API and worker in one process.

use std::sync::OnceLock;
use std::time::Duration;

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use bailey_core::request::Request;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;

use crate::Handlers;
use crate::measure::{Measure, Refusal};

/// The way to a worker in the same process.
pub(crate) struct InProcess {
    handlers: OnceLock<Handlers>,
    deadline: Duration,
    runtime: Handle,
}

impl InProcess {
    pub(crate) const fn new(deadline: Duration, runtime: Handle) -> Self {
        Self { handlers: OnceLock::new(), deadline, runtime }
    }

    pub(crate) fn attach(&self, handlers: Handlers) {
        let _ = self.handlers.set(handlers);
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.handlers.get().is_some()
    }

    /// Hands the request to its handler, if `permit` allows it.
    pub(crate) async fn ask<R: Request>(
        &self,
        call: Call,
        request: R,
        permit: impl FnOnce() -> Result<OwnedSemaphorePermit, Failure>,
        measure: &Measure,
    ) -> Result<R::Reply, Failure> {
        let handlers = self.handlers.get().ok_or_else(|| measure.refuse(Refusal::NoWorker))?;
        let handler = handlers.find::<R>().ok_or_else(|| Failure::internal("no handler for this request"))?;
        let permit = permit()?;
        let work = handler(call, request).in_current_span();
        let waiting = measure.begin();
        let task = self.runtime.spawn(async move {
            let _working = waiting.over();
            let reply = work.await;
            drop(permit);
            reply
        });
        match tokio::time::timeout(self.deadline, task).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(panic)) => Err(Failure::internal(format!("a handler did not finish: {panic}"))),
            Err(_) => Err(measure.refuse(Refusal::Late)),
        }
    }
}
