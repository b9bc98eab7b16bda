//! What admin commands work with: the databases themselves, beside a running server.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use bailey_core::audit::AuditSink;
use bailey_core::clock::Clock;
use bailey_core::ids::StoreId;
use bailey_db::store;
use tokio::runtime::Builder;

use crate::assemble::Databases;
use crate::audit_sink::{self, operator_event};
use crate::cli::Place;
use crate::config::{Config, Sources, StoreConfig, load};

/// Configuration, databases and audit log of an installation.
pub struct Admin {
    pub config: Config,
    pub databases: Databases,
    pub audit: Arc<dyn AuditSink>,
    pub clock: Clock,
    /// Why an audit event was lost.
    unaudited: OnceCell<io::Error>,
}

impl Admin {
    /// Runs a command on an installation that exists.
    pub fn run(place: &Place, command: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        let config = load(&Sources::new(place))?.config;
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let admin = Self::open(config).await?;
            let result = command(&admin).await;
            admin.databases.close().await;
            with_audit_trouble(result, admin.unaudited.into_inner())
        })
    }

    async fn open(config: Config) -> Result<Self> {
        for url in [&config.database.url, &config.vault.url] {
            // Connecting would make the file.
            if let Some(file) = sqlite_file(url)
                && !file.exists()
            {
                bail!("nothing is installed here, {} is missing: run `bailey serve` first", file.display());
            }
        }
        let databases = Databases::connect(&config).await?;
        databases.check_schemas().await?;
        let audit = audit_sink::open_for_command(&config.audit)?;
        Ok(Self { config, databases, audit, clock: Clock::system(), unaudited: OnceCell::new() })
    }

    /// The store with this name, or the default one.
    pub fn store(&self, name: Option<&str>) -> Result<&StoreConfig> {
        let mut stores = self.config.stores.iter();
        match name {
            Some(name) => {
                stores.find(|store| store.name == name).with_context(|| format!("there is no store `{name}`"))
            }
            None => stores.find(|store| store.default).context("there is no default store"),
        }
    }

    /// A store's permanent id.
    pub async fn store_id(&self, store: &StoreConfig) -> Result<StoreId> {
        let id = self.find_store_id(store).await?;
        id.with_context(|| format!("the store `{}` was never started: run `bailey serve` first", store.name))
    }

    /// A store's permanent id, if it has one by now.
    pub async fn find_store_id(&self, store: &StoreConfig) -> Result<Option<StoreId>> {
        if store.id.is_some() {
            return Ok(store.id);
        }
        let known = store::list(self.databases.db.reader()).await?;
        Ok(known.into_iter().find(|known| known.name == store.name).map(|known| known.id))
    }

    /// Does something and writes the audit event that says so. That the event can't be written is told at
    /// the end: what was done is done, and its result, such as a token, is shown this once.
    pub async fn audited<T>(
        &self,
        action: &str,
        target: Option<String>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let result = work.await;
        let trouble = result.as_ref().err().map(|error| format!("{error:#}"));
        let event = operator_event(self.clock.now(), action, target, trouble);
        if let Err(error) = self.audit.write(&event) {
            let _ = self.unaudited.set(error);
        }
        result
    }
}

/// What came of a command, and that its audit event is lost, if it is.
pub fn with_audit_trouble(result: Result<()>, unaudited: Option<io::Error>) -> Result<()> {
    let Some(unaudited) = unaudited else { return result };
    let lost = format!("the audit event could not be written: {unaudited}");
    match result {
        Ok(()) => Err(anyhow!("it is done, but {lost}")),
        Err(error) => Err(anyhow!("{error:#}\n{lost}")),
    }
}

/// The file of a SQLite database.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    Some(Path::new(path.split_once('?').map_or(path, |(path, _)| path)).to_owned())
}
