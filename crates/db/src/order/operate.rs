//! What operators do to orders, whatever their project. Fenced as everything else: who works on an order
//! that was cancelled finds that the lease is gone.

use bailey_core::ids::OrderId;
use bailey_core::order::OrderError;
use bailey_sql::{Error, Explain, Sql, parse};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::ConnectionTrait;

use super::{input, queue};

const CANCEL: Sql = Sql::both(
    "UPDATE orders SET status = 'ERROR', error_status_code = $2, error_reason = $3, updated_at = $4, \
     sub_status = NULL, sub_status_message = NULL, locked_by = NULL, locked_until = NULL \
     WHERE id = $1 AND status = 'PENDING' RETURNING project",
);

/// Ends a pending order for good without a product; whether it was pending. Its inputs are due for deletion
/// from then on.
///
/// # Errors
/// `Unavailable`.
pub async fn cancel<C: ConnectionTrait>(
    tx: &C,
    id: OrderId,
    error: &OrderError,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let now = now.trunc_subsecs(6);
    let values = [id.uuid().into(), error.code.as_str().into(), error.reason.as_str().into(), now.into()];
    let row = tx.query_one_raw(CANCEL.with(tx, values)).await.explain("cancel order")?;
    let Some(row) = row else { return Ok(false) };
    let project = row.try_get_by_index::<String>(0).and_then(|project| parse(&project)).explain("cancel order")?;
    input::destroy(tx, &project, id, now).await?;
    Ok(true)
}

/// What became of a pending order that was to be due at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hurried {
    /// It is due.
    Yes,
    /// It isn't pending, or is being worked on.
    No,
}

const HURRY: Sql =
    Sql::both("UPDATE orders SET next_attempt_at = $2 WHERE id = $1 AND status = 'PENDING' AND locked_by IS NULL");

/// Makes a pending order due that waits for its next attempt.
///
/// # Errors
/// `Unavailable`.
pub async fn hurry<C: ConnectionTrait>(tx: &C, id: OrderId, now: DateTime<Utc>) -> Result<Hurried, Error> {
    let values = [id.uuid().into(), now.trunc_subsecs(6).into()];
    let hurried = tx.execute_raw(HURRY.with(tx, values)).await.explain("hurry order")?;
    queue::wake(tx).await?;
    Ok(if hurried.rows_affected() > 0 { Hurried::Yes } else { Hurried::No })
}

const REVIVE: Sql = Sql::both(
    "UPDATE orders SET status = 'PENDING', error_status_code = NULL, error_reason = NULL, updated_at = $2, \
     next_attempt_at = $2, deadline_at = $3, last_attempt = attempts + $4 WHERE id = $1 AND status = 'ERROR'",
);

/// Makes a failed order pending again, with another `attempts` until `deadline_at`; whether it had failed.
///
/// # Errors
/// `Unavailable`.
pub async fn revive<C: ConnectionTrait>(
    tx: &C,
    id: OrderId,
    attempts: i32,
    deadline_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let values = [id.uuid().into(), now.trunc_subsecs(6).into(), deadline_at.trunc_subsecs(6).into(), attempts.into()];
    let revived = tx.execute_raw(REVIVE.with(tx, values)).await.explain("revive order")?;
    queue::wake(tx).await?;
    Ok(revived.rows_affected() > 0)
}
