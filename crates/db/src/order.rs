//! Orders: rows that are jobs.
//!
//! Clients see [`Order`]s; whoever works on one holds a [`Job`]. [`claim`] gives it a lease, and each later
//! change names that lease in its WHERE ([`Fence`]): whoever lost it changes nothing.

mod certificate;
mod end;
mod input;
mod list;
mod operate;
mod queue;

use bailey_core::ids::{OrderId, ProjectId, SecretId, WorkerId};
use bailey_core::order::{Charge, Order, OrderError, OrderType};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::prelude::{DateTimeUtc, Uuid};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

use crate::counter;

pub use certificate::{change, keep_input, keep_state, postpone_with};
pub use end::{Lost, Made, delete, delete_failed, fail, finish};
pub use input::{Input, adopt_input, find_input, find_input_at, insert_input};
pub use list::{list, list_jobs};
pub use operate::{Hurried, cancel, hurry, revive};
pub use queue::{Backlog, CHANNEL, Leases, any_due, backlog, claim, postpone, release, renew, void_leases};

/// How the list of orders and their counts are called in `project_counters`.
const RESOURCE: &str = "order";

/// An order with all that its processing needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The order.
    pub order: Order,
    /// What it counts for against the project's quotas while it is pending.
    pub charge: Charge,
    /// The request that brought it.
    pub request_id: String,
    /// How often it was claimed. Never goes down: it tells one lease from every other.
    pub attempts: i32,
    /// The attempt whose failure is the last.
    pub last_attempt: i32,
    /// Who holds the lease.
    pub locked_by: Option<WorkerId>,
    /// Until when.
    pub locked_until: Option<DateTime<Utc>>,
    /// When it is due.
    pub next_attempt_at: DateTime<Utc>,
    /// After this it isn't tried again.
    pub deadline_at: DateTime<Utc>,
    /// Which certificate is ordered, as whoever works on it wrote it down; text that isn't read here.
    pub certificate: Option<String>,
    /// Where the CA's work on it stands; nothing before the CA was asked.
    pub issuance_state: Option<String>,
    /// The secret with the certificate that it made; nothing of orders that ended before that was written down.
    pub issued: Option<SecretId>,
}

/// A lease, as changes under it name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The order.
    pub order: OrderId,
    /// Its project.
    pub project: ProjectId,
    /// Who holds the lease.
    pub holder: WorkerId,
    /// Which claim it came from.
    pub attempt: i32,
}

impl Job {
    /// Whether a passphrase was given with it: what it is charged tells.
    #[must_use]
    pub fn has_passphrase(&self) -> bool {
        match self.order.order_type {
            OrderType::Key => false,
            OrderType::Asymmetric => self.charge.secrets == 3,
            OrderType::Certificate => self.charge.secrets == 4,
        }
    }

    /// The lease that `holder` got by claiming this.
    #[must_use]
    pub fn fence(&self, holder: WorkerId) -> Fence {
        let Order { id, project, .. } = &self.order;
        Fence { order: *id, project: project.clone(), holder, attempt: self.attempts }
    }
}

/// The condition of every change under a lease; its values are [`Fence::values`].
macro_rules! fenced {
    () => {
        "WHERE id = $1 AND project = $2 AND status = 'PENDING' AND locked_by = $3 AND attempts = $4"
    };
}
pub(crate) use fenced;

impl Fence {
    fn values(&self) -> [Value; 4] {
        [self.order.uuid().into(), self.project.as_str().into(), self.holder.uuid().into(), self.attempt.into()]
    }
}

/// The columns that [`read`] expects.
macro_rules! order_columns {
    () => {
        "id, project, creator, order_type, meta, status, sub_status, sub_status_message, error_status_code, \
         error_reason, secret_id, container_id, created_at, updated_at"
    };
}
pub(crate) use order_columns;

/// The columns that [`read_job`] expects.
macro_rules! job_columns {
    () => {
        concat!(
            crate::order::order_columns!(),
            ", charged_secrets, charged_containers, request_id, attempts, last_attempt, locked_by, locked_until, \
             next_attempt_at, deadline_at, certificate, issuance_state, issued_id"
        )
    };
}
pub(crate) use job_columns;

