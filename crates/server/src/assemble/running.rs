//! A worker at work: what `bailey serve` holds once the databases are there.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bailey_auth::token;
use bailey_core::audit::AuditSink;
use bailey_core::clock::Clock;
use bailey_core::ids::{MasterKeyId, ProjectId, UserId, WorkerId};
use bailey_core::sensitive::SecretText;
use bailey_core::vault::MasterKeyRegister as _;
use bailey_db::installation;
use bailey_worker::{Schedules, Worker};
use chrono::DateTime;

use super::{Assembly, Databases, Obstacle};
use crate::audit_sink::operator_event;
use crate::config::Config;
use crate::master_keys::MasterKeys;

/// How long background work may take to end when the process stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
const FIRST_ROLES: [&str; 2] = ["admin", "key-manager:service-admin"];

/// A worker with its databases, its background work and its master keys.
pub struct Running {
    id: WorkerId,
    databases: Databases,
    worker: Arc<Worker>,
    keys: Vec<MasterKeys>,
    schedules: Schedules,
    first_token: Option<SecretText>,
    clock: Clock,
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
        let (Assembly { worker, keys, .. }, first_token) = match assembled {
            Ok(assembled) => assembled,
            Err(obstacle) => {
                databases.close().await;
                return Err(obstacle);
            }
        };
        let schedules = Schedules::start(&worker);
        let running = Self { id: WorkerId::new(), databases, worker, keys, schedules, first_token, clock };
        running.report().await;
        Ok(running)
    }

    async fn assemble(
        config: &Config,
        databases: &Databases,
        audit: Arc<dyn AuditSink>,
        clock: &Clock,
    ) -> Result<(Assembly, Option<SecretText>), Obstacle> {
        databases.migrate().await?;
        let assembly = Assembly::new(config, databases, Arc::clone(&audit), clock).await?;
        let wants_token = !config.auth.believes_anyone() && !assembly.installation.admin_token_made;
        let token = if wants_token { first_token(databases, audit.as_ref(), clock).await? } else { None };
        Ok((assembly, token))
    }

    /// The worker.
    #[must_use]
    pub const fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// The first admin token, if this is the start that made it; once.
    pub const fn take_first_token(&mut self) -> Option<SecretText> {
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
        let held: Vec<MasterKeyId> = self.keys.iter().flat_map(|keys| keys.ring().ids()).collect();
        if let Err(error) = self.databases.vault.report(self.id, &held, self.clock.now()).await {
            tracing::warn!(%error, "the master keys held could not be reported");
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

/// Makes the first admin token, if no process has made it yet.
async fn first_token(
    databases: &Databases,
    audit: &dyn AuditSink,
    clock: &Clock,
) -> Result<Option<SecretText>, Obstacle> {
    let user = UserId::new("admin").map_err(anyhow::Error::from)?;
    let project = ProjectId::new("default").map_err(anyhow::Error::from)?;
    let roles = FIRST_ROLES.map(str::to_owned).to_vec();
    let now = clock.now();
    let (token, text) = token::generate(user, project, roles, now, None).map_err(anyhow::Error::from)?;
    let (target, token) = (format!("tokens/{}", token.id), Arc::new(token));
    let insert = databases.db.write(move |tx| {
        let token = Arc::clone(&token);
        Box::pin(async move {
            let is_first = installation::mark_admin_token_made(tx).await?;
            if is_first {
                bailey_db::token::insert(tx, &token).await?;
            }
            Ok::<_, bailey_db::Error>(is_first)
        })
    });
    if !insert.await? {
        return Ok(None);
    }
    let event = operator_event(now, "token create", Some(target), None);
    audit.write(&event).map_err(anyhow::Error::from)?;
    Ok(Some(text))
}
