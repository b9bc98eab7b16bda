//! The queue that the rows are: leases on what is due. Names no project, because the work is everybody's.

use bailey_core::ids::WorkerId;
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::prelude::DateTimeUtc;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{Fence, Job, fenced, job_columns, read_job};

/// Where PostgreSQL tells that an order has come.
pub const CHANNEL: &str = "bailey_orders";

/// How leases and waiting times are judged.
///
/// Clocks jump, and machines' clocks differ: a lease that ends later than any lease can, and an attempt
/// that is put off for longer than any is, count as not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leases {
    /// The longest that a lease may still run.
    pub longest: TimeDelta,
    /// The longest that an order may have to wait for its next attempt.
    pub longest_wait: TimeDelta,
}

impl Leases {
    /// Until when a lease runs that is taken or renewed now. A quarter is left for clocks that differ:
    /// to one that is slow, the lease must not look longer than any can be.
    fn end(self, now: DateTime<Utc>) -> DateTime<Utc> {
        (now + self.longest * 3 / 4).trunc_subsecs(6)
    }

    fn horizon(self, now: DateTime<Utc>) -> DateTime<Utc> {
        (now + self.longest).trunc_subsecs(6)
    }

    fn latest(self, now: DateTime<Utc>) -> DateTime<Utc> {
        (now + self.longest_wait).trunc_subsecs(6)
    }
}

/// Holds for `$1` now, `$2` the latest end of a lease and `$3` the latest next attempt.
macro_rules! unleased {
    () => {
        "(locked_by IS NULL OR locked_until <= $1 OR locked_until > $2)"
    };
}
macro_rules! due {
    () => {
        concat!("status = 'PENDING' AND (next_attempt_at <= $1 OR next_attempt_at > $3) AND ", unleased!())
    };
}

const ANY_DUE: Sql = Sql::both(concat!("SELECT 1 FROM orders WHERE ", due!(), " LIMIT 1"));

/// Whether there is anything to claim. A look that writes nothing.
///
/// # Errors
/// `Unavailable`.
pub async fn any_due<C: ConnectionTrait>(connection: &C, leases: Leases, now: DateTime<Utc>) -> Result<bool, Error> {
    let values = [now.trunc_subsecs(6).into(), leases.horizon(now).into(), leases.latest(now).into()];
    Ok(connection.query_one_raw(ANY_DUE.with(connection, values)).await.explain("look for due orders")?.is_some())
}

macro_rules! claim {
    ($ids:expr) => {
        concat!(
            "UPDATE orders SET locked_by = $4, locked_until = $5, attempts = attempts + 1 WHERE id ",
            $ids,
            " AND ",
            due!(),
            " RETURNING ",
            job_columns!()
        )
    };
}
macro_rules! due_ids {
    () => {
        concat!("SELECT id FROM orders WHERE ", due!(), " ORDER BY next_attempt_at, id LIMIT $6")
    };
}

const CLAIM: Sql = Sql {
    sqlite: claim!(concat!("IN (", due_ids!(), ")")),
    // As an array the rows are looked for once, whatever the planner thinks of it.
    postgres: claim!(concat!("= ANY (ARRAY(", due_ids!(), " FOR UPDATE SKIP LOCKED))")),
};

/// Gives `holder` leases on up to `limit` orders that are due, longest due first.
///
/// # Errors
/// `Unavailable`.
pub async fn claim<C: ConnectionTrait>(
    tx: &C,
    holder: WorkerId,
    leases: Leases,
    now: DateTime<Utc>,
    limit: u64,
) -> Result<Vec<Job>, Error> {
    let values = [
        now.trunc_subsecs(6).into(),
        leases.horizon(now).into(),
        leases.latest(now).into(),
        holder.uuid().into(),
        leases.end(now).into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
    ];
    let rows = tx.query_all_raw(CLAIM.with(tx, values)).await.explain("claim orders")?;
    rows.iter().map(read_job).collect::<Result<_, _>>().explain("claim orders")
}

const RENEW: Sql = Sql::both(concat!("UPDATE orders SET locked_until = $5 ", fenced!()));

/// Makes a lease run anew; whether it was still held.
///
/// # Errors
/// `Unavailable`.
pub async fn renew<C: ConnectionTrait>(
    tx: &C,
    fence: &Fence,
    leases: Leases,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let values = fence.values().into_iter().chain([leases.end(now).into()]);
    let renewed = tx.execute_raw(RENEW.with(tx, values)).await.explain("renew lease")?;
    Ok(renewed.rows_affected() > 0)
}

