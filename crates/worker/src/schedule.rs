//! The worker's clockwork: what runs in the background, and how often.

mod authority;
mod task;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bailey_core::failure::Failure;
use bailey_core::ids::{MasterKeyId, SecretId, StoreId, WriteId};
use bailey_core::told::Told;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Worker;
use crate::notices::show_counters;
use crate::orders::engine;
use authority::Watched;
use task::Task;

/// After so many passes the sweeper looks at everything again: bytes can come to lie behind it, by a
/// writer that was paused or by a restore.
const PASSES_BEFORE_ALL: u32 = 100;

/// How often in a row a superseded version of the worker key is looked for in vain before it is looked
/// for seldom: another process may have sealed under it for some seconds more.
const EAGER_PASSES: u32 = 12;
const SELDOM: u32 = 120;

/// How often messages that are too old to matter are forgotten: there are as many as changes.
const FORGETTING_SECONDS: f64 = 60.0;

/// From which share of its budget on the worker key is to be replaced: without budget nothing can be
/// stored.
const SHORT: f64 = 0.75;

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
        tasks.spawn(purge_expired(Arc::clone(worker), stopped.clone()));
        tasks.spawn(forget_answers(Arc::clone(worker), stopped.clone()));
        tasks.spawn(forget_messages(Arc::clone(worker), stopped.clone()));
        tasks.spawn(reseal(Arc::clone(worker), stopped.clone()));
        tasks.spawn(rewrap(Arc::clone(worker), stopped.clone()));
        tasks.spawn(reencrypt(Arc::clone(worker), stopped.clone()));
        tasks.spawn(transport_keys(Arc::clone(worker), stopped.clone()));
        tasks.spawn(renew_certificates(Arc::clone(worker), stopped.clone()));
        tasks.spawn(ask_when_to_renew(Arc::clone(worker), stopped.clone()));
        tasks.spawn(tell_notices(Arc::clone(worker), stopped.clone()));
        tasks.spawn(watch_authorities(Arc::clone(worker), stopped.clone()));
        tasks.spawn(engine::work(Arc::clone(worker), stopped.clone()));
        tasks.spawn(engine::listen(Arc::clone(worker), stopped.clone()));
        tasks.spawn(engine::count(Arc::clone(worker), stopped));
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
    let (mut task, mut was_held) = (Task::new("destroying deleted payloads"), false);
    while pause(worker.config.deletion_interval_seconds, &mut stop).await {
        if let Ok(is_held) = worker.holds_destruction().await {
            metrics::gauge!("bailey_destruction_held").set(if is_held { 1.0 } else { 0.0 });
            if is_held != was_held {
                tracing::info!(is_held, "whether a backup keeps deleted payloads from being destroyed has changed");
            }
            was_held = is_held;
        }
        task.pass(worker.destroy_deleted()).await;
    }
}

async fn sweep(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let (mut passes, mut seen) = (0_u32, HashMap::<StoreId, WriteId>::new());
    let mut tasks = Task::for_stores("sweeping orphans", &worker);
    while pause(worker.config.sweep_interval_seconds, &mut stop).await {
        if passes.is_multiple_of(PASSES_BEFORE_ALL) {
            seen.clear();
        }
        passes = passes.wrapping_add(1);
        for (store, task) in worker.stores.iter().zip(&mut tasks) {
            let id = store.descriptor().id;
            let swept = async {
                let (swept, last) = worker.sweep(store, seen.get(&id).copied()).await?;
                seen.extend(last.map(|last| (id, last)));
                Ok(swept)
            };
            task.pass(swept).await;
        }
    }
}

async fn purge_expired(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let (mut task, mut told) = (Task::new("purging expired secrets"), Told::<SecretId>::default());
    while pause(worker.config.sweep_interval_seconds, &mut stop).await {
        task.pass(worker.purge_expired(&mut told)).await;
    }
}

