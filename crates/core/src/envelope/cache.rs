//! Ciphertexts in memory. They never change under their write id, so the only thing that can go
//! wrong is to keep one that was destroyed.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::ids::WriteId;
use crate::vault::Ciphertext;

/// What an entry costs beside its bytes: the coordinates and the cache's own bookkeeping.
const OVERHEAD: usize = 400;

/// A buried write has an empty entry, so that a read that was under way when it was destroyed
/// doesn't bring it back.
pub(super) struct CiphertextCache(Option<Cache<WriteId, Option<Arc<Ciphertext>>>>);

impl CiphertextCache {
    /// Bounded by bytes and age; `bytes` = 0 keeps nothing.
    pub(super) fn new(bytes: u64, ttl: Duration) -> Self {
        Self((bytes > 0).then(|| Cache::builder().max_capacity(bytes).weigher(weight).time_to_live(ttl).build()))
    }

    pub(super) fn get(&self, write: WriteId) -> Option<Arc<Ciphertext>> {
        self.0.as_ref()?.get(&write)?
    }

    /// Only for what was decrypted successfully.
    pub(super) fn fill(&self, ciphertext: Ciphertext) {
        if let Some(cache) = &self.0 {
            cache.entry(ciphertext.place.write).or_insert_with(|| Some(Arc::new(ciphertext)));
        }
    }

    pub(super) fn bury(&self, write: WriteId) {
        if let Some(cache) = &self.0 {
            cache.insert(write, None);
        }
    }
}

fn weight(_: &WriteId, entry: &Option<Arc<Ciphertext>>) -> u32 {
    let bytes = entry.as_ref().map_or(0, |found| found.bytes.len() + found.place.project.as_str().len());
    u32::try_from(bytes + OVERHEAD).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::ids::{KekId, ProjectId, SecretId};
    use crate::store::Place;

    fn ciphertext(bytes: usize) -> Ciphertext {
        let project = ProjectId::new("p").unwrap_or_else(|_| unreachable!("a valid project id"));
        let place = Place { project, secret: SecretId::new(), write: WriteId::new() };
        Ciphertext { place, kek: KekId::new(), bytes: vec![0; bytes].into(), created_at: Utc::now() }
    }

    #[test]
    fn a_late_fill_does_not_bring_back_what_was_buried() {
        let cache = CiphertextCache::new(1 << 20, Duration::from_secs(60));
        let one = ciphertext(10);
        cache.fill(one.clone());
        assert!(cache.get(one.place.write).is_some());
        cache.bury(one.place.write);
        cache.fill(one.clone());
        assert!(cache.get(one.place.write).is_none());
    }

    #[test]
    fn it_is_bounded_by_bytes_and_can_be_switched_off() {
        let cache = CiphertextCache::new(10_000, Duration::from_secs(60));
        let kept: Vec<_> = (0..100).map(|_| ciphertext(1_000)).collect();
        kept.iter().for_each(|each| cache.fill(each.clone()));
        if let Some(inner) = &cache.0 {
            inner.run_pending_tasks();
            assert!(inner.weighted_size() <= 10_000);
        }
        assert!(kept.iter().filter(|each| cache.get(each.place.write).is_some()).count() <= 7);

        let off = CiphertextCache::new(0, Duration::from_secs(60));
        off.fill(kept[0].clone());
        assert!(off.get(kept[0].place.write).is_none());
    }
}
