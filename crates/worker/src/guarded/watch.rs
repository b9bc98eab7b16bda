//! The state of a store's back-end, and the one task that probes it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bailey_core::probe::{Probe, ProbeLimits, ProbeState};
use bailey_core::store::{SecretStore, StoreError, StoreErrorKind};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{limited, outcome};

/// A store and what is known of its back-end.
pub(super) struct Watched {
    pub(super) store: Arc<dyn SecretStore>,
    probe: Mutex<Probe>,
    became_unusable: Notify,
    /// What it failed with last, since it answered.
    trouble: Mutex<Option<(StoreErrorKind, String)>>,
}

impl Watched {
    pub(super) fn new(store: Arc<dyn SecretStore>, limits: ProbeLimits) -> Self {
        let probe = Mutex::new(Probe::new(limits, Instant::now().into_std()));
        let watched = Self { store, probe, became_unusable: Notify::new(), trouble: Mutex::default() };
        watched.export(ProbeState::Probing);
        watched
    }

    /// Whether calls go to the back-end.
    pub(super) fn is_asked(&self) -> bool {
        self.with_probe(|probe| probe.state()) != ProbeState::Unusable
    }

    /// Why a call isn't made while the back-end is unusable.
    pub(super) fn not_asked(&self, operation: &'static str) -> StoreError {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let (kind, last) = trouble.as_ref().map_or((StoreErrorKind::Unavailable, ""), |(kind, last)| (*kind, last));
        StoreError::new(kind, operation, format!("not asked: the store is unusable: {last}"))
    }

    /// Draws conclusions from how a call ended.
    pub(super) fn judge<T>(&self, begun_at: Instant, result: &Result<T, StoreError>) {
        let now = Instant::now().into_std();
        self.update(result.as_ref().err(), |probe| {
            if is_answer(result) { probe.answered(now) } else { probe.failed(begun_at.into_std(), now) }
        });
    }

    /// Probes whenever it is time to, for ever. There is one such task for each store, however many callers
    /// wait for it.
    pub(super) async fn watch(self: Arc<Self>, deadline: Duration) {
        loop {
            let Some(next_at) = self.with_probe(|probe| probe.next_at()) else {
                self.became_unusable.notified().await;
                continue;
            };
            tokio::time::sleep_until(scattered(next_at.into())).await;
            let result = limited("health", deadline, self.store.health()).await;
            let now = Instant::now().into_std();
            self.update(result.as_ref().err(), |probe| {
                if is_answer(&result) { probe.probe_answered(now) } else { probe.probe_failed(now) }
            });
            let outcome = result.as_ref().map_or_else(|error| outcome(error.kind), |()| "ok");
            let name = self.store.descriptor().name.clone();
            metrics::counter!("bailey_store_calls_total", "store" => name, "operation" => "probe", "outcome" => outcome)
                .increment(1);
        }
    }

    fn with_probe<T>(&self, look: impl FnOnce(&mut Probe) -> T) -> T {
        look(&mut self.probe.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state and tells whom it may concern, once for each change.
    fn update(&self, trouble: Option<&StoreError>, change: impl FnOnce(&mut Probe)) {
        let changed = self.with_probe(|probe| {
            let before = probe.state();
            change(probe);
            let changed = Some(probe.state()).filter(|after| *after != before);
            // Under the lock, so that the last to change it is the last to export it.
            changed.inspect(|state| self.export(*state))
        });
        let (store, error) = (&self.store.descriptor().name, trouble.map(tracing::field::display));
        match changed {
            Some(ProbeState::Unusable) => {
                tracing::error!(store, error, "a secret store is down and is probed until it answers");
                self.became_unusable.notify_one();
            }
            Some(_) => tracing::info!(store, "a secret store answers"),
            None => {}
        }
        if self.remember(trouble) {
            tracing::error!(store, error, "calls of a secret store never return, and no more are made");
        }
    }

    /// Keeps what it failed with last; whether that it is stuck is news.
    fn remember(&self, trouble: Option<&StoreError>) -> bool {
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let was_stuck = matches!(&*last, Some((StoreErrorKind::Stuck, _)));
        *last = trouble.filter(|error| is_failure(error)).map(|error| (error.kind, error.to_string()));
        !was_stuck && matches!(&*last, Some((StoreErrorKind::Stuck, _)))
    }

    fn export(&self, state: ProbeState) {
        for each in ProbeState::ALL {
            let name = self.store.descriptor().name.clone();
            metrics::gauge!("bailey_store_state", "store" => name, "state" => each.as_str()).set(if each == state {
                1.0
            } else {
                0.0
            });
        }
    }
}

/// Whatever the back-end itself says shows that it is there.
fn is_answer<T>(result: &Result<T, StoreError>) -> bool {
    result.as_ref().err().is_none_or(|error| !is_failure(error))
}

const fn is_failure(error: &StoreError) -> bool {
    matches!(error.kind, StoreErrorKind::Unavailable | StoreErrorKind::Stuck)
}

/// Up to a quarter later, so that the workers of a back-end don't all come back in the same moment.
fn scattered(next_at: Instant) -> Instant {
    let wait = next_at.saturating_duration_since(Instant::now());
    next_at + wait.mul_f64(0.25 * fastrand::f64())
}
