//! `kind = "simple"`: the software crypto backend in the envelope.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bailey_core::clock::Clock;
use bailey_core::envelope::{EnvelopeConfig, EnvelopeStore, StoreIdentity};
use bailey_core::store::SecretStore;
use bailey_store_simple::{Config as BackendConfig, SimpleBackend};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{StoreKind, StoreParts};
use crate::config::Complain;

pub const KIND: StoreKind = StoreKind { name: "simple", defaults, check, has_key_file: true, budget, connect };

/// AES-GCM with random nonces: beyond this, two equal ones become likely enough to matter (NIST SP
/// 800-38D, section 8.3).
const LARGEST_BUDGET: u64 = 1 << 32;

/// Far above what the API takes: its limit may be lowered, and what was stored before must still be moved
/// to another key.
const LARGEST_PAYLOAD: usize = 64 << 20;

/// The envelope's part of the keys; the others are the backend's.
#[derive(Debug, Serialize, Deserialize)]
struct Budget {
    kek_budget: u64,
    kek_block: u64,
}

impl Default for Budget {
    fn default() -> Self {
        let EnvelopeConfig { kek_budget, kek_block, .. } = EnvelopeConfig::default();
        Self { kek_budget, kek_block }
    }
}

fn defaults() -> Table {
    let mut all = Table::try_from(Budget::default()).unwrap_or_default();
    all.extend(Table::try_from(BackendConfig::default()).unwrap_or_default());
    all
}

fn check(settings: &Table, complain: &mut Complain<'_>) {
    for key in defaults().keys() {
        let largest = if key.ends_with("_budget") { LARGEST_BUDGET } else { u64::from(u32::MAX) };
        let value = settings.get(key).and_then(Value::as_integer).and_then(|value| u64::try_from(value).ok());
        if !value.is_some_and(|value| (1..=largest).contains(&value)) {
            complain(key, format!("not a number from 1 to {largest}"));
        }
    }
}

fn budget(settings: &Table) -> Option<u64> {
    let backend: BackendConfig = settings.clone().try_into().ok()?;
    Some(backend.mkek_budget)
}

fn connect(parts: &StoreParts<'_>) -> Result<Arc<dyn SecretStore>> {
    let StoreParts { config, store, id, deployment, vault, ring, clock } = parts;
    let budget: Budget = store.settings.clone().try_into()?;
    let backend: BackendConfig = store.settings.clone().try_into()?;
    let ring = Arc::clone(ring.context("the simple store has a key file")?);
    let backend = SimpleBackend::new(*id, &backend, ring, Arc::clone(vault) as _);
    let identity = StoreIdentity { deployment: *deployment, store: *id, name: store.name.clone() };
    let envelope = EnvelopeConfig {
        max_payload: LARGEST_PAYLOAD,
        kek_budget: budget.kek_budget,
        kek_block: budget.kek_block,
        cache_bytes: config.cache.ciphertext_bytes,
        cache_ttl: Duration::from_secs_f64(config.cache.ciphertext_seconds),
    };
    Ok(Arc::new(EnvelopeStore::new(identity, &envelope, backend, Arc::clone(vault) as _, Clock::clone(clock))))
}
