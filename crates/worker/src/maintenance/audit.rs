//! Compares what rows refer to with what stores hold, for operators.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::failure::{Failure, FailureKind};
use bailey_core::store::{Place, SecretStore, StoredWrite};
use bailey_db::installation::Installation;
use bailey_db::{admin, installation, order};

use super::sweep::BATCH;
use crate::Worker;

/// What an audit of one store found.
#[derive(Debug, Default)]
pub struct StoreAudit {
    /// How many writes the store holds that are old enough to be judged.
    pub stored: u64,
    /// How many rows refer to the store.
    pub referred: u64,
    /// Stored writes that no row refers to.
    pub orphans: Vec<StoredWrite>,
    /// How many of them were destroyed.
    pub repaired: u64,
    /// Rows whose bytes are gone or don't decrypt, and why.
    pub unreadable: Vec<(Place, String)>,
}

impl Worker {
    /// Reads every payload of a store past all caches and lists orphans older than `age`; with
    /// `repair` destroys them.
    ///
    /// # Errors
    /// `Unavailable`; `Conflict` for `repair` while a restore is not accepted or a backup is being made.
    pub async fn audit_store(
        &self,
        store: &Arc<dyn SecretStore>,
        age: Duration,
        repair: bool,
    ) -> Result<StoreAudit, Failure> {
        if repair {
            self.require_destruction().await?;
        }
        let mut audit = StoreAudit::default();
        self.audit_rows(store, &mut audit).await?;
        self.audit_bytes(store, age, repair, &mut audit).await?;
        Ok(audit)
    }

    async fn require_destruction(&self) -> Result<(), Failure> {
        if self.require_accepted().await?.holds_destruction(self.clock.now()) {
            let reason = "A backup is being made, which nothing may be destroyed during: see `bailey backup status`";
            return Err(Failure::new(FailureKind::Conflict, reason));
        }
        Ok(())
    }

    /// Complains between a restore and its acceptance.
    pub(super) async fn require_accepted(&self) -> Result<Installation, Failure> {
        let installation = installation::find(self.db.reader()).await?.filter(Installation::is_accepted);
        let reason = "A restore has not been accepted: run `bailey store audit --accept-restore` first";
        installation.ok_or_else(|| Failure::new(FailureKind::Conflict, reason))
    }

    /// Accepts the database as it was restored: orphans may be destroyed again.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn accept_restore(&self) -> Result<(), Failure> {
        Ok(self.db.write(|tx| Box::pin(installation::accept_epoch(tx))).await?)
    }

    async fn audit_rows(&self, store: &Arc<dyn SecretStore>, audit: &mut StoreAudit) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let rows = admin::live_placements(self.db.reader(), store.descriptor().id, None, after, BATCH).await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.write);
            audit.referred += rows.len() as u64;
            for (place, placement) in rows {
                let reason = match self.read_placed(&place.project, place.secret, &placement, true).await {
                    Ok(Some(_)) => continue,
                    Ok(None) => "its bytes are gone".to_owned(),
                    Err(failure) => failure.to_string(),
                };
                if self.still_refers(&place).await? {
                    audit.unreadable.push((place, reason));
                }
            }
        }
    }

    /// Whether the row is still there: it may have been deleted while its bytes were read.
    async fn still_refers(&self, place: &Place) -> Result<bool, Failure> {
        let row = bailey_db::target::find_secret(self.db.reader(), place.secret).await?;
        if row.and_then(|row| row.placement).is_some_and(|placement| placement.write == place.write) {
            return Ok(true);
        }
        Ok(order::find_input_at(self.db.reader(), place).await?.is_some())
    }

    async fn audit_bytes(
        &self,
        store: &Arc<dyn SecretStore>,
        age: Duration,
        repair: bool,
        audit: &mut StoreAudit,
    ) -> Result<(), Failure> {
        let mut after = None;
        while let Some(found) = self.orphans(store, after, age).await? {
            after = Some(found.last);
            audit.stored += found.looked_at as u64;
            for orphan in found.orphans {
                if repair {
                    audit.repaired += u64::from(self.destroy_orphan(store, &orphan).await?);
                }
                audit.orphans.push(orphan);
            }
        }
        Ok(())
    }
}
