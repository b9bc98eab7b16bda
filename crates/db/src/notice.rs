//! Notices: what the operator's webhook is still to be told. Each is everybody's work, whatever project it is about.

use bailey_core::ids::NoticeId;
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::prelude::{DateTimeUtc, Uuid};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Names it, however often it is told.
    pub id: NoticeId,
    /// What is told: text that isn't read here.
    pub body: String,
    /// Since when it is to be told.
    pub created_at: DateTime<Utc>,
    /// How often that was tried; the fence of whoever tries.
    pub attempts: i32,
}

fn read(row: &QueryResult) -> Result<Notice, DbErr> {
    let mut cells = Cells::of(row);
    Ok(Notice {
        id: cells.take::<Uuid>()?.into(),
        body: cells.take()?,
        created_at: cells.take::<DateTimeUtc>()?,
        attempts: cells.take()?,
    })
}

const INSERT: Sql = Sql::both(
    "INSERT INTO notices (id, body, created_at, next_attempt_at, attempts) VALUES ($1, $2, $3, $3, 0) \
     ON CONFLICT (id) DO NOTHING",
);

/// Has something told; by the transaction that makes it true.
///
/// # Errors
/// `Unavailable`.
pub async fn insert<C: ConnectionTrait>(tx: &C, notice: &Notice) -> Result<(), Error> {
    let values = [notice.id.uuid().into(), notice.body.as_str().into(), notice.created_at.trunc_subsecs(6).into()];
    tx.execute_raw(INSERT.with(tx, values)).await.explain("insert notice")?;
    Ok(())
}

const DUE: Sql = Sql::both(
    "SELECT id, body, created_at, attempts FROM notices WHERE next_attempt_at <= $1 OR next_attempt_at > $2 \
     ORDER BY next_attempt_at, id LIMIT $3",
);

/// What is to be told now, longest due first. An attempt that is put off for longer than `longest` was put off by a
/// clock that was wrong.
///
/// # Errors
/// `Unavailable`.
pub async fn due<C: ConnectionTrait>(
    connection: &C,
    now: DateTime<Utc>,
    longest: TimeDelta,
    limit: u64,
) -> Result<Vec<Notice>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = [now.trunc_subsecs(6).into(), (now + longest).trunc_subsecs(6).into(), limit.into()];
    let rows = connection.query_all_raw(DUE.with(connection, values)).await.explain("list notices")?;
    rows.iter().map(read).collect::<Result<_, _>>().explain("list notices")
}

const CLAIM: Sql =
    Sql::both("UPDATE notices SET attempts = attempts + 1, next_attempt_at = $3 WHERE id = $1 AND attempts = $2");

/// Makes the next attempt one's own until then; whether nobody else has. It is `notice.attempts` + 1.
///
/// # Errors
/// `Unavailable`.
pub async fn claim<C: ConnectionTrait>(tx: &C, notice: &Notice, until: DateTime<Utc>) -> Result<bool, Error> {
    let values = [notice.id.uuid().into(), notice.attempts.into(), until.trunc_subsecs(6).into()];
    Ok(tx.execute_raw(CLAIM.with(tx, values)).await.explain("claim notice")?.rows_affected() > 0)
}

const PUT_OFF: Sql = Sql::both("UPDATE notices SET next_attempt_at = $3 WHERE id = $1 AND attempts = $2");

/// Has the attempt after this one made then.
///
/// # Errors
/// `Unavailable`.
pub async fn put_off<C: ConnectionTrait>(
    tx: &C,
    id: NoticeId,
    attempt: i32,
    until: DateTime<Utc>,
) -> Result<(), Error> {
    let values = [id.uuid().into(), attempt.into(), until.trunc_subsecs(6).into()];
    tx.execute_raw(PUT_OFF.with(tx, values)).await.explain("put off notice")?;
    Ok(())
}

const DELETE: Sql = Sql::both("DELETE FROM notices WHERE id = $1 AND attempts = $2");

/// Forgets what this attempt has told, or given up.
///
/// # Errors
/// `Unavailable`.
pub async fn delete<C: ConnectionTrait>(tx: &C, id: NoticeId, attempt: i32) -> Result<(), Error> {
    tx.execute_raw(DELETE.with(tx, [id.uuid().into(), attempt.into()])).await.explain("delete notice")?;
    Ok(())
}

const STANDING: Sql = Sql::both("SELECT COUNT(*), MIN(created_at) FROM notices");

/// How many notices are still to be told, and since when the first of them is.
///
/// # Errors
/// `Unavailable`.
pub async fn standing<C: ConnectionTrait>(connection: &C) -> Result<(u64, Option<DateTime<Utc>>), Error> {
    let row = connection.query_one_raw(STANDING.with(connection, [])).await.explain("count notices")?;
    let Some(row) = row else { return Ok((0, None)) };
    let mut cells = Cells::of(&row);
    let count = cells.take::<i64>().explain("count notices")?;
    let oldest = cells.take::<Option<DateTimeUtc>>().explain("count notices")?;
    Ok((u64::try_from(count).unwrap_or_default(), oldest))
}
