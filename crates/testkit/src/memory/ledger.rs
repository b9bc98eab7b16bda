//! What CAs must not forget, in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bailey_core::ca::{CaError, Generation, Ledger, Revoked};
use bailey_core::ids::CaId;
use chrono::{DateTime, Utc};

/// Keeps a ledger for as long as the test lives.
#[derive(Default)]
pub struct MemoryLedger(Mutex<BTreeMap<CaId, Entries>>);

#[derive(Default)]
struct Entries {
    generations: BTreeMap<u32, Generation>,
    lists: u64,
    revoked: BTreeMap<(u32, Vec<u8>), Revoked>,
}

impl MemoryLedger {
    fn with<T>(&self, ca: CaId, what: impl FnOnce(&mut Entries) -> T) -> Result<T, CaError> {
        Ok(what(self.0.lock().unwrap().entry(ca).or_default()))
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn generations(&self, ca: CaId) -> Result<Vec<Generation>, CaError> {
        self.with(ca, |entries| entries.generations.values().cloned().collect())
    }

    async fn begin(&self, ca: CaId, generation: &Generation) -> Result<(), CaError> {
        self.with(ca, |entries| {
            entries.generations.entry(generation.number).or_insert_with(|| generation.clone());
        })
    }

    async fn forget(&self, ca: CaId) -> Result<(), CaError> {
        self.with(ca, |entries| entries.generations.clear())
    }

    async fn revoke(&self, ca: CaId, generation: u32, revoked: &Revoked) -> Result<bool, CaError> {
        let key = (generation, revoked.serial.clone());
        self.with(ca, |entries| {
            let is_first = !entries.revoked.contains_key(&key);
            entries.revoked.entry(key).or_insert_with(|| revoked.clone());
            is_first
        })
    }

    async fn revoked(&self, ca: CaId, generation: u32, serial: &[u8]) -> Result<Option<Revoked>, CaError> {
        self.with(ca, |entries| entries.revoked.get(&(generation, serial.to_vec())).cloned())
    }

    async fn next_list(&self, ca: CaId, of: u32, since: DateTime<Utc>) -> Result<(u64, Vec<Revoked>), CaError> {
        self.with(ca, |entries| {
            entries.lists += 1;
            let listed = entries.revoked.iter().filter(|((by, _), revoked)| *by == of && revoked.expires_at > since);
            (entries.lists, listed.map(|(_, revoked)| revoked.clone()).collect())
        })
    }
}
