//! Destroys everything of a project, for an operator.
//!
//! Each step finds by itself what is left to do, so a purge that died is begun again from the start.

use std::sync::Arc;

use bailey_core::failure::Failure;
use bailey_core::ids::{KekId, ProjectId, WriteId};
use bailey_core::store::SecretStore;
use bailey_db::write::{self, WriteState};
use bailey_db::{ca, deletion, project};

use super::sweep::BATCH as INVENTORY_BATCH;
use crate::Worker;
use crate::error::{ca_failure, store_failure};
use crate::usecase::placement::Destroyed;

/// Rows that one transaction removes: others write beside it.
const BATCH: u64 = 100;

/// What became of a project's payloads.
#[derive(Debug, Default)]
pub struct PurgedPayloads {
    /// How many were destroyed.
    pub destroyed: u64,
    /// Those that are still there, and why.
    pub left: Vec<(WriteId, String)>,
}

impl Worker {
    /// Closes a project: from when this returns, nothing new comes into it, and static tokens for it are
    /// worthless. Idempotent.
    ///
    /// # Errors
    /// `Unavailable`, also when others keep writing for too long.
    pub async fn close_project(&self, project: &ProjectId) -> Result<(), Failure> {
        let (project, defaults, now) = (project.clone(), self.limits.defaults(), self.clock.now());
        let close = self.db.write(move |tx| {
            let project = project.clone();
            Box::pin(async move { project::close(tx, &project, &defaults, now).await })
        });
        Ok(close.await?)
    }

    /// Removes a closed project's orders, containers, secrets, consumers and first answers. Payloads are due
    /// for deletion from then on.
    ///
    /// # Errors
    /// `Unavailable`; what was done so far stays done.
    pub async fn remove_rows(&self, of: &ProjectId) -> Result<(), Failure> {
        loop {
            let (project, now) = (of.clone(), self.clock.now());
            let remove = self.db.write(move |tx| {
                let project = project.clone();
                Box::pin(async move { project::remove_some(tx, &project, BATCH, now).await })
            });
            if remove.await? == 0 {
                return Ok(());
            }
        }
    }

    /// Revokes the certificates of the CAs that a closed project had made, and deletes these with their keys.
    ///
    /// # Errors
    /// `Unavailable`, also when a CA above them isn't configured; what was done so far stays done.
    pub async fn remove_authorities(&self, of: &ProjectId) -> Result<(), Failure> {
        while let Some((id, parent)) = ca::lowest(self.db.reader(), of).await? {
            let gone =
                || Failure::unavailable("The certificate authority above is gone").with_detail(parent.to_string());
            let above = self.authority(of, parent).await?.ok_or_else(gone)?;
            let below = above.sub_authorities().ok_or_else(gone)?;
            let ended = below.delete(id).await;
            self.authorities.published.revoked(parent).await;
            ended.map_err(|error| ca_failure(&error))?;
            let project = of.clone();
            let delete = self.db.write(move |tx| {
                let project = project.clone();
                Box::pin(async move { ca::delete(tx, &project, id).await })
            });
            delete.await?;
            self.authorities.published.deleted(id);
        }
        Ok(())
    }

    /// Destroys the payloads that a project's removed rows referred to. A store's failure leaves a payload
    /// where it is, as a backup does that is being made.
    ///
    /// # Errors
    /// `Unavailable` when the database can't be asked.
    pub async fn destroy_payloads(&self, of: &ProjectId) -> Result<PurgedPayloads, Failure> {
        let (mut purged, mut after) = (PurgedPayloads::default(), None);
        loop {
            let batch = deletion::of_project(self.db.reader(), of, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(purged) };
            after = Some(last.place.write);
            for deletion in &batch {
                let write = deletion.place.write;
                match self.destroy(deletion.store, &deletion.place, deletion.key, &deletion.reference).await {
                    Ok(Destroyed::Yes) => purged.destroyed += 1,
                    Ok(Destroyed::Held) => purged.left.push((write, "a backup is being made".to_owned())),
                    Err(failure) => purged.left.push((write, failure.to_string())),
                }
            }
        }
    }

    /// Destroys what a store holds of a project and no row refers to; with `kek`, only what is encrypted under
    /// that one. How many, and how many there are that nobody may destroy now.
    ///
    /// # Errors
    /// `Unavailable`; what was done so far stays done.
    pub async fn destroy_unreferred(
        &self,
        store: &Arc<dyn SecretStore>,
        of: &ProjectId,
        kek: Option<KekId>,
    ) -> Result<(u64, u64), Failure> {
        let Some(inventory) = store.inventory() else { return Ok((0, 0)) };
        let (mut destroyed, mut left, mut after) = (0, 0, None);
        loop {
            let batch = inventory.list(kek, after, INVENTORY_BATCH).await.map_err(|error| store_failure(&error))?;
            let Some(last) = batch.last() else { return Ok((destroyed, left)) };
            after = Some(last.place.write);
            let theirs: Vec<_> = batch.into_iter().filter(|stored| stored.place.project == *of).collect();
            let ids: Vec<WriteId> = theirs.iter().map(|stored| stored.place.write).collect();
            let states = write::states(self.db.reader(), &ids).await?;
            for stored in theirs {
                // A dead one is on the list of deletions, and stays there for a reason.
                let is_orphan = matches!(states.get(&stored.place.write), None | Some(WriteState::Condemned));
                if is_orphan && self.destroy_orphan(store, &stored).await? {
                    destroyed += 1;
                } else {
                    left += 1;
                }
            }
        }
    }

    /// Removes the last rows of a project, and so opens it again to whoever comes under its name.
    ///
    /// # Errors
    /// `Conflict` while there is anything in it; `Unavailable`.
    pub async fn forget_project(&self, project: &ProjectId) -> Result<(), Failure> {
        let project = project.clone();
        let forget = self.db.write(move |tx| {
            let project = project.clone();
            Box::pin(async move { project::forget(tx, &project).await })
        });
        Ok(forget.await?)
    }
}
