//! The worker's clockwork: what runs in the background, and how often.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bailey_core::failure::Failure;
use bailey_core::ids::{MasterKeyId, StoreId, WriteId};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Worker;

/// The running background tasks of a worker.
pub struct Schedules {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Schedules {
    /// Starts every background task of `worker`.
    #[must_use]
    pub fn start(worker: &Arc<Worker>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(destroy_deleted(Arc::clone(worker), stopped.clone()));
        tasks.spawn(sweep(Arc::clone(worker), stopped.clone()));
        tasks.spawn(rotate(Arc::clone(worker), stopped));
        Self { stop, tasks }
    }

    /// Lets every task finish what it is at, then ends it; cuts off after `patience` what is safe to
    /// cut off anywhere.
    pub async fn stop(mut self, patience: Duration) {
        let _ = self.stop.send(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("background work was cut off");
        }
    }
}

async fn destroy_deleted(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let interval = Duration::from_secs_f64(worker.config.deletion_interval_seconds);
    while pause(interval, &mut stop).await {
        report("destroying deleted payloads", worker.destroy_deleted().await);
    }
}

async fn sweep(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let interval = Duration::from_secs_f64(worker.config.sweep_interval_seconds);
    let mut seen: HashMap<StoreId, WriteId> = HashMap::new();
    while pause(interval, &mut stop).await {
        for store in worker.stores.iter() {
            let id = store.descriptor().id;
            let swept = worker.sweep(store, seen.get(&id).copied()).await;
            if let Ok((_, Some(last))) = swept {
                seen.insert(id, last);
            }
            report("sweeping orphans", swept.map(|(swept, _)| swept));
        }
    }
}

async fn rotate(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let interval = Duration::from_secs_f64(worker.config.rotation_interval_seconds);
    let mut empty_passes = HashMap::new();
    while pause(interval, &mut stop).await {
        report("resealing references", reseal(&worker, &mut empty_passes).await);
        for store in worker.stores.iter() {
            report("rewrapping KEKs", worker.rewrap(store).await);
            report("re-encrypting payloads", worker.reencrypt(store, &stop).await);
        }
    }
}

/// How often a superseded version of the worker key is looked for in vain before it counts as gone:
/// another process may have sealed under it for some seconds more.
const EMPTY_PASSES: u32 = 12;

async fn reseal(worker: &Worker, empty_passes: &mut HashMap<MasterKeyId, u32>) -> Result<u64, Failure> {
    let mut total = 0;
    for key in worker.superseded_worker_keys().await? {
        let passes = empty_passes.entry(key).or_default();
        if *passes < EMPTY_PASSES {
            let resealed = worker.reseal(key).await?;
            *passes = if resealed == 0 { *passes + 1 } else { 0 };
            total += resealed;
        }
    }
    Ok(total)
}

/// Waits for `interval`; false when it is time to stop.
async fn pause(interval: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(interval) => true,
        _ = stop.wait_for(|stop| *stop) => false,
    }
}

fn report(task: &'static str, result: Result<u64, Failure>) {
    match result {
        Ok(0) => {}
        Ok(count) => {
            tracing::info!(task, count, "background work done");
            metrics::counter!("bailey_background_objects_total", "task" => task).increment(count);
        }
        Err(failure) => {
            tracing::warn!(task, %failure, "background work will be tried again");
            metrics::counter!("bailey_background_failures_total", "task" => task).increment(1);
        }
    }
}
