//! Certificates that are to be renewed: when each is due, and which order renews it now.
//!
//! What is due is everybody's work, so its lists name no project; every change does.

use bailey_core::ids::{ContainerId, OrderId, ProjectId, UserId};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::prelude::{DateTimeUtc, Uuid};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

/// A certificate that is to be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The container that it is in.
    pub container: ContainerId,
    /// The container's project.
    pub project: ProjectId,
    /// Whose the renewed certificate will be.
    pub creator: Option<UserId>,
    /// The `meta` of the order that it comes from.
    pub meta: String,
    /// What the order for another one asks for, as whoever works on it wrote it down; text that isn't read here.
    pub certificate: String,
    /// When the certificate that is there ends.
    pub expires_at: DateTime<Utc>,
    /// When to renew it.
    pub due_at: DateTime<Utc>,
    /// The order that does.
    pub order: Option<OrderId>,
    /// How many orders have failed since it was renewed last.
    pub failures: i32,
    /// The certificate that is there (DER), as far as that is known.
    pub issued: Option<Vec<u8>>,
    /// When its CA is asked next when to renew it, if it is.
    pub ask_at: Option<DateTime<Utc>>,
}

macro_rules! columns {
    () => {
        "container_id, project, creator, meta, certificate, expires_at, due_at, order_id, failures, issued, ask_at"
    };
}

fn read(row: &QueryResult) -> Result<Renewal, DbErr> {
    let mut cells = Cells::of(row);
    Ok(Renewal {
        container: cells.take::<Uuid>()?.into(),
        project: cells.parse()?,
        creator: cells.parse_some()?,
        meta: cells.take()?,
        certificate: cells.take()?,
        expires_at: cells.take::<DateTimeUtc>()?,
        due_at: cells.take::<DateTimeUtc>()?,
        order: cells.take::<Option<Uuid>>()?.map(Into::into),
        failures: cells.take()?,
        issued: cells.take()?,
        ask_at: cells.take::<Option<DateTimeUtc>>()?,
    })
}

const PUT: Sql = Sql::both(concat!(
    "INSERT INTO renewals (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, 0, $8, $9) ON CONFLICT (container_id) DO UPDATE SET \
     expires_at = excluded.expires_at, due_at = excluded.due_at, certificate = excluded.certificate, order_id = NULL, \
     failures = 0, issued = excluded.issued, ask_at = excluded.ask_at WHERE renewals.project = excluded.project"
));

/// Has a certificate renewed from now on, or again: the transaction that puts it into its container says when.
///
/// # Errors
/// `InUse` if the container isn't there; `Unavailable`.
pub async fn put<C: ConnectionTrait>(tx: &C, renewal: &Renewal) -> Result<(), Error> {
    let values = [
        renewal.container.uuid().into(),
        renewal.project.as_str().into(),
        renewal.creator.as_ref().map(|user| user.as_str()).into(),
        renewal.meta.as_str().into(),
        renewal.certificate.as_str().into(),
        renewal.expires_at.trunc_subsecs(6).into(),
        renewal.due_at.trunc_subsecs(6).into(),
        renewal.issued.clone().into(),
        renewal.ask_at.map(|time| time.trunc_subsecs(6)).into(),
    ];
    tx.execute_raw(PUT.with(tx, values)).await.explain("put renewal")?;
    Ok(())
}

const DUE: Sql = Sql::both(concat!(
    "SELECT ",
    columns!(),
    " FROM renewals WHERE order_id IS NULL AND due_at <= $1 ORDER BY due_at, container_id LIMIT $2"
));
const ENDED: Sql = Sql::both(concat!(
    "SELECT ",
    columns!(),
    " FROM renewals r WHERE order_id IS NOT NULL AND NOT EXISTS \
     (SELECT 1 FROM orders o WHERE o.id = r.order_id AND o.status = 'PENDING') ORDER BY due_at, container_id LIMIT $1"
));

