//! The configuration: one TOML file, overridden by the environment and by flags.
//!
//! Each crate owns the settings of its part; this module owns where they stand in the file, and
//! finds everything that is wrong with them at once.

pub mod blank;
mod ca;
mod check;
pub mod keys;
mod layer;
mod load;
mod problem;
mod project;
mod role;
pub mod secret;
mod store;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use ca::CaConfig;
pub use load::{Loaded, Sources, load};
pub use problem::Problems;
pub use project::{ProjectConfig, Projects};
pub use role::Role;
pub use store::{Complain, StoreConfig};

use crate::audit_sink::{AuditConfig, SinkKind};
use crate::logging::LogConfig;
use crate::metrics::MetricsConfig;
use crate::traces::TracesConfig;

/// The configuration in effect. `config/bailey.toml` explains every key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub keys_dir: PathBuf,
    pub host_href: String,
    pub compat: bailey_worker::policy::Compat,
    pub policy: bailey_worker::policy::PolicyConfig,
    pub auth: bailey_auth::Config,
    pub api: bailey_worker::ApiConfig,
    pub limits: bailey_api::Limits,
    pub http: bailey_api::Http,
    pub cors: bailey_api::Cors,
    pub tls: bailey_api::TlsConfig,
    pub database: bailey_sql::Config,
    pub vault: bailey_sql::Config,
    pub queue: bailey_queue::Config,
    pub worker: bailey_worker::Config,
    pub generation: bailey_worker::generate::GenerationConfig,
    pub orders: bailey_worker::OrdersConfig,
    pub renewal: bailey_worker::RenewalConfig,
    // Read entry by entry, since each kind of store has keys of its own.
    #[serde(skip_deserializing)]
    pub stores: Vec<StoreConfig>,
    // The same.
    #[serde(skip_deserializing)]
    pub cas: Vec<CaConfig>,
    // The same, since projects have names that nobody knows before.
    #[serde(skip_deserializing)]
    pub projects: Projects,
    pub cache: CacheConfig,
    pub quotas: bailey_core::quota::Quotas,
    pub metrics: MetricsConfig,
    pub traces: TracesConfig,
    pub log: LogConfig,
    pub audit: AuditConfig,
}

/// What is kept in memory to save questions to the vault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheConfig {
    pub ciphertext_bytes: u64,
    pub ciphertext_seconds: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9311)),
            data_dir: PathBuf::new(),
            keys_dir: PathBuf::new(),
            host_href: String::new(),
            compat: Default::default(),
            policy: Default::default(),
            auth: Default::default(),
            api: Default::default(),
            limits: Default::default(),
            http: Default::default(),
            cors: Default::default(),
            tls: Default::default(),
            database: Default::default(),
            vault: Default::default(),
            queue: Default::default(),
            worker: Default::default(),
            generation: Default::default(),
            orders: Default::default(),
            renewal: Default::default(),
            stores: vec![StoreConfig::built_in()],
            cas: Vec::new(),
            projects: Projects::new(),
            cache: CacheConfig { ciphertext_bytes: 16 << 20, ciphertext_seconds: 60.0 },
            quotas: Default::default(),
            metrics: Default::default(),
            traces: Default::default(),
            log: Default::default(),
            audit: Default::default(),
        }
    }
}

impl Config {
    /// Puts what a blank value means in its place: paths below the data folder.
    fn fill_in(&mut self) {
        fill(&mut self.data_dir, crate::folder::default_data_dir);
        self.data_dir = std::path::absolute(&self.data_dir).unwrap_or_else(|_| self.data_dir.clone());
        let folder = self.data_dir.clone();
        fill(&mut self.keys_dir, || folder.join("keys"));
        for (url, file) in [(&mut self.database.url, "metadata.db"), (&mut self.vault.url, "vault.db")] {
            if url.is_empty() {
                let path = folder.join(file).display().to_string();
                *url = format!("sqlite://{}", path.replace('%', "%25").replace('?', "%3F"));
            }
        }
        if self.audit.sink == SinkKind::File {
            fill(&mut self.audit.path, || folder.join("audit.log"));
        }
    }

    /// The key file of the queue; a worker's is with its others unless it is said where.
    #[must_use]
    pub fn queue_key_file(&self) -> PathBuf {
        let file = &self.queue.key_file;
        if file.as_os_str().is_empty() { self.keys_dir.join("queue.key") } else { file.clone() }
    }

    /// The file that is read when no other is named.
    fn default_file(data_dir: &Path) -> PathBuf {
        data_dir.join("bailey.toml")
    }
}

fn fill(path: &mut PathBuf, default: impl FnOnce() -> PathBuf) {
    if path.as_os_str().is_empty() {
        *path = default();
    }
}
