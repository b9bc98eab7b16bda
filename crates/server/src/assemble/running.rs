//! A worker at work: what a process that works holds once the databases are there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bailey_core::audit::AuditSink;
use bailey_core::clock::Clock;
use bailey_core::ids::{MasterKeyId, WorkerId};
use bailey_core::told::Complaint;
use bailey_core::vault::MasterKeyRegister as _;
use bailey_worker::{Schedules, Worker};
use chrono::DateTime;
use tokio::task::JoinSet;

use super::{Assembly, Databases, Obstacle};
use crate::config::Config;
use crate::first_token::FirstToken;
use crate::master_keys::MasterKeys;
use crate::token_keys::TokenKeys;

/// How long background work may take to end when the process stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at the databases' connections.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);

/// A worker with its databases, its background work and its master keys.
pub struct Running {
    id: WorkerId,
    databases: Databases,
    worker: Arc<Worker>,
    keys: Vec<MasterKeys>,
    tokens: Vec<TokenKeys>,
    schedules: Schedules,
    first_token: Option<FirstToken>,
    clock: Clock,
    complaint: Mutex<Complaint>,
    /// Ends with this.
    _measuring: JoinSet<()>,
}

impl Running {
    /// Opens the databases, brings their schemas up to date, and starts a worker.
    ///
    /// # Errors
    /// What is out of reach, or has to be put right first.
    pub async fn start(config: &Config, audit: Arc<dyn AuditSink>) -> Result<Self, Obstacle> {
        let clock = Clock::system();
        let databases = Databases::connect(config).await?;
        let assembled = Self::assemble(config, &databases, audit, &clock).await;
        let (Assembly { worker, keys, tokens, .. }, first_token) = match assembled {
            Ok(assembled) => assembled,
            Err(obstacle) => {
                databases.close().await;
                return Err(obstacle);
            }
        };
        if let Err(failure) = worker.look_after_transport_keys().await {
            tracing::warn!(%failure, "transport keys are made later");
        }
        let tokens: Vec<_> = tokens.into_iter().map(|token| TokenKeys::watch(token, &databases.vault)).collect();
        for token in &tokens {
            token.were_seen().await;
        }
        let schedules = Schedules::start(&worker);
        let mut measuring = JoinSet::new();
        measuring.spawn(measure(databases.clone()));
        let running = Self {
            id: WorkerId::new(),
            databases,
            worker,
            keys,
            tokens,
            schedules,
            first_token,
            clock,
            complaint: Mutex::default(),
            _measuring: measuring,
        };
        running.look_after_keys().await;
        Ok(running)
    }

    async fn assemble(
        config: &Config,
        databases: &Databases,
        audit: Arc<dyn AuditSink>,
        clock: &Clock,
    ) -> Result<(Assembly, Option<FirstToken>), Obstacle> {
        databases.migrate().await?;
        let lock = databases.lock_assembly().await?;
        let assembly = Assembly::new(config, databases, Arc::clone(&audit), clock).await;
        lock.release().await;
        let assembly = assembly?;
        let wants_token = config.auth.takes_static_tokens()
            && !config.auth.believes_anyone()
            && !assembly.installation.admin_token_made;
        let token = if wants_token {
            FirstToken::make(databases, audit.as_ref(), clock, &config.data_dir).await?
        } else {
            None
        };
        Ok((assembly, token))
    }

    /// The worker.
    #[must_use]
    pub const fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// The first admin token, if this is the start that made it; once.
    pub const fn take_first_token(&mut self) -> Option<FirstToken> {
        self.first_token.take()
    }

    /// Reads key files that have changed, and tells the vault which versions this worker holds.
    pub async fn look_after_keys(&self) {
        for keys in &self.keys {
            keys.look_after(&self.databases.vault).await;
        }
        self.report().await;
    }

    async fn report(&self) {
        let in_files = self.keys.iter().flat_map(|keys| keys.ring().ids());
        let in_tokens = self.tokens.iter().flat_map(TokenKeys::held);
        let held: Vec<MasterKeyId> = in_files.chain(in_tokens).collect();
        let reported = self.databases.vault.report(self.id, &held, self.clock.now()).await;
        let mut complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        match reported {
            Ok(()) if complaint.is_over() => tracing::info!("the master keys held are reported again"),
            Err(error) if complaint.is_news(&error) => {
                tracing::warn!(%error, "the master keys held could not be reported");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Reads key files and policy again, and tells the vault which versions this worker holds. What is
    /// no good is refused; what was there before stays.
    pub async fn reload(&self, config: &Config) {
        for keys in &self.keys {
            keys.reload(&self.databases.vault).await;
        }
        self.report().await;
        match self.worker.policy.replace(&config.policy, config.compat) {
            Ok(()) => tracing::info!("policy read again"),
            Err(error) => tracing::error!(%error, "the policy stays as it was"),
        }
    }

    /// Ends background work and closes the databases.
    pub async fn stop(self) {
        self.schedules.stop(STOP_PATIENCE).await;
        // A report from long ago: nobody has to wait for this worker any more.
        if let Err(error) = self.databases.vault.report(self.id, &[], DateTime::UNIX_EPOCH).await {
            tracing::warn!(%error, "the end of this worker could not be reported");
        }
        self.databases.close().await;
    }
}

/// Tells how the databases' connections are used, for ever.
async fn measure(databases: Databases) {
    loop {
        databases.db.export();
        databases.vault.db().export();
        tokio::time::sleep(MEASURE_INTERVAL).await;
    }
}