/// What is due and has no order, longest due first.
///
/// # Errors
/// `Unavailable`.
pub async fn due<C: ConnectionTrait>(connection: &C, now: DateTime<Utc>, limit: u64) -> Result<Vec<Renewal>, Error> {
    let values = [now.trunc_subsecs(6).into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let rows = connection.query_all_raw(DUE.with(connection, values)).await.explain("list renewals")?;
    rows.iter().map(read).collect::<Result<_, _>>().explain("list renewals")
}

/// What has an order that has ended without renewing it: it failed, or was deleted.
///
/// # Errors
/// `Unavailable`.
pub async fn ended<C: ConnectionTrait>(connection: &C, limit: u64) -> Result<Vec<Renewal>, Error> {
    let values = [i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let rows = connection.query_all_raw(ENDED.with(connection, values)).await.explain("list failed renewals")?;
    rows.iter().map(read).collect::<Result<_, _>>().explain("list failed renewals")
}

const START: Sql = Sql::both(
    "UPDATE renewals SET order_id = $3 WHERE container_id = $1 AND project = $2 AND order_id IS NULL AND due_at = $4",
);

/// Gives what is due to an order, which the same transaction inserts; whether nobody else did.
///
/// # Errors
/// `Unavailable`.
pub async fn start<C: ConnectionTrait>(tx: &C, renewal: &Renewal, order: OrderId) -> Result<bool, Error> {
    let values = [
        renewal.container.uuid().into(),
        renewal.project.as_str().into(),
        order.uuid().into(),
        renewal.due_at.trunc_subsecs(6).into(),
    ];
    Ok(tx.execute_raw(START.with(tx, values)).await.explain("start renewal")?.rows_affected() > 0)
}

const PUT_OFF: Sql = Sql::both(
    "UPDATE renewals SET order_id = NULL, failures = failures + 1, due_at = $4 \
     WHERE container_id = $1 AND project = $2 AND order_id IS NOT DISTINCT FROM $3 AND due_at = $5",
);

/// Puts off what couldn't be renewed; whether it is still as it was found.
///
/// # Errors
/// `Unavailable`.
pub async fn put_off<C: ConnectionTrait>(tx: &C, renewal: &Renewal, until: DateTime<Utc>) -> Result<bool, Error> {
    let values = [
        renewal.container.uuid().into(),
        renewal.project.as_str().into(),
        renewal.order.map(|id| id.uuid()).into(),
        until.trunc_subsecs(6).into(),
        renewal.due_at.trunc_subsecs(6).into(),
    ];
    Ok(tx.execute_raw(PUT_OFF.with(tx, values)).await.explain("put off renewal")?.rows_affected() > 0)
}

const TO_ASK: Sql = Sql::both(concat!(
    "SELECT ",
    columns!(),
    " FROM renewals WHERE order_id IS NULL AND failures = 0 AND due_at > $1 AND (ask_at <= $1 OR ask_at > $2) \
     ORDER BY ask_at, container_id LIMIT $3"
));

/// What a CA is to be asked about, longest due first: nobody renews it yet. A question further away than `longest` was
/// put off by a clock that was wrong.
///
/// # Errors
/// `Unavailable`.
pub async fn to_ask<C: ConnectionTrait>(
    connection: &C,
    now: DateTime<Utc>,
    longest: TimeDelta,
    limit: u64,
) -> Result<Vec<Renewal>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = [now.trunc_subsecs(6).into(), (now + longest).trunc_subsecs(6).into(), limit.into()];
    let rows = connection.query_all_raw(TO_ASK.with(connection, values)).await.explain("list renewals")?;
    rows.iter().map(read).collect::<Result<_, _>>().explain("list renewals")
}

const SETTLE: Sql = Sql::both(
    "UPDATE renewals SET due_at = $4, ask_at = $5 WHERE container_id = $1 AND project = $2 AND ask_at = $3 \
     AND order_id IS NULL AND failures = 0",
);

/// Says when something that nobody renews yet is to be renewed, and when to ask next; whether it is as it was found.
///
/// # Errors
/// `Unavailable`.
pub async fn settle<C: ConnectionTrait>(
    tx: &C,
    renewal: &Renewal,
    due_at: DateTime<Utc>,
    ask_at: DateTime<Utc>,
) -> Result<bool, Error> {
    let values = [
        renewal.container.uuid().into(),
        renewal.project.as_str().into(),
        renewal.ask_at.map(|time| time.trunc_subsecs(6)).into(),
        due_at.trunc_subsecs(6).into(),
        ask_at.trunc_subsecs(6).into(),
    ];
    Ok(tx.execute_raw(SETTLE.with(tx, values)).await.explain("settle renewal")?.rows_affected() > 0)
}

const ISSUED: Sql = Sql::both("SELECT issued FROM renewals WHERE container_id = $1 AND project = $2");

/// The certificate that is in a container (DER), if it is renewed and known.
///
/// # Errors
/// `Unavailable`.
pub async fn issued<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    container: ContainerId,
) -> Result<Option<Vec<u8>>, Error> {
    let values = [container.uuid().into(), project.as_str().into()];
    let row = connection.query_one_raw(ISSUED.with(connection, values)).await.explain("find renewal")?;
    row.map_or(Ok(None), |row| row.try_get_by_index(0)).explain("find renewal")
}

const END: Sql = Sql::both("DELETE FROM renewals WHERE container_id = $1 AND project = $2");

/// Has what is in a container not renewed any more.
///
/// # Errors
/// `Unavailable`.
pub async fn end<C: ConnectionTrait>(tx: &C, project: &ProjectId, container: ContainerId) -> Result<(), Error> {
    let values = [container.uuid().into(), project.as_str().into()];
    tx.execute_raw(END.with(tx, values)).await.explain("end renewal")?;
    Ok(())
}

/// How renewals stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// How many certificates are renewed.
    pub certificates: u64,
    /// How many of them should have been by now.
    pub overdue: u64,
    /// How many of them couldn't be so far.
    pub failing: u64,
    /// When the first of those ends.
    pub first_end: Option<DateTime<Utc>>,
}

const STANDING: Sql = Sql::both(
    "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN order_id IS NOT NULL OR due_at <= $1 THEN 1 ELSE 0 END), 0) AS bigint), \
     CAST(COALESCE(SUM(CASE WHEN failures > 0 THEN 1 ELSE 0 END), 0) AS bigint), \
     MIN(CASE WHEN failures > 0 THEN expires_at END) FROM renewals",
);

/// Counts what is to be renewed.
///
/// # Errors
/// `Unavailable`.
pub async fn standing<C: ConnectionTrait>(connection: &C, now: DateTime<Utc>) -> Result<Standing, Error> {
    let row = connection.query_one_raw(STANDING.with(connection, [now.trunc_subsecs(6).into()])).await;
    let Some(row) = row.explain("count renewals")? else { return Ok(Standing::default()) };
    let mut cells = Cells::of(&row);
    let mut count = || cells.take::<i64>().map(|count| u64::try_from(count).unwrap_or_default());
    let (certificates, overdue, failing) =
        (count().explain("count renewals")?, count().explain("count renewals")?, count().explain("count renewals")?);
    let first_end = cells.take::<Option<DateTimeUtc>>().explain("count renewals")?;
    Ok(Standing { certificates, overdue, failing, first_end })
}