const POSTPONE: Sql = Sql::both(concat!(
    "UPDATE orders SET next_attempt_at = $5, sub_status = $6, sub_status_message = $7, updated_at = $8, \
     locked_by = NULL, locked_until = NULL ",
    fenced!()
));

/// Gives a lease back after an attempt in vain, and says when the next one is due and why; whether the
/// lease was still held.
///
/// # Errors
/// `Unavailable`.
pub async fn postpone<C: ConnectionTrait>(
    tx: &C,
    fence: &Fence,
    next_attempt_at: DateTime<Utc>,
    (sub_status, message): (&str, &str),
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let values = fence.values().into_iter().chain([
        next_attempt_at.trunc_subsecs(6).into(),
        sub_status.into(),
        message.into(),
        now.trunc_subsecs(6).into(),
    ]);
    let postponed = tx.execute_raw(POSTPONE.with(tx, values)).await.explain("postpone order")?;
    Ok(postponed.rows_affected() > 0)
}

const RELEASE: Sql =
    Sql::both("UPDATE orders SET locked_by = NULL, locked_until = NULL WHERE status = 'PENDING' AND locked_by = $1");
const VOID: Sql = Sql::both(
    "UPDATE orders SET locked_by = NULL, locked_until = NULL WHERE status = 'PENDING' AND locked_by IS NOT NULL",
);

/// Gives back every lease of a process that works no more; how many.
///
/// # Errors
/// `Unavailable`.
pub async fn release<C: ConnectionTrait>(tx: &C, holder: WorkerId) -> Result<u64, Error> {
    let released = tx.execute_raw(RELEASE.with(tx, [holder.uuid().into()])).await.explain("release leases")?;
    wake(tx).await?;
    Ok(released.rows_affected())
}

/// Ends every lease: for whoever knows that no other process is there to hold one; how many.
///
/// # Errors
/// `Unavailable`.
pub async fn void_leases<C: ConnectionTrait>(tx: &C) -> Result<u64, Error> {
    Ok(tx.execute_raw(VOID.with(tx, [])).await.explain("void leases")?.rows_affected())
}

/// Tells every process on PostgreSQL, once this is committed, that there may be something to claim.
pub(super) async fn wake<C: ConnectionTrait>(tx: &C) -> Result<(), Error> {
    if tx.get_database_backend() == DbBackend::Postgres {
        let notify = Statement::from_string(DbBackend::Postgres, format!("NOTIFY {CHANNEL}"));
        tx.execute_raw(notify).await.explain("tell of orders")?;
    }
    Ok(())
}

/// What is still to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// How many orders are pending.
    pub pending: u64,
    /// How many of them nobody works on, and nobody will within the longest waiting time. Never any, but
    /// for the moment after a clock has jumped.
    pub stuck: u64,
    /// Since when the longest due of them has been waiting for somebody to claim it.
    pub due_since: Option<DateTime<Utc>>,
}

const BACKLOG: Sql = Sql::both(concat!(
    "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN next_attempt_at > $3 AND ",
    unleased!(),
    " THEN 1 ELSE 0 END), 0) AS bigint), MIN(CASE WHEN next_attempt_at <= $1 AND ",
    unleased!(),
    " THEN next_attempt_at END) FROM orders WHERE status = 'PENDING'"
));

/// Counts what is pending.
///
/// # Errors
/// `Unavailable`.
pub async fn backlog<C: ConnectionTrait>(connection: &C, leases: Leases, now: DateTime<Utc>) -> Result<Backlog, Error> {
    let values = [now.trunc_subsecs(6).into(), leases.horizon(now).into(), leases.latest(now).into()];
    let row = connection.query_one_raw(BACKLOG.with(connection, values)).await.explain("count orders")?;
    let Some(row) = row else { return Ok(Backlog::default()) };
    let mut cells = Cells::of(&row);
    let mut count = || cells.take::<i64>().map(|count| u64::try_from(count).unwrap_or_default());
    let (pending, stuck) = (count().explain("count orders")?, count().explain("count orders")?);
    let due_since = cells.take::<Option<DateTimeUtc>>().explain("count orders")?;
    Ok(Backlog { pending, stuck, due_since })
}
