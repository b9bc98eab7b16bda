//! One kind of background work, pass by pass.

use std::panic::AssertUnwindSafe;

use bailey_core::failure::Failure;
use bailey_core::told::Complaint;
use futures_util::FutureExt as _;
use metrics::Counter;

use crate::Worker;

/// One kind of background work: counts its passes and tells how they went, trouble that lasts once only.
pub(super) struct Task {
    name: &'static str,
    store: Option<String>,
    objects: Counter,
    failures: Counter,
    complaint: Complaint,
}

impl Task {
    pub(super) fn new(name: &'static str) -> Self {
        let objects = metrics::counter!("bailey_background_objects_total", "task" => name);
        let failures = metrics::counter!("bailey_background_failures_total", "task" => name);
        // Shown from the beginning, so that the first failure shows as a rise.
        objects.increment(0);
        failures.increment(0);
        Self { name, store: None, objects, failures, complaint: Complaint::default() }
    }

    /// One for each store of a worker, in its order: one that is down must not silence another.
    pub(super) fn for_stores(name: &'static str, worker: &Worker) -> Vec<Self> {
        let stores = worker.stores.iter().map(|store| store.descriptor().name.clone());
        stores.map(|store| Self { store: Some(store), ..Self::new(name) }).collect()
    }

    /// Does one pass. Not even a panic keeps the next one from coming.
    pub(super) async fn pass(&mut self, work: impl Future<Output = Result<u64, Failure>>) {
        let (task, store) = (self.name, self.store.as_deref());
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(count)) => {
                if self.complaint.is_over() {
                    tracing::info!(task, store, "background work goes on");
                }
                if count > 0 {
                    tracing::info!(task, store, count, "background work done");
                }
                self.objects.increment(count);
            }
            Ok(Err(failure)) => {
                self.failures.increment(1);
                if self.complaint.is_news(&failure) {
                    tracing::warn!(task, store, %failure, "background work fails and is tried again");
                }
            }
            Err(_) => {
                self.failures.increment(1);
                if self.complaint.is_news("panicked") {
                    tracing::error!(task, store, "background work panicked and is tried again");
                }
            }
        }
    }
}
