//! How orders end: finished, failed, deleted.

use bailey_core::ids::{ContainerId, OrderId, ProjectId, SecretId};
use bailey_core::order::OrderError;
use bailey_sql::{Error, ErrorKind, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::ConnectionTrait;

use super::{Fence, RESOURCE, fenced, input};
use crate::counter;

/// Why a change under a lease was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The lease is another's by now, or the order has ended: nothing of the transaction may be committed.
    Lease,
    /// The database failed.
    Db(Error),
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self::Db(error)
    }
}

const FINISH: Sql = Sql::both(concat!(
    "UPDATE orders SET status = 'ACTIVE', secret_id = $5, container_id = $6, updated_at = $7, sub_status = 'Unknown', \
     sub_status_message = 'Unknown', locked_by = NULL, locked_until = NULL ",
    fenced!()
));

/// Ends an order with its product, which the same transaction inserts.
///
/// # Errors
/// `Lost`: nothing of the transaction may be committed.
pub async fn finish<C: ConnectionTrait>(
    tx: &C,
    fence: &Fence,
    secret: Option<SecretId>,
    container: Option<ContainerId>,
    now: DateTime<Utc>,
) -> Result<(), Lost> {
    let values = fence.values().into_iter().chain([
        secret.map(|id| id.uuid()).into(),
        container.map(|id| id.uuid()).into(),
        now.trunc_subsecs(6).into(),
    ]);
    let finished = tx.execute_raw(FINISH.with(tx, values)).await.explain("finish order")?;
    if finished.rows_affected() > 0 { Ok(()) } else { Err(Lost::Lease) }
}

const FAIL: Sql = Sql::both(concat!(
    "UPDATE orders SET status = 'ERROR', error_status_code = $5, error_reason = $6, updated_at = $7, \
     sub_status = NULL, sub_status_message = NULL, locked_by = NULL, locked_until = NULL ",
    fenced!()
));

/// Ends an order for good without a product. Its inputs are due for deletion from then on.
///
/// # Errors
/// `Lost`.
pub async fn fail<C: ConnectionTrait>(
    tx: &C,
    fence: &Fence,
    error: &OrderError,
    now: DateTime<Utc>,
) -> Result<(), Lost> {
    let values = fence.values().into_iter().chain([
        error.code.as_str().into(),
        error.reason.as_str().into(),
        now.trunc_subsecs(6).into(),
    ]);
    let failed = tx.execute_raw(FAIL.with(tx, values)).await.explain("fail order")?;
    if failed.rows_affected() == 0 {
        return Err(Lost::Lease);
    }
    Ok(input::destroy(tx, &fence.project, fence.order, now).await?)
}

const LOCK: Sql = Sql {
    sqlite: "SELECT id FROM orders WHERE id = $1 AND project = $2",
    postgres: "SELECT id FROM orders WHERE id = $1 AND project = $2 FOR UPDATE",
};
const DELETE: Sql = Sql::both("DELETE FROM orders WHERE id = $1 AND project = $2");

/// Deletes an order, whatever its status; whether it was there. What it made stays; its inputs are due for
/// deletion from then on, and who works on it will find that there is nothing to finish.
///
/// # Errors
/// `Unavailable`.
pub async fn delete<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    id: OrderId,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let key = || [id.uuid().into(), project.as_str().into()];
    // Whoever is finishing it comes first or finds nothing.
    if tx.query_one_raw(LOCK.with(tx, key())).await.explain("lock order")?.is_none() {
        return Ok(false);
    }
    input::destroy(tx, project, id, now).await?;
    let deleted = tx.execute_raw(DELETE.with(tx, key())).await.explain("delete order")?;
    if deleted.rows_affected() == 0 {
        return Err(Error::new(ErrorKind::Internal, "delete order", "a locked row is gone"));
    }
    counter::add(tx, project, RESOURCE, -1).await?;
    Ok(true)
}
