//! What the server keeps for this store.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bailey_core::ids::{KekId, WriteId};
use bailey_core::store::{Inventory, StoreError, StoreErrorKind, StoredWrite};
use chrono::{DateTime, Utc};

use crate::backend::KmipStore;
use crate::marks::{Marks, group_attribute};
use crate::reference::Reference;
use crate::ttlv::Limits;

/// Objects whose attributes are asked for in one message.
const AT_ONCE: usize = 50;
/// What a server may answer when it is asked for all objects of a store: half a million identifiers, or what has room
/// in 32 MiB.
const ALL: Limits = Limits { bytes: 32 << 20, depth: 16, items: 1 << 19 };

/// Objects whose attributes are known, by identifier. Bailey never changes one, so they are asked for once.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<String, Option<StoredWrite>>>);

impl Known {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Option<StoredWrite>>> {
        // Each entry is right by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the objects that are gone; which of the others aren't known.
    fn missing(&self, ids: &[String]) -> Vec<String> {
        let there: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let mut known = self.lock();
        known.retain(|id, _| there.contains(id.as_str()));
        ids.iter().filter(|id| !known.contains_key(*id)).cloned().collect()
    }
}

impl KmipStore {
    /// What there is to know of an object with these marks; nothing if they aren't this store's, or it is gone.
    async fn stored(&self, id: &str, marks: Marks) -> Result<Option<StoredWrite>, StoreError> {
        if marks.store != self.owner.store {
            return Ok(None);
        }
        let Marks { place, shape, salt, code, .. } = marks;
        let code = match code {
            Some(code) => code,
            // The server drew this one.
            None => match self.client.get(id, shape).await {
                Ok((value, _)) => match shape.payload(value) {
                    Some(payload) => salt.code(&self.owner, &place, shape, payload.expose()),
                    None => return Ok(None),
                },
                Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let reference = Reference { shape, write: place.write, code, id: id.to_owned() };
        let created_at = begun_at(place.write);
        Ok(Some(StoredWrite { kek: None, created_at, reference: reference.to_store(), place }))
    }

    /// Asks for the attributes of objects that aren't known.
    async fn learn(&self, ids: &[String]) -> Result<(), StoreError> {
        for ids in self.known.missing(ids).chunks(AT_ONCE) {
            for (id, found) in ids.iter().zip(self.client.marks(ids).await?) {
                let Some(found) = found else { continue };
                let stored = match found.0 {
                    Some(marks) => self.stored(id, marks).await?,
                    None => None,
                };
                self.known.lock().insert(id.clone(), stored);
            }
        }
        Ok(())
    }
}

/// When a write began, by the clock of whoever did it: its id tells (RFC 9562, section 5.7).
fn begun_at(write: WriteId) -> DateTime<Utc> {
    let (seconds, nanos) = write.uuid().get_timestamp().map_or((0, 0), |time| time.to_unix());
    i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, nanos)).unwrap_or_default()
}

#[async_trait]
impl Inventory for KmipStore {
    async fn list(
        &self,
        kek: Option<KekId>,
        after: Option<WriteId>,
        limit: u64,
    ) -> Result<Vec<StoredWrite>, StoreError> {
        if kek.is_some() {
            return Ok(Vec::new());
        }
        let ids = self.client.locate(group_attribute(&self.owner), ALL).await?;
        self.learn(&ids).await?;
        let mut all: Vec<StoredWrite> = {
            let known = self.known.lock();
            let stored = ids.iter().filter_map(|id| known.get(id)?.as_ref());
            stored.filter(|stored| after.is_none_or(|after| stored.place.write > after)).cloned().collect()
        };
        all.sort_by_key(|stored| stored.place.write);
        // What a cut connection or a lost race left beside an object goes with it.
        all.dedup_by_key(|stored| stored.place.write);
        all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_id_tells_when_it_was_made() {
        let age = Utc::now() - begun_at(WriteId::new());
        assert!(age.num_seconds().abs() < 5, "{age}");
    }
}
