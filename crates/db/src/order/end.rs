//! How orders end: finished, failed, deleted.

use bailey_core::ids::{ContainerId, OrderId, ProjectId, SecretId};
use bailey_core::order::{OrderError, OrderStatus};
use bailey_sql::{Cells, Error, ErrorKind, Explain, Sql};
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

/// What an order made, as far as it names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Made {
    /// The key, if that is all.
    pub secret: Option<SecretId>,
    /// The container with all of it.
    pub container: Option<ContainerId>,
    /// The secret with the certificate.
    pub issued: Option<SecretId>,
}

const FINISH: Sql = Sql::both(concat!(
    "UPDATE orders SET status = 'ACTIVE', secret_id = $5, container_id = $6, updated_at = $7, issued_id = $8, \
     sub_status = 'Unknown', sub_status_message = 'Unknown', locked_by = NULL, locked_until = NULL ",
    fenced!()
));

/// Ends an order with its product, which the same transaction inserts.
///
/// # Errors
/// `Lost`: nothing of the transaction may be committed.
pub async fn finish<C: ConnectionTrait>(tx: &C, fence: &Fence, made: Made, now: DateTime<Utc>) -> Result<(), Lost> {
    let values = fence.values().into_iter().chain([
        made.secret.map(|id| id.uuid()).into(),
        made.container.map(|id| id.uuid()).into(),
        now.trunc_subsecs(6).into(),
        made.issued.map(|id| id.uuid()).into(),
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
    sqlite: "SELECT status FROM orders WHERE id = $1 AND project = $2",
    postgres: "SELECT status FROM orders WHERE id = $1 AND project = $2 FOR UPDATE",
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
    delete_if(tx, project, id, |_| true, now).await
}

/// Deletes an order that has failed; whether there was one. What is pending, or has made something, stays.
///
/// # Errors
/// `Unavailable`.
pub async fn delete_failed<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    id: OrderId,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    delete_if(tx, project, id, |status| status == OrderStatus::Error, now).await
}

async fn delete_if<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    id: OrderId,
    is_wanted: impl Fn(OrderStatus) -> bool,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let key = || [id.uuid().into(), project.as_str().into()];
    // Whoever is finishing it comes first or finds nothing.
    let Some(row) = tx.query_one_raw(LOCK.with(tx, key())).await.explain("lock order")? else { return Ok(false) };
    if !is_wanted(Cells::of(&row).parse().explain("lock order")?) {
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
