//! Destroys what deleted rows referred to, where that could not be done at once.

use bailey_core::failure::Failure;
use bailey_db::deletion::{self, Deletion};

use crate::Worker;
use crate::usecase::placement::Destroyed;

const BATCH: u64 = 100;
const LONGEST_WAIT_SECONDS: i64 = 3600;

impl Worker {
    /// Tries every deletion that is due; returns how many payloads were destroyed. None is while a backup is
    /// being made.
    ///
    /// # Errors
    /// `Unavailable` when the database can't be asked. A store's failure only postpones.
    pub async fn destroy_deleted(&self) -> Result<u64, Failure> {
        let mut destroyed = 0;
        loop {
            let due = deletion::due(self.db.reader(), self.clock.now(), BATCH).await?;
            if due.is_empty() {
                return Ok(destroyed);
            }
            for deletion in due {
                match self.destroy(deletion.store, &deletion.place, deletion.key, &deletion.reference).await {
                    Ok(Destroyed::Yes) => destroyed += 1,
                    Ok(Destroyed::Held) => return Ok(destroyed),
                    Err(failure) => self.postpone(&deletion, &failure).await?,
                }
            }
        }
    }

    async fn postpone(&self, deletion: &Deletion, failure: &Failure) -> Result<(), Failure> {
        let write = deletion.place.write;
        let wait = (1_i64 << deletion.attempts.clamp(0, 12)).min(LONGEST_WAIT_SECONDS);
        let next = self.clock.now() + chrono::TimeDelta::seconds(wait);
        // It is tried for ever, and stays on the list meanwhile: once is enough to know.
        if deletion.attempts == 0 {
            tracing::warn!(%write, %failure, %next, "a deleted payload could not be destroyed and is tried again");
        }
        self.db.write(move |tx| Box::pin(deletion::postpone(tx, write, next))).await?;
        Ok(())
    }
}