async fn forget_answers(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let mut task = Task::new("forgetting first answers");
    while pause(worker.config.sweep_interval_seconds, &mut stop).await {
        task.pass(worker.forget_answers()).await;
    }
}

async fn forget_messages(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let mut task = Task::new("forgetting messages");
    while pause(FORGETTING_SECONDS, &mut stop).await {
        task.pass(worker.forget_messages()).await;
    }
}

async fn reseal(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let (mut task, mut in_vain, mut was_told) = (Task::new("resealing references"), HashMap::new(), false);
    let mut told = Told::default();
    while pause(worker.config.rotation_interval_seconds, &mut stop).await {
        if let Ok(used) = worker.worker_key_used().await {
            metrics::gauge!("bailey_worker_key_used_ratio").set(used);
            if used > SHORT && !was_told {
                tracing::warn!(used, "the worker key's budget runs short: `bailey worker-key add`, then `activate`");
            }
            was_told = used > SHORT;
        }
        task.pass(reseal_superseded(&worker, &mut in_vain, &mut told)).await;
    }
}

async fn reseal_superseded(
    worker: &Worker,
    in_vain: &mut HashMap<MasterKeyId, u32>,
    told: &mut Told<WriteId>,
) -> Result<u64, Failure> {
    let mut total = 0;
    for key in worker.superseded_worker_keys().await? {
        let passes = in_vain.entry(key).or_default();
        if *passes < EAGER_PASSES || passes.is_multiple_of(SELDOM) {
            let resealed = worker.reseal(key, told).await?;
            total += resealed;
            *passes = if resealed == 0 { passes.wrapping_add(1) } else { 0 };
        } else {
            *passes = passes.wrapping_add(1);
        }
    }
    Ok(total)
}

/// All stores at once: one that answers slowly must not keep another's old MKEK in use.
async fn rewrap(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let mut tasks = Task::for_stores("rewrapping KEKs", &worker);
    while pause(worker.config.rotation_interval_seconds, &mut stop).await {
        let stores = worker.stores.iter().zip(&mut tasks);
        join_all(stores.map(|(store, task)| task.pass(worker.rewrap(store, &stop)))).await;
    }
}

async fn reencrypt(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let (mut tasks, mut told) = (Task::for_stores("re-encrypting payloads", &worker), Told::default());
    while pause(worker.config.rotation_interval_seconds, &mut stop).await {
        for (store, task) in worker.stores.iter().zip(&mut tasks) {
            task.pass(worker.reencrypt(store, &stop, &mut told)).await;
        }
    }
}

async fn transport_keys(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let mut task = Task::new("deleting transport keys");
    while pause(worker.config.rotation_interval_seconds, &mut stop).await {
        task.pass(worker.look_after_transport_keys()).await;
    }
}

async fn renew_certificates(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let mut task = Task::new("renewing certificates");
    loop {
        task.pass(worker.renew_certificates()).await;
        if !pause(worker.config.rotation_interval_seconds, &mut stop).await {
            return;
        }
    }
}

async fn ask_when_to_renew(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let mut task = Task::new("asking when to renew");
    while pause(worker.config.rotation_interval_seconds, &mut stop).await {
        task.pass(worker.ask_when_to_renew()).await;
    }
}

async fn tell_notices(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let mut task = Task::new("telling of renewals");
    show_counters();
    loop {
        task.pass(worker.tell_notices()).await;
        if !pause(worker.config.rotation_interval_seconds, &mut stop).await {
            return;
        }
    }
}

/// All CAs at once, and without waiting for one when it is time to stop.
async fn watch_authorities(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let mut watched = Watched::all(&worker);
    while !watched.is_empty() {
        tokio::select! {
            _ = join_all(watched.iter_mut().map(Watched::look)) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        if !pause(worker.config.ca_interval_seconds, &mut stop).await {
            return;
        }
    }
}

/// Waits for so many seconds; false when it is time to stop.
async fn pause(seconds: f64, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => true,
        _ = stop.wait_for(|stop| *stop) => false,
    }
}
