//! Destroys orphans: bytes in a store that no row refers to.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::failure::Failure;
use bailey_core::ids::WriteId;
use bailey_core::store::{SecretStore, StoredWrite};
use bailey_db::installation;
use bailey_db::write::{self, Condemned, WriteState};

use crate::Worker;
use crate::error::store_failure;

pub(super) const BATCH: u64 = 500;

impl Worker {
    /// Destroys a store's orphans with write ids above `after`; returns how many, and the last
    /// write id that need not be looked at again.
    ///
    /// Does nothing while a restore is not accepted, because the rows may be older than the bytes, and while a
    /// backup is being made.
    ///
    /// # Errors
    /// `Unavailable`; what was done so far stays done.
    pub async fn sweep(
        &self,
        store: &Arc<dyn SecretStore>,
        after: Option<WriteId>,
    ) -> Result<(u64, Option<WriteId>), Failure> {
        let (mut swept, mut after) = (0, after);
        while self.may_destroy_orphans().await? {
            let Some(found) = self.orphans(store, after, self.config.orphan_age()).await? else { break };
            for orphan in &found.orphans {
                swept += u64::from(self.destroy_orphan(store, orphan).await?);
            }
            after = Some(found.last);
        }
        Ok((swept, after))
    }

    /// Whether orphans may be destroyed: not between a restore and its acceptance, nor during a backup.
    pub(super) async fn may_destroy_orphans(&self) -> Result<bool, Failure> {
        let (installation, now) = (installation::find(self.db.reader()).await?, self.clock.now());
        Ok(installation.is_some_and(|found| found.is_accepted() && !found.holds_destruction(now)))
    }

    /// The orphans among the next stored writes that are older than `age`, or `None` after the last.
    pub(crate) async fn orphans(
        &self,
        store: &Arc<dyn SecretStore>,
        after: Option<WriteId>,
        age: Duration,
    ) -> Result<Option<Orphans>, Failure> {
        let Some(inventory) = store.inventory() else { return Ok(None) };
        let mut stored = inventory.list(None, after, BATCH).await.map_err(|error| store_failure(&error))?;
        let newest = self.clock.now() - age;
        let old = stored.iter().take_while(|write| write.created_at <= newest).count();
        stored.truncate(old);
        let Some(last) = stored.last().map(|write| write.place.write) else { return Ok(None) };
        let ids: Vec<WriteId> = stored.iter().map(|write| write.place.write).collect();
        let states = write::states(self.db.reader(), &ids).await?;
        let looked_at = stored.len();
        stored.retain(|write| matches!(states.get(&write.place.write), None | Some(WriteState::Condemned)));
        Ok(Some(Orphans { orphans: stored, looked_at, last }))
    }

    /// Condemns an orphan's write id, then destroys its bytes. Age only nominated it: a writer that
    /// committed meanwhile keeps it, and one that commits later is refused.
    pub(crate) async fn destroy_orphan(
        &self,
        store: &Arc<dyn SecretStore>,
        orphan: &StoredWrite,
    ) -> Result<bool, Failure> {
        let (id, now) = (orphan.place.write, self.clock.now());
        let condemned = self.db.write(move |tx| {
            Box::pin(async move {
                // A restore or a backup may have begun since the pass did.
                let installation = installation::find(tx).await?;
                let may_destroy =
                    installation.is_some_and(|found| found.is_accepted() && !found.holds_destruction(now));
                if may_destroy { write::condemn(tx, id).await.map(Some) } else { Ok(None) }
            })
        });
        if condemned.await.map_err(|error: bailey_db::Error| error)? != Some(Condemned::Yes) {
            return Ok(false);
        }
        store.delete(&orphan.place, &orphan.reference).await.map_err(|error| store_failure(&error))?;
        tracing::info!(write = %id, store = store.descriptor().name, "an orphan was destroyed");
        Ok(true)
    }
}

/// Orphans among a batch of stored writes.
pub(crate) struct Orphans {
    /// Those that no row refers to.
    pub(crate) orphans: Vec<StoredWrite>,
    /// How many writes were looked at.
    pub(crate) looked_at: usize,
    /// The last write looked at.
    pub(crate) last: WriteId,
}