fn read(cells: &mut Cells<'_>) -> Result<Order, DbErr> {
    Ok(Order {
        id: cells.take::<Uuid>()?.into(),
        project: cells.parse()?,
        creator: cells.parse_some()?,
        order_type: cells.parse()?,
        meta: cells.take()?,
        status: cells.parse()?,
        sub_status: cells.take()?,
        sub_status_message: cells.take()?,
        error: match (cells.take::<Option<String>>()?, cells.take::<Option<String>>()?) {
            (Some(code), Some(reason)) => Some(OrderError { code, reason }),
            _ => None,
        },
        secret: cells.take::<Option<Uuid>>()?.map(Into::into),
        container: cells.take::<Option<Uuid>>()?.map(Into::into),
        created_at: cells.take::<DateTimeUtc>()?,
        updated_at: cells.take::<DateTimeUtc>()?,
    })
}

fn read_job(row: &QueryResult) -> Result<Job, DbErr> {
    let mut cells = Cells::of(row);
    Ok(Job {
        order: read(&mut cells)?,
        charge: Charge { secrets: cells.take()?, containers: cells.take()? },
        request_id: cells.take()?,
        attempts: cells.take()?,
        last_attempt: cells.take()?,
        locked_by: cells.take::<Option<Uuid>>()?.map(Into::into),
        locked_until: cells.take::<Option<DateTimeUtc>>()?,
        next_attempt_at: cells.take::<DateTimeUtc>()?,
        deadline_at: cells.take::<DateTimeUtc>()?,
        certificate: cells.take()?,
        issuance_state: cells.take()?,
        issued: cells.take::<Option<Uuid>>()?.map(Into::into),
    })
}

const INSERT: Sql = Sql::both(
    "INSERT INTO orders (id, project, creator, order_type, meta, status, charged_secrets, charged_containers, \
     request_id, attempts, last_attempt, next_attempt_at, deadline_at, created_at, updated_at, certificate) \
     VALUES ($1, $2, $3, $4, $5, 'PENDING', $6, $7, $8, 0, $9, $10, $11, $12, $12, $13)",
);

/// Inserts a pending order that nobody has claimed, and wakes whoever waits for one.
///
/// # Errors
/// `Unavailable`.
pub async fn insert<C: ConnectionTrait>(tx: &C, job: &Job) -> Result<(), Error> {
    let Order { id, project, creator, order_type, meta, created_at, .. } = &job.order;
    let values = [
        id.uuid().into(),
        project.as_str().into(),
        creator.as_ref().map(|user| user.as_str()).into(),
        order_type.as_str().into(),
        meta.as_str().into(),
        job.charge.secrets.into(),
        job.charge.containers.into(),
        job.request_id.as_str().into(),
        job.last_attempt.into(),
        job.next_attempt_at.trunc_subsecs(6).into(),
        job.deadline_at.trunc_subsecs(6).into(),
        created_at.trunc_subsecs(6).into(),
        job.certificate.as_deref().into(),
    ];
    tx.execute_raw(INSERT.with(tx, values)).await.explain("insert order")?;
    counter::add(tx, project, RESOURCE, 1).await?;
    queue::wake(tx).await
}

const FIND: Sql = Sql::both(concat!("SELECT ", order_columns!(), " FROM orders WHERE id = $1 AND project = $2"));

/// The order with this id, if it is the project's.
///
/// # Errors
/// `Unavailable`.
pub async fn find<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    id: OrderId,
) -> Result<Option<Order>, Error> {
    let row = connection.query_one_raw(FIND.with(connection, [id.uuid().into(), project.as_str().into()])).await;
    row.and_then(|row| row.map(|row| read(&mut Cells::of(&row))).transpose()).explain("find order")
}

const FIND_JOB: Sql = Sql::both(concat!("SELECT ", job_columns!(), " FROM orders WHERE id = $1"));

/// The order with this id, of whatever project: for operators, and for who claimed it.
///
/// # Errors
/// `Unavailable`.
pub async fn find_job<C: ConnectionTrait>(connection: &C, id: OrderId) -> Result<Option<Job>, Error> {
    let row = connection.query_one_raw(FIND_JOB.with(connection, [id.uuid().into()])).await;
    row.and_then(|row| row.as_ref().map(read_job).transpose()).explain("find order")
}
