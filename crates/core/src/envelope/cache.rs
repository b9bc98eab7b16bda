//! Ciphertexts in memory. They never change under their write id, so the only thing that can go
//! wrong is to keep one that was destroyed.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge};
use moka::sync::Cache;

use crate::ids::WriteId;
use crate::vault::Ciphertext;

/// What an entry costs beside its bytes: the coordinates and the cache's own bookkeeping.
const OVERHEAD: usize = 400;

/// A buried write has an empty entry, so that a read that was under way when it was destroyed
/// doesn't bring it back.
pub(super) struct CiphertextCache(Option<Kept>);

struct Kept {
    entries: Cache<WriteId, Option<Arc<Ciphertext>>>,
    hits: Counter,
    misses: Counter,
    bytes: Gauge,
}

impl CiphertextCache {
    /// Bounded by bytes and age; `bytes` = 0 keeps nothing. Counted under the name of its store.
    pub(super) fn new(store: &str, bytes: u64, ttl: Duration) -> Self {
        let lookups = |outcome: &'static str| metrics::counter!("bailey_ciphertext_cache_lookups_total", "store" => store.to_owned(), "outcome" => outcome);
        Self((bytes > 0).then(|| Kept {
            entries: Cache::builder().max_capacity(bytes).weigher(weight).time_to_live(ttl).build(),
            hits: lookups("hit"),
            misses: lookups("miss"),
            bytes: metrics::gauge!("bailey_ciphertext_cache_bytes", "store" => store.to_owned()),
        }))
    }

    pub(super) fn get(&self, write: WriteId) -> Option<Arc<Ciphertext>> {
        let kept = self.0.as_ref()?;
        let found = kept.entries.get(&write).flatten();
        if found.is_some() { &kept.hits } else { &kept.misses }.increment(1);
        found
    }

    /// Only for what was decrypted successfully.
    pub(super) fn fill(&self, ciphertext: Ciphertext) {
        if let Some(kept) = &self.0 {
            kept.entries.entry(ciphertext.place.write).or_insert_with(|| Some(Arc::new(ciphertext)));
            kept.weigh();
        }
    }

    pub(super) fn bury(&self, write: WriteId) {
        if let Some(kept) = &self.0 {
            kept.entries.insert(write, None);
            kept.weigh();
        }
    }
}

impl Kept {
    #[expect(clippy::cast_precision_loss, reason = "a gauge, for people")]
    fn weigh(&self) {
        self.bytes.set(self.entries.weighted_size() as f64);
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
        let cache = CiphertextCache::new("a", 1 << 20, Duration::from_secs(60));
        let one = ciphertext(10);
        cache.fill(one.clone());
        assert!(cache.get(one.place.write).is_some());
        cache.bury(one.place.write);
        cache.fill(one.clone());
        assert!(cache.get(one.place.write).is_none());
    }

    #[test]
    fn it_is_bounded_by_bytes_and_can_be_switched_off() {
        let cache = CiphertextCache::new("a", 10_000, Duration::from_secs(60));
        let kept: Vec<_> = (0..100).map(|_| ciphertext(1_000)).collect();
        kept.iter().for_each(|each| cache.fill(each.clone()));
        if let Some(kept) = &cache.0 {
            kept.entries.run_pending_tasks();
            assert!(kept.entries.weighted_size() <= 10_000);
        }
        assert!(kept.iter().filter(|each| cache.get(each.place.write).is_some()).count() <= 7);

        let off = CiphertextCache::new("a", 0, Duration::from_secs(60));
        off.fill(kept[0].clone());
        assert!(off.get(kept[0].place.write).is_none());
    }
}
