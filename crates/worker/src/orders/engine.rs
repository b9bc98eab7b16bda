//! The clockwork: claims what is due, bounded, until it is time to stop.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::failure::Failure;
use bailey_core::told::Complaint;
use bailey_db::Engine;
use bailey_db::order::{self, Job};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Worker;

/// How long attempts under way may take when the process stops; what they leave is another's to do.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two counts of what is pending.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// Works on orders until told to stop, then gives back what it holds.
pub(crate) async fn work(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    void_leases(&worker, &mut stop).await;
    let slots = worker.orders.config.slots as usize;
    let mut attempts = JoinSet::new();
    while !*stop.borrow() {
        while attempts.try_join_next().is_some() {}
        let free = slots.saturating_sub(attempts.len());
        let claimed = worker.claim(free).await;
        let is_more_likely = claimed.len() == free;
        for job in claimed {
            attempts.spawn(Arc::clone(&worker).attempt(job));
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            Some(_) = attempts.join_next() => {}
            () = worker.orders.came.notified(), if !is_more_likely => {}
            () = tokio::time::sleep(worker.orders.config.poll()), if !is_more_likely => {}
        }
    }
    let all = async { while attempts.join_next().await.is_some() {} };
    if tokio::time::timeout(PATIENCE, all).await.is_err() {
        attempts.shutdown().await;
    }
    if let Err(failure) = worker.give_back().await {
        tracing::warn!(%failure, "leases on orders could not be given back and will run out");
    }
}

/// Nobody else can hold a lease in a SQLite file: its data folder is this process's alone.
async fn void_leases(worker: &Worker, stop: &mut watch::Receiver<bool>) {
    let mut complaint = Complaint::default();
    while worker.db.engine() == Engine::Sqlite && !*stop.borrow() {
        match worker.db.write(|tx| Box::pin(order::void_leases(tx))).await {
            Ok(_) => return,
            Err(error) if complaint.is_news(&error) => {
                tracing::warn!(%error, "the leases of a process that is gone could not be ended yet");
            }
            Err(_) => {}
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep(worker.orders.config.poll()) => {}
        }
    }
}

/// Passes on what others tell of orders, where there are others.
pub(crate) async fn listen(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let Some(mut listener) = worker.db.listener(order::CHANNEL) else { return };
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = listener.wait() => worker.orders.wake(),
        }
    }
}

/// Tells how much is to be done.
pub(crate) async fn count(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    loop {
        let now = worker.clock.now();
        // What can't be counted keeps the figures of the last time; the health check tells why.
        if let Ok(backlog) = order::backlog(worker.db.reader(), worker.orders.config.leases(), now).await {
            let age = backlog.due_since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0));
            metrics::gauge!("bailey_orders_pending").set(backlog.pending as f64);
            metrics::gauge!("bailey_orders_stuck").set(backlog.stuck as f64);
            metrics::gauge!("bailey_orders_oldest_due_seconds").set(age);
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(COUNT_INTERVAL) => {}
        }
    }
}

impl Worker {
    /// Leases on up to `limit` orders that are due. A database that doesn't answer is asked again later.
    async fn claim(&self, limit: usize) -> Vec<Job> {
        if limit == 0 {
            return Vec::new();
        }
        self.try_claim(limit).await.unwrap_or_else(|failure| {
            tracing::debug!(%failure, "orders can't be claimed now");
            Vec::new()
        })
    }

    async fn try_claim(&self, limit: usize) -> Result<Vec<Job>, Failure> {
        let (holder, leases, now) = (self.orders.holder, self.orders.config.leases(), self.clock.now());
        if !order::any_due(self.db.reader(), leases, now).await? {
            return Ok(Vec::new());
        }
        Ok(self.db.write(move |tx| Box::pin(order::claim(tx, holder, leases, now, limit as u64))).await?)
    }

    async fn give_back(&self) -> Result<u64, Failure> {
        let holder = self.orders.holder;
        Ok(self.db.write(move |tx| Box::pin(order::release(tx, holder))).await?)
    }
}
