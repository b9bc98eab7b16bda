//! Registering, ending a registration, and lists: one piece of code for the consumers of secrets and of
//! containers.

use bailey_core::consumer::{ContainerConsumer, ContainerUse, SecretConsumer, SecretUse};
use bailey_core::ids::{ContainerId, EntityId, ProjectId, SecretId};
use bailey_core::secret::{Page, PageRequest};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbErr, Value};

use crate::owned::{hold, touch};

/// The id of something that has consumers.
pub trait Consumed: Into<EntityId> + Copy + Send + Sync + 'static {
    /// What a consumer says of itself.
    type Use: Clone + Send + Sync + 'static;
    /// A registration as it is told.
    type Consumer: Send;

    #[doc(hidden)]
    const STATEMENTS: &'static Statements;
    #[doc(hidden)]
    fn values(usage: &Self::Use) -> Vec<Value>;
    #[doc(hidden)]
    fn read(cells: &mut Cells<'_>) -> Result<Self::Consumer, DbErr>;
}

/// `$1` is the entity, `$2` a project; what tells one entity's registrations apart begins at `$3`, and what
/// remains follows it.
#[doc(hidden)]
#[derive(Debug)]
pub struct Statements {
    insert: &'static str,
    find: &'static str,
    delete: &'static str,
    count: &'static str,
    list: &'static str,
}

impl Consumed for SecretId {
    type Use = SecretUse;
    type Consumer = SecretConsumer;

    const STATEMENTS: &'static Statements = &Statements {
        insert: "INSERT INTO secret_consumers (id, secret_id, project, service, resource_type, resource_id, \
                 created_at, updated_at) VALUES ($6, $1, $2, $3, $4, $5, $7, $7) ON CONFLICT DO NOTHING",
        find: "SELECT c.project FROM secret_consumers c JOIN secrets e ON e.id = c.secret_id \
               WHERE e.id = $1 AND e.project = $2 AND service = $3 AND resource_type = $4 AND resource_id = $5",
        delete: "DELETE FROM secret_consumers WHERE secret_id = $1 AND project = $2 \
                 AND service = $3 AND resource_type = $4 AND resource_id = $5",
        count: "SELECT COUNT(*) FROM secret_consumers c JOIN secrets e ON e.id = c.secret_id \
                WHERE e.id = $1 AND e.project = $2",
        list: "SELECT c.project, c.created_at, c.updated_at, service, resource_type, resource_id \
               FROM secret_consumers c JOIN secrets e ON e.id = c.secret_id \
               WHERE e.id = $1 AND e.project = $2 ORDER BY c.created_at, c.id LIMIT $3 OFFSET $4",
    };

    fn values(usage: &SecretUse) -> Vec<Value> {
        let SecretUse { service, resource_type, resource_id } = usage;
        vec![service.as_str().into(), resource_type.as_str().into(), resource_id.as_str().into()]
    }

    fn read(cells: &mut Cells<'_>) -> Result<SecretConsumer, DbErr> {
        Ok(SecretConsumer {
            project: cells.parse()?,
            created_at: cells.take()?,
            updated_at: cells.take()?,
            service: cells.take()?,
            resource_type: cells.take()?,
            resource_id: cells.take()?,
        })
    }
}

impl Consumed for ContainerId {
    type Use = ContainerUse;
    type Consumer = ContainerConsumer;

    const STATEMENTS: &'static Statements = &Statements {
        insert: "INSERT INTO container_consumers (id, container_id, project, name, url, created_at, updated_at) \
                 VALUES ($5, $1, $2, $3, $4, $6, $6) ON CONFLICT DO NOTHING",
        find: "SELECT c.project FROM container_consumers c JOIN containers e ON e.id = c.container_id \
               WHERE e.id = $1 AND e.project = $2 AND c.name = $3 AND c.url = $4",
        delete: "DELETE FROM container_consumers WHERE container_id = $1 AND project = $2 AND name = $3 AND url = $4",
        count: "SELECT COUNT(*) FROM container_consumers c JOIN containers e ON e.id = c.container_id \
                WHERE e.id = $1 AND e.project = $2",
        list: "SELECT c.project, c.created_at, c.updated_at, c.name, c.url \
               FROM container_consumers c JOIN containers e ON e.id = c.container_id \
               WHERE e.id = $1 AND e.project = $2 ORDER BY c.name, c.url LIMIT $3 OFFSET $4",
    };

    fn values(usage: &ContainerUse) -> Vec<Value> {
        vec![usage.name.as_str().into(), usage.url.as_str().into()]
    }

    fn read(cells: &mut Cells<'_>) -> Result<ContainerConsumer, DbErr> {
        Ok(ContainerConsumer {
            project: cells.parse()?,
            created_at: cells.take()?,
            updated_at: cells.take()?,
            name: cells.take()?,
            url: cells.take()?,
        })
    }
}

