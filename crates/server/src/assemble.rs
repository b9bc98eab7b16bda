//! What is plugged together: the kinds of secret stores there are, and how a worker is made of its
//! parts.

mod acme_ca;
mod assembly;
mod authority;
mod databases;
mod ejbca_ca;
mod envelope;
mod kmip;
mod local_ca;
mod obstacle;
mod pkcs11;
mod running;
mod simple;

use std::sync::Arc;

use anyhow::Result;
use bailey_core::clock::Clock;
use bailey_core::ids::{DeploymentId, StoreId};
use bailey_core::keyring::KeyRing;
use bailey_core::store::SecretStore;
use bailey_store_pkcs11::{Config as TokenConfig, Hsm};
use bailey_vault::VaultDb;
use toml::Table;

pub use assembly::{Assembly, Token, connect, is_unused, register};
pub use authority::{CaKind, CaParts, Cas};
pub use databases::Databases;
pub use local_ca::open as open_local_ca;
pub use obstacle::Obstacle;
pub use running::Running;

use crate::config::{Complain, Config, StoreConfig};

/// Every kind of secret store. A new back-end is one more line here.
pub static STORE_KINDS: [StoreKind; 3] = [simple::KIND, pkcs11::KIND, kmip::KIND];

/// Every kind of certificate authority. A new plugin is one more line here.
pub static CA_KINDS: [CaKind; 3] = [local_ca::KIND, acme_ca::KIND, ejbca_ca::KIND];

/// A kind of secret store.
#[derive(Debug)]
pub struct StoreKind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Its keys in a `[[stores]]` block, with their defaults.
    pub defaults: fn() -> Table,
    /// Which of them hold a secret.
    pub secrets: &'static [&'static str],
    /// Complains about values of its keys that make no sense.
    pub check: fn(&Table, &mut Complain<'_>),
    /// Whether its MKEKs are in a key file.
    pub has_key_file: bool,
    /// Which token its MKEKs are in, for kinds that keep them in one.
    pub token: Option<fn(&Table) -> Result<TokenConfig>>,
    /// How many KEKs one of its MKEKs wraps, where that is limited.
    pub budget: fn(&Table) -> Option<u64>,
    /// Makes the store; asks its back-end nothing yet.
    pub connect: fn(&StoreParts<'_>) -> Result<Arc<dyn SecretStore>>,
}

/// What a store is made of.
pub struct StoreParts<'a> {
    pub config: &'a Config,
    pub store: &'a StoreConfig,
    /// The store's permanent id.
    pub id: StoreId,
    pub deployment: DeploymentId,
    pub vault: &'a Arc<VaultDb>,
    /// The MKEKs, for kinds that have a key file.
    pub ring: Option<&'a Arc<KeyRing>>,
    /// The token with the MKEKs, for kinds that have one.
    pub hsm: Option<&'a Hsm>,
    pub clock: &'a Clock,
}
