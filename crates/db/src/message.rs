//! Messages of the queue that changed something: each does so once, however often it comes and whoever
//! gets it.

use bailey_core::access::Message;
use bailey_sql::{Error, ErrorKind, Explain, Sql};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::ConnectionTrait;

/// How long after its deadline a message is remembered. No clock of a worker may be further behind
/// another's, or it would take for new what the other has forgotten.
pub const KEPT: TimeDelta = TimeDelta::minutes(5);

const CLAIM: Sql = Sql::both("INSERT INTO queue_messages (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING");

/// Makes the transaction the one that does what the message asks. Waits for another one that is under way.
///
/// # Errors
/// `Repeated` if another transaction has done it, or if nobody would remember that this one did: nothing of
/// this one may be committed. `Unavailable`.
pub async fn claim<C: ConnectionTrait>(tx: &C, message: &Message, now: DateTime<Utc>) -> Result<(), Error> {
    let repeated = |detail| Err(Error::new(ErrorKind::Repeated, "claim message", detail));
    let expires_at = (message.deadline + KEPT).trunc_subsecs(6);
    if expires_at <= now {
        return repeated("it is so old that it may have been forgotten");
    }
    let claim = CLAIM.with(tx, [message.id.uuid().into(), expires_at.into()]);
    match tx.execute_raw(claim).await.explain("claim message")?.rows_affected() {
        0 => repeated("it was worked on before"),
        _ => Ok(()),
    }
}

const PURGE: Sql = Sql::both(
    "DELETE FROM queue_messages WHERE expires_at <= $1 AND id IN \
     (SELECT id FROM queue_messages WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
);

/// Forgets up to `limit` messages that no worker would take any more; how many it were.
///
/// # Errors
/// `Unavailable`.
pub async fn purge<C: ConnectionTrait>(tx: &C, now: DateTime<Utc>, limit: u64) -> Result<u64, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let purge = PURGE.with(tx, [now.trunc_subsecs(6).into(), limit.into()]);
    Ok(tx.execute_raw(purge).await.explain("purge messages")?.rows_affected())
}