/// Something in a project that has consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used<E> {
    /// Its id.
    pub entity: E,
    /// The project that owns it.
    pub project: ProjectId,
}

impl<E: Consumed> Used<E> {
    /// The entity, `project`, and what comes after them.
    fn values(&self, project: &ProjectId, others: impl IntoIterator<Item = Value>) -> impl Iterator<Item = Value> {
        let entity: EntityId = self.entity.into();
        [entity.uuid().into(), project.as_str().into()].into_iter().chain(others)
    }
}

/// Registers a consumer for the project `by`; whether it was not registered yet, by whomever.
///
/// # Errors
/// `NotFound` if there is no such entity in its project; `Unavailable`.
pub async fn add<C: ConnectionTrait, E: Consumed>(
    tx: &C,
    used: &Used<E>,
    usage: &E::Use,
    by: &ProjectId,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    hold(tx, &used.project, used.entity.into()).await?;
    let rest = [Uuid::now_v7().into(), now.trunc_subsecs(6).into()];
    let values = used.values(by, E::values(usage).into_iter().chain(rest));
    let added = tx.execute_raw(Sql::both(E::STATEMENTS.insert).with(tx, values)).await.explain("insert consumer")?;
    if added.rows_affected() == 0 {
        return Ok(false);
    }
    touch(tx, &used.project, used.entity.into(), now).await?;
    Ok(true)
}

/// What became of a registration that was to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is no more.
    Removed,
    /// There is none.
    Missing,
    /// Another project registered it.
    NotTheirs,
}

/// Ends a registration for the project `by`, which must have made it or own what is used.
///
/// # Errors
/// `Unavailable`.
pub async fn remove<C: ConnectionTrait, E: Consumed>(
    tx: &C,
    used: &Used<E>,
    usage: &E::Use,
    by: &ProjectId,
) -> Result<Removal, Error> {
    let question = Sql::both(E::STATEMENTS.find).with(tx, used.values(&used.project, E::values(usage)));
    let row = tx.query_one_raw(question).await.explain("find consumer")?;
    let registrant = row.map(|row| Cells::of(&row).parse::<ProjectId>()).transpose().explain("find consumer")?;
    let Some(registrant) = registrant else { return Ok(Removal::Missing) };
    if registrant != *by && used.project != *by {
        return Ok(Removal::NotTheirs);
    }
    let delete = Sql::both(E::STATEMENTS.delete).with(tx, used.values(&registrant, E::values(usage)));
    let deleted = tx.execute_raw(delete).await.explain("delete consumer")?;
    Ok(if deleted.rows_affected() == 0 { Removal::Missing } else { Removal::Removed })
}

/// Some of those who registered: with a secret in the order in which they came, with a container by name.
///
/// # Errors
/// `Unavailable`.
pub async fn list<C: ConnectionTrait, E: Consumed>(
    connection: &C,
    used: &Used<E>,
    page: PageRequest,
) -> Result<Page<E::Consumer>, Error> {
    let count = Sql::both(E::STATEMENTS.count).with(connection, used.values(&used.project, []));
    let row = connection.query_one_raw(count).await.explain("count consumers")?;
    let total: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0)).explain("count consumers")?;
    let bounded = |number: u64| Value::from(i64::try_from(number).unwrap_or(i64::MAX));
    let part = [bounded(page.limit), bounded(page.offset)];
    let list = Sql::both(E::STATEMENTS.list).with(connection, used.values(&used.project, part));
    let rows = connection.query_all_raw(list).await.explain("list consumers")?;
    let items = rows.iter().map(|row| E::read(&mut Cells::of(row))).collect::<Result<_, _>>();
    Ok(Page { items: items.explain("list consumers")?, total: u64::try_from(total).unwrap_or_default() })
}
