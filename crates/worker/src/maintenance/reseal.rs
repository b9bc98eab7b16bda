//! Seals references anew, so that a version of the worker key can be given up.

use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{MasterKeyId, WriteId};
use bailey_core::store::Place;
use bailey_core::told::Told;
use bailey_db::{Placement, admin, secret};

use crate::Worker;
use crate::error::store_failure;

const BATCH: u64 = 500;

impl Worker {
    /// Versions of the worker key that only open what is old.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn superseded_worker_keys(&self) -> Result<Vec<MasterKeyId>, Failure> {
        self.sealer.superseded().await.map_err(|error| store_failure(&error))
    }

    /// How much of the active version's budget is reserved, from 0 to 1.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn worker_key_used(&self) -> Result<f64, Failure> {
        self.sealer.used().await.map_err(|error| store_failure(&error))
    }

    /// Seals under the active version every reference that is sealed under `old`; returns how many. One that
    /// can't be opened is told once.
    ///
    /// # Errors
    /// `Unavailable`; what was done so far stays done.
    pub async fn reseal(&self, old: MasterKeyId, told: &mut Told<WriteId>) -> Result<u64, Failure> {
        let (mut resealed, mut after) = (0, None);
        loop {
            let batch = admin::sealed_under(self.db.reader(), old, after, BATCH).await?;
            let Some((last, _)) = batch.last() else { return Ok(resealed) };
            after = Some(last.write);
            for (place, placement) in batch {
                let (id, write) = (place.secret, place.write);
                match self.reseal_one(place, &placement).await {
                    Ok(done) => resealed += u64::from(done),
                    Err(failure) if failure.kind == FailureKind::Corrupt => {
                        if told.is_news(write) {
                            tracing::error!(%failure, secret = %id, "a reference can't be sealed anew");
                        }
                    }
                    Err(failure) => return Err(failure),
                }
            }
        }
    }

    async fn reseal_one(&self, place: Place, placement: &Placement) -> Result<bool, Failure> {
        let old = placement.key;
        let reference = self.sealer.open(placement.store, &place, old, &placement.reference)?;
        let sealed = self.sealer.seal(placement.store, &place, &reference).await?;
        let replaced = self.db.write(move |tx| {
            let (place, sealed) = (place.clone(), sealed.clone());
            Box::pin(async move { secret::reseal(tx, &place, old, &sealed.bytes, sealed.key).await })
        });
        Ok(replaced.await?)
    }
}
