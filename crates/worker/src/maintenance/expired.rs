//! Deletes secrets that expired long ago. Nobody sees them any more, but their payloads still lie there.

use std::time::Duration;

use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::SecretId;
use bailey_core::told::Told;
use bailey_db::{admin, secret, target};
use chrono::{DateTime, Utc};

use crate::Worker;
use crate::session::secret_name;

const BATCH: u64 = 100;

impl Worker {
    /// Deletes every secret that expired more than `expired_after_seconds` ago, as a client would; returns
    /// how many.
    ///
    /// Does nothing while a restore is not accepted, for the operator may be about to give it up, nor during
    /// a backup, nor while it could not be audited.
    ///
    /// # Errors
    /// `Unavailable`; what was done so far stays done.
    pub async fn purge_expired(&self, told: &mut Told<SecretId>) -> Result<u64, Failure> {
        match self.config.expired_after() {
            Some(age) if self.may_destroy_orphans().await? => self.purge_older_than(age, told).await,
            _ => Ok(0),
        }
    }

    async fn purge_older_than(&self, age: Duration, told: &mut Told<SecretId>) -> Result<u64, Failure> {
        let before = self.clock.now() - age;
        let (mut purged, mut after) = (0, None);
        loop {
            self.require_audit()?;
            let batch = admin::expired(self.db.reader(), before, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(purged) };
            after = Some(*last);
            for (_, id) in batch {
                match self.purge(id, before).await {
                    Ok(done) => purged += u64::from(done),
                    Err(failure) if failure.kind == FailureKind::Unavailable => return Err(failure),
                    // One secret that can't be deleted must not keep the others where they are.
                    Err(failure) if told.is_news(id) => {
                        tracing::error!(%failure, secret = %id, "an expired secret can't be deleted");
                    }
                    Err(_) => {}
                }
            }
        }
    }

    /// Row first, then bytes; false if somebody else was faster.
    async fn purge(&self, id: SecretId, before: DateTime<Utc>) -> Result<bool, Failure> {
        let found = target::find_secret(self.db.reader(), id).await?;
        let has_expired = |expires_at: DateTime<Utc>| expires_at <= before;
        let Some(target) = found.filter(|target| target.secret.expires_at.is_some_and(has_expired)) else {
            return Ok(false);
        };
        let (project, now) = (target.secret.project.clone(), self.clock.now());
        let deleted = self.db.write(move |tx| {
            let project = project.clone();
            Box::pin(async move { secret::delete(tx, &project, id, now).await })
        });
        let deleted = deleted.await.map_err(Failure::from);
        if !matches!(deleted, Ok(false)) {
            self.audit_own("purge expired", &target.secret.project, secret_name(&target), deleted.as_ref().err());
        }
        if deleted? {
            self.destroy_now(&target).await;
            return Ok(true);
        }
        Ok(false)
    }
}
