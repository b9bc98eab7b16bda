//! What the kinds of stores have in common that are a crypto backend in the envelope.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::clock::Clock;
use bailey_core::crypto::CryptoBackend;
use bailey_core::envelope::{EnvelopeConfig, EnvelopeStore, StoreIdentity};
use bailey_core::store::SecretStore;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::StoreParts;
use crate::config::Complain;

/// AES-GCM with random nonces: beyond this, two equal ones become likely enough to matter (NIST SP
/// 800-38D, section 8.3).
const LARGEST_BUDGET: u64 = 1 << 32;

/// Far above what the API takes: its limit may be lowered, and what was stored before must still be moved
/// to another key.
const LARGEST_PAYLOAD: usize = 64 << 20;

/// The envelope's part of a store's keys; the others are the backend's.
#[derive(Debug, Serialize, Deserialize)]
pub struct Budget {
    kek_budget: u64,
    kek_block: u64,
}

impl Default for Budget {
    fn default() -> Self {
        let EnvelopeConfig { kek_budget, kek_block, .. } = EnvelopeConfig::default();
        Self { kek_budget, kek_block }
    }
}

/// The envelope's keys with their defaults.
pub fn defaults() -> Table {
    Table::try_from(Budget::default()).unwrap_or_default()
}

/// Complains about a key that is no positive number, or too large a budget.
pub fn check(settings: &Table, key: &str, complain: &mut Complain<'_>) {
    let largest = if key.ends_with("_budget") { LARGEST_BUDGET } else { u64::from(u32::MAX) };
    let value = settings.get(key).and_then(Value::as_integer).and_then(|value| u64::try_from(value).ok());
    if !value.is_some_and(|value| (1..=largest).contains(&value)) {
        complain(key, format!("not a number from 1 to {largest}"));
    }
}

/// How many KEKs one MKEK wraps.
pub fn mkek_budget(settings: &Table) -> Option<u64> {
    settings.get("mkek_budget").and_then(Value::as_integer).and_then(|value| u64::try_from(value).ok())
}

/// Puts a backend into the envelope.
pub fn store(parts: &StoreParts<'_>, budget: &Budget, backend: impl CryptoBackend + 'static) -> Arc<dyn SecretStore> {
    let StoreParts { config, store, id, deployment, vault, clock, .. } = parts;
    let identity = StoreIdentity { deployment: *deployment, store: *id, name: store.name.clone() };
    let envelope = EnvelopeConfig {
        max_payload: LARGEST_PAYLOAD,
        kek_budget: budget.kek_budget,
        kek_block: budget.kek_block,
        cache_bytes: config.cache.ciphertext_bytes,
        cache_ttl: Duration::from_secs_f64(config.cache.ciphertext_seconds),
    };
    Arc::new(EnvelopeStore::new(identity, &envelope, backend, Arc::clone(vault) as _, Clock::clone(clock)))
}
