//! `kind = "simple"`: the software crypto backend in the envelope.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use bailey_core::store::SecretStore;
use bailey_store_simple::{Config as BackendConfig, SimpleBackend};
use toml::Table;

use super::envelope::{self, Budget};
use super::{StoreKind, StoreParts};
use crate::config::Complain;

pub const KIND: StoreKind = StoreKind {
    name: "simple",
    defaults,
    secrets: &[],
    check,
    has_key_file: true,
    token: None,
    budget: envelope::mkek_budget,
    connect,
};

fn defaults() -> Table {
    let mut all = envelope::defaults();
    all.extend(Table::try_from(BackendConfig::default()).unwrap_or_default());
    all
}

fn check(settings: &Table, complain: &mut Complain<'_>) {
    for key in defaults().keys() {
        envelope::check(settings, key, complain);
    }
}

fn connect(parts: &StoreParts<'_>) -> Result<Arc<dyn SecretStore>> {
    let config: BackendConfig = parts.store.settings.clone().try_into()?;
    let ring = Arc::clone(parts.ring.context("the simple store has a key file")?);
    let backend = SimpleBackend::new(parts.id, &config, ring, Arc::clone(parts.vault) as _);
    let budget: Budget = parts.store.settings.clone().try_into()?;
    Ok(envelope::store(parts, &budget, backend))
}
