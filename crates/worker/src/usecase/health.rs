//! Whether everything a worker depends on can be used.

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use bailey_core::health::{HealthReport, PartHealth};
use bailey_core::request::CheckHealth;
use bailey_core::store::StoreErrorKind;
use futures_util::future::join_all;

use crate::Worker;

/// Asks the databases and every store at once, each for a limited time. Needs no
/// credentials; tells no more than which part doesn't answer.
///
/// # Errors
/// None: trouble is part of the report.
pub async fn check(worker: &Worker, _: Call, _: CheckHealth) -> Result<HealthReport, Failure> {
    let mut stores: Vec<_> = worker.stores.iter().collect();
    stores.sort_by(|a, b| a.descriptor().name.cmp(&b.descriptor().name));
    let default = worker.stores.default().descriptor().id;
    let stores = join_all(stores.into_iter().map(|store| async move {
        let name = format!("store {}", store.descriptor().name);
        let health = part(worker, &name, store.health(), |error| error.kind == StoreErrorKind::Stuck).await;
        PartHealth { is_needed: store.descriptor().id == default, ..health }
    }));
    let key = std::future::ready(worker.sealer.check());
    let (database, vault, key, stores) = tokio::join!(
        part(worker, "database", worker.db.ping(), |_| false),
        part(worker, "vault", worker.vault.health(), |_| false),
        part(worker, "worker key", key, |_| false),
        stores
    );
    let parts = [database, vault, key].into_iter().chain(stores).collect();
    Ok(HealthReport { parts })
}

async fn part<E: std::fmt::Display>(
    worker: &Worker,
    name: &str,
    probe: impl Future<Output = Result<(), E>>,
    is_stuck: impl Fn(&E) -> bool,
) -> PartHealth {
    let trouble = match tokio::time::timeout(worker.config.health_deadline(), probe).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(part = name, %error, "health check failed");
            let stuck = "calls never return, and no more are made: its worker has to be started again";
            Some(if is_stuck(&error) { stuck } else { "not available" }.to_owned())
        }
        Err(_) => Some("no answer in time".to_owned()),
    };
    PartHealth { part: name.to_owned(), is_needed: true, trouble }
}
