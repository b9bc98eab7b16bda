//! Deadline and metrics around a secret store, so that no back-end has to bring its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::Spec;
use bailey_core::store::{
    Descriptor, Inventory, KeyRotation, Place, RetrieveRequest, SecretStore, StoreError, StoreErrorKind,
    StoreReference, StoreRequest,
};

/// A secret store whose calls end within a deadline and are counted.
///
/// Inventory and key rotation pass through: background work has no client that waits.
pub struct Guarded {
    inner: Arc<dyn SecretStore>,
    deadline: Duration,
}

impl Guarded {
    /// Guards `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn SecretStore>, deadline: Duration) -> Self {
        Self { inner, deadline }
    }

    async fn guard<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let begin = Instant::now();
        let result = tokio::time::timeout(self.deadline, work)
            .await
            .unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::Unavailable, operation, "deadline exceeded")));
        let outcome = match &result {
            Ok(_) => "ok",
            Err(error) => outcome(error.kind),
        };
        let labels = [("store", self.descriptor().name.clone()), ("operation", operation.to_owned())];
        metrics::histogram!("bailey_store_seconds", &labels).record(begin.elapsed().as_secs_f64());
        metrics::counter!("bailey_store_calls_total", "store" => self.descriptor().name.clone(),
            "operation" => operation, "outcome" => outcome)
        .increment(1);
        result
    }
}

const fn outcome(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::NotFound => "not_found",
        StoreErrorKind::Corrupt => "corrupt",
        StoreErrorKind::Conflict => "conflict",
        StoreErrorKind::Unsupported => "unsupported",
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::Internal => "internal",
    }
}

#[async_trait]
impl SecretStore for Guarded {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn store(&self, request: StoreRequest<'_>) -> Result<StoreReference, StoreError> {
        self.guard("store", self.inner.store(request)).await
    }

    async fn retrieve(&self, request: RetrieveRequest<'_>) -> Result<SecretBytes, StoreError> {
        self.guard("retrieve", self.inner.retrieve(request)).await
    }

    async fn delete(&self, place: &Place, reference: &StoreReference) -> Result<(), StoreError> {
        self.guard("delete", self.inner.delete(place, reference)).await
    }

    async fn generate_symmetric(&self, place: &Place, spec: &Spec) -> Result<StoreReference, StoreError> {
        self.guard("generate", self.inner.generate_symmetric(place, spec)).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.guard("health", self.inner.health()).await
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        self.inner.inventory()
    }

    fn key_rotation(&self) -> Option<&dyn KeyRotation> {
        self.inner.key_rotation()
    }
}
