//! Table `worker_reports`: which worker holds which master key versions, and since when it says so.

use bailey_core::ids::{MasterKeyId, WorkerId};
use bailey_sql::{Cells, ConnectionTrait, Db, Error, Explain as _, Sql};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{VaultDb, row};

/// The versions that a worker told it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerReport {
    /// The worker.
    pub worker: WorkerId,
    /// What it holds, of every purpose.
    pub keys: Vec<MasterKeyId>,
    /// When it said so.
    pub reported_at: DateTime<Utc>,
}

/// A worker that is silent for so long is gone for good.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::hours(1);

const CLEAR: Sql = Sql::both("DELETE FROM worker_reports WHERE worker_id = $1 OR reported_at < $2");
const INSERT: Sql = Sql::both(
    "INSERT INTO worker_reports (worker_id, key_id, reported_at) VALUES ($1, $2, $3)
     ON CONFLICT (worker_id, key_id) DO UPDATE SET reported_at = excluded.reported_at",
);
const LIST: Sql = Sql::both(
    "SELECT worker_id, key_id, reported_at FROM worker_reports WHERE reported_at >= $1 ORDER BY worker_id, key_id",
);

pub(crate) async fn replace(db: &Db, worker: WorkerId, keys: &[MasterKeyId], now: DateTime<Utc>) -> Result<(), Error> {
    // The nil id stands for the worker itself, so that one without any key counts as live, too.
    let keys: Vec<Uuid> = keys.iter().map(|key| key.uuid()).chain([Uuid::nil()]).collect();
    db.write(move |tx| {
        let keys = keys.clone();
        Box::pin(async move {
            let clear = CLEAR.with(tx, [worker.uuid().into(), (now - FORGOTTEN_AFTER).into()]);
            tx.execute_raw(clear).await.explain("clear reports")?;
            for key in keys {
                let insert = INSERT.with(tx, [worker.uuid().into(), key.into(), now.into()]);
                tx.execute_raw(insert).await.explain("insert report")?;
            }
            Ok(())
        })
    })
    .await
}

/// The reports since `since`, by worker.
pub(crate) async fn list(connection: &impl ConnectionTrait, since: DateTime<Utc>) -> Result<Vec<WorkerReport>, Error> {
    let rows = connection.query_all_raw(LIST.with(connection, [since.into()])).await.explain("list reports")?;
    let mut reports: Vec<WorkerReport> = Vec::new();
    for row in &rows {
        let cells = &mut Cells::of(row);
        let read = |cells: &mut Cells<'_>| Ok((row::id::<WorkerId>(cells)?, cells.take::<Uuid>()?, cells.take()?));
        let (worker, key, reported_at) = read(cells).explain("list reports")?;
        if reports.last().is_none_or(|last| last.worker != worker) {
            reports.push(WorkerReport { worker, keys: Vec::new(), reported_at });
        }
        if let Some(report) = reports.last_mut().filter(|_| !key.is_nil()) {
            report.keys.push(key.into());
        }
    }
    Ok(reports)
}

impl VaultDb {
    /// What the workers that reported since `since` hold.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn workers_reporting(&self, since: DateTime<Utc>) -> Result<Vec<WorkerReport>, Error> {
        list(self.db.reader(), since).await
    }
}
