//! Moves payloads from KEKs that are to be given up to the active ones.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{KekId, WriteId};
use bailey_core::store::SecretStore;
use bailey_core::told::Told;
use tokio::sync::watch;
use tokio::time::Instant;

use super::moving::Moved;
use crate::Worker;
use crate::error::store_failure;

const BATCH: u64 = 100;
/// How often what takes long says how far it is.
const BETWEEN_TELLING: Duration = Duration::from_secs(10);

impl Worker {
    /// Rewraps the KEKs of a store that are not under its active MKEK, at most `rewrap_per_second`; returns how
    /// many. Ends early when `stop` says so.
    ///
    /// Progress is the rows themselves: what a killed process left is what the next one finds.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`; what was done so far stays done.
    pub async fn rewrap(&self, store: &Arc<dyn SecretStore>, stop: &watch::Receiver<bool>) -> Result<u64, Failure> {
        let Some(rotation) = store.key_rotation() else { return Ok(0) };
        let rate = self.config.rewrap_per_second;
        // Not more at once than in a second, so that stopping takes no longer.
        let at_once = (rate as u64).clamp(1, BATCH);
        let (mut rewrapped, mut told_at) = (0, Instant::now());
        while !*stop.borrow() {
            let some = match rotation.rewrap(at_once).await.map_err(|error| store_failure(&error))? {
                0 => break,
                some => some,
            };
            rewrapped += some;
            if told_at.elapsed() >= BETWEEN_TELLING {
                told_at = Instant::now();
                tracing::info!(store = store.descriptor().name, rewrapped, "KEKs are being wrapped anew");
            }
            tokio::time::sleep(Duration::from_secs_f64(some as f64 / rate)).await;
        }
        Ok(rewrapped)
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
                match self.move_payload(&stored.place, store).await {
                    Ok(done) => moved += u64::from(done == Moved::Yes),
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
}
