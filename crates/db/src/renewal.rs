//! Certificates that are to be renewed: when each is due, and which order renews it now.
//!
//! What is due is everybody's work, so its lists name no project; every change does.

mod standing;

use bailey_core::container::SecretReference;
use bailey_core::ids::{ContainerId, OrderId, ProjectId, UserId};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::prelude::{DateTimeUtc, Uuid};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use crate::container;

pub use standing::{Standing, standing};

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
    /// The order that failed to, until another one begins.
    pub failed: Option<OrderId>,
}

macro_rules! columns {
    () => {
        "container_id, project, creator, meta, certificate, expires_at, due_at, order_id, failures, issued, ask_at, \
         failed_order_id"
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
        failed: cells.take::<Option<Uuid>>()?.map(Into::into),
    })
}

const INSERT: Sql = Sql::both(concat!(
    "INSERT INTO renewals (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, 0, $8, $9, NULL)"
));

/// Has a certificate renewed from now on: the transaction that makes its container says when.
///
/// # Errors
/// `InUse` if the container isn't there; `Unavailable`.
pub async fn insert<C: ConnectionTrait>(tx: &C, renewal: &Renewal) -> Result<(), Error> {
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
    tx.execute_raw(INSERT.with(tx, values)).await.explain("insert renewal")?;
    Ok(())
}

const UPDATE: Sql = Sql::both(
    "UPDATE renewals SET certificate = $4, expires_at = $5, due_at = $6, issued = $7, ask_at = $8, order_id = NULL, \
     failed_order_id = NULL, failures = 0 WHERE container_id = $1 AND project = $2 AND order_id = $3",
);

/// Has a certificate renewed again: the transaction that puts another one into its container says when. Whether
/// `order` is still the one that renews it; if not, nothing of the transaction may be committed.
///
/// # Errors
/// `Unavailable`.
pub async fn update<C: ConnectionTrait>(tx: &C, renewal: &Renewal, order: OrderId) -> Result<bool, Error> {
    let values = [
        renewal.container.uuid().into(),
        renewal.project.as_str().into(),
        order.uuid().into(),
        renewal.certificate.as_str().into(),
        renewal.expires_at.trunc_subsecs(6).into(),
        renewal.due_at.trunc_subsecs(6).into(),
        renewal.issued.clone().into(),
        renewal.ask_at.map(|time| time.trunc_subsecs(6)).into(),
    ];
    Ok(tx.execute_raw(UPDATE.with(tx, values)).await.explain("update renewal")?.rows_affected() > 0)
}

const FINISH: Sql = Sql::both("DELETE FROM renewals WHERE container_id = $1 AND project = $2 AND order_id = $3");

/// Has what is in a container not renewed any more after this time; whether `order` is still the one that renews it,
/// as [`update`] says.
///
/// # Errors
/// `Unavailable`.
pub async fn finish<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    container: ContainerId,
    order: OrderId,
) -> Result<bool, Error> {
    let values = [container.uuid().into(), project.as_str().into(), order.uuid().into()];
    Ok(tx.execute_raw(FINISH.with(tx, values)).await.explain("finish renewal")?.rows_affected() > 0)
}

const FIND: Sql = Sql::both(concat!("SELECT ", columns!(), " FROM renewals WHERE container_id = $1 AND project = $2"));

/// What is to become of the certificate in a container, if it is renewed.
///
/// # Errors
/// `Unavailable`.
pub async fn find<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    container: ContainerId,
) -> Result<Option<Renewal>, Error> {
    let values = [container.uuid().into(), project.as_str().into()];
    let row = connection.query_one_raw(FIND.with(connection, values)).await;
    row.and_then(|row| row.as_ref().map(read).transpose()).explain("find renewal")
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
    "UPDATE renewals SET order_id = $3, failed_order_id = NULL \
     WHERE container_id = $1 AND project = $2 AND order_id IS NULL AND due_at = $4",
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
    "UPDATE renewals SET order_id = NULL, failed_order_id = COALESCE(order_id, failed_order_id), \
     failures = failures + 1, due_at = $4 \
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

const TAKE_OVER: Sql = Sql::both(
    "UPDATE renewals SET order_id = $3, failed_order_id = NULL, due_at = $4 WHERE container_id = $1 AND project = $2 \
     AND (order_id = $3 OR (order_id IS NULL AND failed_order_id = $3))",
);

/// Gives what an order failed to renew to that order again, which the same transaction makes pending; whether no other
/// order has begun, and it is still renewed. It is due `now`, so whoever puts it off for the failure comes too late.
///
/// # Errors
/// `Unavailable`.
pub async fn take_over<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    container: ContainerId,
    order: OrderId,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let values = [container.uuid().into(), project.as_str().into(), order.uuid().into(), now.trunc_subsecs(6).into()];
    Ok(tx.execute_raw(TAKE_OVER.with(tx, values)).await.explain("take over renewal")?.rows_affected() > 0)
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

const END: Sql = Sql::both(
    "DELETE FROM renewals WHERE container_id = $1 AND project = $2 AND NOT EXISTS \
     (SELECT 1 FROM container_secrets s WHERE s.container_id = $1 AND s.name = $3 AND s.secret_id <> $4)",
);

/// Has what is in a container not renewed any more, unless another certificate has taken the place of this one. An
/// order that renews it now finds that it doesn't any more.
///
/// # Errors
/// `Unavailable`.
pub async fn end<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    container: ContainerId,
    certificate: &SecretReference,
) -> Result<(), Error> {
    // Whoever puts another one there comes before that, with what is to be renewed then, or after and finds nothing.
    if !container::lock(tx, project, container).await? {
        return Ok(());
    }
    let values = [
        container.uuid().into(),
        project.as_str().into(),
        certificate.name.as_deref().into(),
        certificate.secret.uuid().into(),
    ];
    tx.execute_raw(END.with(tx, values)).await.explain("end renewal")?;
    Ok(())
}
