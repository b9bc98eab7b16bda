//! The half that works: comes up when its databases do.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bailey_core::audit::AuditSink as _;

use crate::assemble::{Obstacle, Running};
use crate::audit_sink::QueuedSink;
use crate::config::Config;

const SHORTEST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// A worker that comes up, runs, and ends.
pub struct Back {
    config: Arc<Config>,
    audit: Arc<QueuedSink>,
    coming: Pin<Box<dyn Future<Output = Result<Running>>>>,
    running: Option<Running>,
}

impl Back {
    /// Has it come up as [`came_up`](Self::came_up) is waited for.
    #[must_use]
    pub fn start(config: &Arc<Config>, audit: &Arc<QueuedSink>) -> Self {
        let (config, audit) = (Arc::clone(config), Arc::clone(audit));
        let coming = Box::pin(until_it_works(Arc::clone(&config), Arc::clone(&audit)));
        Self { config, audit, coming, running: None }
    }

    /// Waits until the worker works; says so once. May be dropped and called again.
    ///
    /// # Errors
    /// What has to be put right before it can.
    pub async fn came_up(&mut self) -> Result<&mut Running> {
        if self.running.is_some() {
            return pending().await;
        }
        let running = self.coming.as_mut().await?;
        Ok(self.running.insert(running))
    }

    /// The worker, once it came up.
    pub const fn running(&mut self) -> Option<&mut Running> {
        self.running.as_mut()
    }

    /// Reads key files that have changed.
    pub async fn look(&self) {
        if let Some(running) = &self.running {
            running.look_after_keys().await;
        }
    }

    /// Reads key files and policy again, and opens the audit log anew.
    pub async fn reload(&self) {
        self.audit.reopen();
        if let Some(running) = &self.running {
            running.reload(&self.config).await;
        }
    }

    /// Ends background work, closes the databases and writes what audit events are left. What can't be
    /// written is left in the log by [`QueuedSink::tell_unwritten`].
    pub async fn stop(self) {
        if let Some(running) = self.running {
            running.stop().await;
        }
        let _ = self.audit.settle().await;
    }
}

/// Tries again, ever more slowly, while the databases are out of reach.
async fn until_it_works(config: Arc<Config>, audit: Arc<QueuedSink>) -> Result<Running> {
    let mut wait = SHORTEST_RETRY;
    loop {
        match Running::start(&config, Arc::clone(&audit) as _).await {
            Ok(running) => return Ok(running),
            Err(Obstacle::Refused(error)) => return Err(error),
            Err(Obstacle::OutOfReach(error)) => {
                tracing::warn!(error = format!("{error:#}"), "not working yet, trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_RETRY);
            }
        }
    }
}
