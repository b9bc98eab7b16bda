//! State, deadline, retry and metrics around a secret store, so that no back-end has to bring its own.

mod extensions;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable as _};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::Spec;
use bailey_core::store::{
    Descriptor, Inventory, KeyPairs, KeyRotation, Place, RetrieveRequest, SecretStore, StoreError, StoreErrorKind,
    StoreReference, StoreRequest,
};
use bailey_core::trace;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::Config;
use watch::Watched;

/// Between two tries of one call: short, since whoever asked waits.
const RETRIES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(Duration::from_millis(500))
    .with_max_times(3)
    .with_jitter();

/// A secret store whose calls end within a deadline and are counted, and that answers `Unavailable` at once
/// while its back-end is down.
///
/// Calls that may be made twice are tried again within their deadline; what places bytes is not, because
/// nobody knows what became of the first try under the same write id. However often it is tried, a call
/// counts once for the state.
pub struct Guarded {
    watched: Arc<Watched>,
    deadline: Duration,
    batch_deadline: Duration,
    health_deadline: Duration,
    /// Probes while it is unusable; ends with this.
    _watch: JoinSet<()>,
}

impl Guarded {
    /// Guards `store` and begins to probe it, on the runtime it is called on.
    #[must_use]
    pub fn new(store: Arc<dyn SecretStore>, config: &Config) -> Self {
        let watched = Arc::new(Watched::new(store, config.probe_limits()));
        let mut watch = JoinSet::new();
        watch.spawn(Arc::clone(&watched).watch(config.health_deadline()));
        Self {
            watched,
            deadline: config.store_deadline(),
            batch_deadline: config.store_batch_deadline(),
            health_deadline: config.health_deadline(),
            _watch: watch,
        }
    }

    fn store(&self) -> &dyn SecretStore {
        self.watched.store.as_ref()
    }

    /// Does `work`, which takes the store's name for `operation`, unless the store is unusable.
    async fn guard<T>(
        &self,
        operation: &'static str,
        deadline: Duration,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let name = &self.descriptor().name;
        let count = |outcome: &'static str| {
            metrics::counter!("bailey_store_calls_total", "store" => name.clone(),
                "operation" => operation, "outcome" => outcome)
            .increment(1);
        };
        if !self.watched.is_asked() {
            count("not_asked");
            return Err(self.watched.not_asked(operation));
        }
        let begun_at = Instant::now();
        let span = tracing::debug_span!(
            target: trace::TARGET,
            "store",
            otel.name = format_args!("{operation} {name}"),
            otel.kind = "client",
            otel.status_code = Empty,
            error.type = Empty,
            bailey.store.name = name,
            bailey.store.operation = operation,
        );
        let result = limited(operation, deadline, work).instrument(span.clone()).await;
        if let Err(error) = &result {
            span.record("error.type", outcome(error.kind)).record("otel.status_code", "ERROR");
        }
        self.watched.judge(begun_at, &result);
        metrics::histogram!("bailey_store_seconds", "store" => name.clone(), "operation" => operation)
            .record(begun_at.elapsed().as_secs_f64());
        count(result.as_ref().map_or_else(|error| outcome(error.kind), |_| "ok"));
        result
    }

    /// Makes a call that may be made twice until it is answered, the tries are used up or the store is found
    /// unusable.
    async fn persist<T, F>(&self, call: impl FnMut() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        call.retry(RETRIES).when(|error| error.is_retryable() && self.watched.is_asked()).await
    }
}

async fn limited<T>(
    operation: &'static str,
    deadline: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = || StoreError::new(StoreErrorKind::Unavailable, operation, "deadline exceeded");
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| Err(late()))
}

const fn outcome(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::NotFound => "not_found",
        StoreErrorKind::Corrupt => "corrupt",
        StoreErrorKind::Conflict => "conflict",
        StoreErrorKind::Unsupported => "unsupported",
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::Stuck => "stuck",
        StoreErrorKind::Internal => "internal",
    }
}

#[async_trait]
impl SecretStore for Guarded {
    fn descriptor(&self) -> &Descriptor {
        self.store().descriptor()
    }

    async fn store(&self, request: StoreRequest<'_>) -> Result<StoreReference, StoreError> {
        self.guard("store", self.deadline, self.store().store(request)).await
    }

    async fn retrieve(&self, request: RetrieveRequest<'_>) -> Result<SecretBytes, StoreError> {
        let RetrieveRequest { place, reference, verify } = request;
        let call = || self.store().retrieve(RetrieveRequest { place, reference, verify });
        self.guard("retrieve", self.deadline, self.persist(call)).await
    }

    async fn delete(&self, place: &Place, reference: &StoreReference) -> Result<(), StoreError> {
        let call = || self.store().delete(place, reference);
        self.guard("delete", self.deadline, self.persist(call)).await
    }

    async fn generate_symmetric(&self, place: &Place, spec: &Spec) -> Result<StoreReference, StoreError> {
        self.guard("generate", self.deadline, self.store().generate_symmetric(place, spec)).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.guard("health", self.health_deadline, self.persist(|| self.store().health())).await
    }

    fn key_pairs(&self) -> Option<&dyn KeyPairs> {
        self.store().key_pairs().map(|_| self as _)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        self.store().inventory().map(|_| self as _)
    }

    fn key_rotation(&self) -> Option<&dyn KeyRotation> {
        self.store().key_rotation().map(|_| self as _)
    }
}
