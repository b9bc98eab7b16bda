//! Consumers of secrets and of containers.

mod registration;

use std::collections::HashMap;

use bailey_core::consumer::{ContainerConsumer, SecretConsumer};
use bailey_core::ids::{ContainerId, ProjectId, SecretId};
use bailey_sql::{Error, Explain, Sql, parse};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};

use crate::entity::container_consumers;
use crate::entity::secret_consumers::{Column, Entity, Model};

pub use registration::{Consumed, Removal, Used, add, list, remove};

/// The consumers of these secrets, each list by creation. Whether the caller may see the secrets has
/// been decided where their ids came from.
///
/// # Errors
/// `Unavailable`.
pub async fn of_secrets<C: ConnectionTrait>(
    connection: &C,
    secrets: &[SecretId],
) -> Result<HashMap<SecretId, Vec<SecretConsumer>>, Error> {
    if secrets.is_empty() {
        return Ok(HashMap::new());
    }
    let query = Entity::find()
        .filter(Column::SecretId.is_in(secrets.iter().map(|id| id.uuid())))
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id);
    let rows = query.all(connection).await.explain("list consumers")?;
    let mut consumers: HashMap<SecretId, Vec<SecretConsumer>> = HashMap::new();
    for row in rows {
        let (secret, consumer) = read(row).explain("list consumers")?;
        consumers.entry(secret).or_default().push(consumer);
    }
    Ok(consumers)
}

fn read(row: Model) -> Result<(SecretId, SecretConsumer), DbErr> {
    let consumer = SecretConsumer {
        project: parse(&row.project)?,
        service: row.service,
        resource_type: row.resource_type,
        resource_id: row.resource_id,
        created_at: row.created_at,
        updated_at: row.updated_at,
    };
    Ok((row.secret_id.into(), consumer))
}

/// The consumers of these containers, each list by name and URL. Whether the caller may see the containers
/// has been decided where their ids came from.
///
/// # Errors
/// `Unavailable`.
pub async fn of_containers<C: ConnectionTrait>(
    connection: &C,
    containers: &[ContainerId],
) -> Result<HashMap<ContainerId, Vec<ContainerConsumer>>, Error> {
    use container_consumers::{Column, Entity};
    let mut consumers: HashMap<ContainerId, Vec<ContainerConsumer>> = HashMap::new();
    if containers.is_empty() {
        return Ok(consumers);
    }
    let query = Entity::find()
        .filter(Column::ContainerId.is_in(containers.iter().map(|id| id.uuid())))
        .order_by_asc(Column::Name)
        .order_by_asc(Column::Url);
    for row in query.all(connection).await.explain("list consumers")? {
        let container = row.container_id.into();
        let consumer = read_container_consumer(row).explain("list consumers")?;
        consumers.entry(container).or_default().push(consumer);
    }
    Ok(consumers)
}

fn read_container_consumer(row: container_consumers::Model) -> Result<ContainerConsumer, DbErr> {
    let container_consumers::Model { name, url, created_at, updated_at, .. } = row;
    Ok(ContainerConsumer { project: parse(&row.project)?, name, url, created_at, updated_at })
}

const EXIST: Sql = Sql::both(
    "SELECT 1 FROM secret_consumers c JOIN secrets s ON s.id = c.secret_id \
     WHERE s.id = $1 AND s.project = $2 LIMIT 1",
);

/// Whether anyone, of whatever project, registered with this project's secret.
///
/// # Errors
/// `Unavailable`.
pub async fn exist<C: ConnectionTrait>(connection: &C, project: &ProjectId, secret: SecretId) -> Result<bool, Error> {
    let question = EXIST.with(connection, [secret.uuid().into(), project.as_str().into()]);
    Ok(connection.query_one_raw(question).await.explain("look for consumers")?.is_some())
}
