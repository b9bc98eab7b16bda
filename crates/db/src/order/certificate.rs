//! What certificate orders need beside: where a CA's work stands, kept before each of its steps.

use bailey_core::ids::{OrderId, ProjectId};
use bailey_sql::{Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::ConnectionTrait;

use super::{Fence, Input, Lost, fenced, insert_input, queue};

const KEEP_STATE: Sql = Sql::both(concat!("UPDATE orders SET issuance_state = $5 ", fenced!()));

/// Keeps where a CA's work stands, before it goes on.
///
/// # Errors
/// `Lost`: the CA mustn't be asked for anything more.
pub async fn keep_state<C: ConnectionTrait>(tx: &C, fence: &Fence, state: &str) -> Result<(), Lost> {
    let values = fence.values().into_iter().chain([state.into()]);
    let kept = tx.execute_raw(KEEP_STATE.with(tx, values)).await.explain("keep issuance state")?;
    if kept.rows_affected() > 0 { Ok(()) } else { Err(Lost::Lease) }
}

const TOUCH: Sql = Sql::both(concat!("UPDATE orders SET request_id = request_id ", fenced!()));

/// Gives an order an input of its own making, such as a private key that a CA is to certify.
///
/// # Errors
/// `Lost`: nothing of the transaction may be committed.
pub async fn keep_input<C: ConnectionTrait>(
    tx: &C,
    fence: &Fence,
    name: &'static str,
    input: &Input,
) -> Result<(), Lost> {
    let held = tx.execute_raw(TOUCH.with(tx, fence.values())).await.explain("keep order input")?;
    if held.rows_affected() == 0 {
        return Err(Lost::Lease);
    }
    Ok(insert_input(tx, &fence.project, fence.order, name, input).await?)
}

const POSTPONE: Sql = Sql::both(concat!(
    "UPDATE orders SET issuance_state = $5, next_attempt_at = $6, sub_status = $7, sub_status_message = $8, \
     updated_at = $9, last_attempt = last_attempt + 1, locked_by = NULL, locked_until = NULL ",
    fenced!()
));

/// Gives a lease back until a CA is to be polled again; whether it was still held. What was waited for counts as
/// no attempt in vain.
///
/// # Errors
/// `Unavailable`.
pub async fn postpone_with<C: ConnectionTrait>(
    tx: &C,
    fence: &Fence,
    state: &str,
    next_attempt_at: DateTime<Utc>,
    (sub_status, message): (&str, &str),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let values = fence.values().into_iter().chain([
        state.into(),
        next_attempt_at.trunc_subsecs(6).into(),
        sub_status.into(),
        message.into(),
        now.trunc_subsecs(6).into(),
    ]);
    let postponed = tx.execute_raw(POSTPONE.with(tx, values)).await.explain("postpone order")?;
    Ok(postponed.rows_affected() > 0)
}

const CHANGE: Sql = Sql::both(
    "UPDATE orders SET meta = $3, certificate = $4, updated_at = $5, next_attempt_at = $5 \
     WHERE id = $1 AND project = $2 AND status = 'PENDING' AND order_type = 'certificate' \
     AND issuance_state IS NULL AND locked_by IS NULL",
);

/// Changes what a pending certificate order asks for, as long as no CA was asked and nobody works on it; whether
/// it did.
///
/// # Errors
/// `Unavailable`.
pub async fn change<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    id: OrderId,
    (meta, certificate): (&str, &str),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let values =
        [id.uuid().into(), project.as_str().into(), meta.into(), certificate.into(), now.trunc_subsecs(6).into()];
    let changed = tx.execute_raw(CHANGE.with(tx, values)).await.explain("change order")?;
    queue::wake(tx).await?;
    Ok(changed.rows_affected() > 0)
}
