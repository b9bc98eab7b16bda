//! Whether everything a worker depends on can be used.

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use bailey_core::health::{HealthReport, PartHealth};
use bailey_core::request::CheckHealth;

use crate::Worker;

/// Asks the databases and every store, each for a limited time, in this order. Needs no
/// credentials; tells no more than which part doesn't answer.
///
/// # Errors
/// None: trouble is part of the report.
pub async fn check(worker: &Worker, _: Call, _: CheckHealth) -> Result<HealthReport, Failure> {
    let mut parts =
        vec![part(worker, "database", worker.db.ping()).await, part(worker, "vault", worker.vault.health()).await];
    let mut stores: Vec<_> = worker.stores.iter().collect();
    stores.sort_by(|a, b| a.descriptor().name.cmp(&b.descriptor().name));
    for store in stores {
        let name = format!("store {}", store.descriptor().name);
        parts.push(part(worker, &name, store.health()).await);
    }
    Ok(HealthReport { parts })
}

async fn part<E: std::fmt::Display>(
    worker: &Worker,
    name: &str,
    probe: impl Future<Output = Result<(), E>>,
) -> PartHealth {
    let trouble = match tokio::time::timeout(worker.config.health_deadline(), probe).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(part = name, %error, "health check failed");
            Some("not available".to_owned())
        }
        Err(_) => Some("no answer in time".to_owned()),
    };
    PartHealth { part: name.to_owned(), trouble }
}
