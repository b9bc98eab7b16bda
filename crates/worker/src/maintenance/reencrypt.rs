//! Moves payloads from KEKs that are to be given up to the active ones.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{KekId, WriteId};
use bailey_core::store::{SecretStore, StoredWrite};
use bailey_core::told::Told;
use bailey_db::{secret, target};
use tokio::sync::watch;

use crate::Worker;
use crate::error::store_failure;

const BATCH: u64 = 100;

impl Worker {
    /// Rewraps the KEKs of a store that are not under its active MKEK; returns how many.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`; what was done so far stays done.
    pub async fn rewrap(&self, store: &Arc<dyn SecretStore>) -> Result<u64, Failure> {
        let Some(rotation) = store.key_rotation() else { return Ok(0) };
        let mut rewrapped = 0;
        loop {
            match rotation.rewrap(BATCH).await.map_err(|error| store_failure(&error))? {
                0 => return Ok(rewrapped),
                some => rewrapped += some,
            }
        }
    }

    /// Moves the payloads of every KEK of a store that is marked for it, at most
    /// `reencrypt_per_second`; returns how many it moved. Ends early when `stop` says so.
    ///
    /// Progress is the rows themselves: what a killed process left is what the next one finds.
    ///
    /// # Errors
    /// `Unavailable`; what was done so far stays done.
    pub async fn reencrypt(
        &self,
        store: &Arc<dyn SecretStore>,
        stop: &watch::Receiver<bool>,
        told: &mut Told<WriteId>,
    ) -> Result<u64, Failure> {
        let Some(rotation) = store.key_rotation() else { return Ok(0) };
        let mut moved = 0;
        for kek in rotation.to_reencrypt().await.map_err(|error| store_failure(&error))? {
            moved += self.drain(store, kek, stop, told).await?;
        }
        Ok(moved)
    }

    async fn drain(
        &self,
        store: &Arc<dyn SecretStore>,
        kek: KekId,
        stop: &watch::Receiver<bool>,
        told: &mut Told<WriteId>,
    ) -> Result<u64, Failure> {
        let Some(inventory) = store.inventory() else { return Ok(0) };
        let pause = Duration::from_secs_f64(1.0 / self.config.reencrypt_per_second);
        let (mut moved, mut after) = (0, None::<WriteId>);
        loop {
            let batch = inventory.list(Some(kek), after, BATCH).await.map_err(|error| store_failure(&error))?;
            let Some(last) = batch.last() else { return Ok(moved) };
            after = Some(last.place.write);
            for stored in &batch {
                if *stop.borrow() {
                    return Ok(moved);
                }
                match self.move_payload(store, stored).await {
                    Ok(done) => moved += u64::from(done),
                    Err(failure) if failure.kind == FailureKind::Unavailable => return Err(failure),
                    // One payload that can't be moved must not keep the others where they are.
                    Err(failure) if told.is_news(stored.place.write) => {
                        tracing::error!(%failure, secret = %stored.place.secret, "a payload can't be re-encrypted");
                    }
                    Err(_) => {}
                }
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Copies one payload under a new write id, verifies the copy, then has the row refer to it.
    /// Returns whether it did: an orphan, or a row that changed meanwhile, is left alone.
    async fn move_payload(&self, store: &Arc<dyn SecretStore>, stored: &StoredWrite) -> Result<bool, Failure> {
        let place = &stored.place;
        let Some(row) = target::find_secret(self.db.reader(), place.secret).await? else { return Ok(false) };
        let Some(old) = row.placement.as_ref().filter(|old| old.write == place.write) else { return Ok(false) };
        let corrupt = || Failure::new(FailureKind::Corrupt, "the bytes are gone");
        let (project, id) = (row.secret.project.clone(), row.secret.id);
        let bytes = self.read_placed(&project, id, old, true).await?.ok_or_else(corrupt)?;

        let placed = self.place_in(store, &row.secret, &bytes).await?;
        let copy = self.read_placed(&project, id, &placed.placement, true).await?.ok_or_else(corrupt)?;
        let replaced = if copy.expose() == bytes.expose() {
            let (write, placement) = (old.write, placed.placement.clone());
            self.db
                .write(move |tx| {
                    let (project, placement) = (project.clone(), placement.clone());
                    Box::pin(async move { secret::replace(tx, &project, id, write, &placement).await })
                })
                .await?
        } else {
            tracing::error!(secret = %id, "a re-encrypted copy differs from its original and is discarded");
            false
        };
        if replaced {
            self.destroy_now(&row).await;
        } else {
            self.take_back(&placed).await;
        }
        Ok(replaced)
    }
}
