//! What a request is about: everything the policy and the use case need to know, in one query.

use bailey_core::container::Container;
use bailey_core::ids::{ContainerId, SecretId, UserId};
use bailey_core::secret::Secret;
use bailey_sql::{Cells, Error, Explain, Sql, parse};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use crate::container::{self, container_columns};
use crate::placement::{self, Placement};
use crate::secret::{self, secret_columns};

/// A secret with all that decides about access to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretTarget {
    /// The secret, without its consumers.
    pub secret: Secret,
    /// Where its payload lies, if it has one.
    pub placement: Option<Placement>,
    /// Its ACL for reading, if one was set.
    pub access: Option<Access>,
}

/// A container with all that decides about access to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerTarget {
    /// The container, without what is in it and who registered.
    pub container: Container,
    /// Its ACL for reading, if one was set.
    pub access: Option<Access>,
}

/// What an ACL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Whether the project's members may read.
    pub project_access: bool,
    /// Who may read beside them.
    pub readers: Vec<UserId>,
}

/// `columns` of the row in `table`, called `name`, that has an id, with its ACL for reading.
macro_rules! find {
    ($columns:expr, $table:literal, $name:literal, $kind:literal, $aggregate:literal) => {
        concat!(
            "SELECT ",
            $columns,
            ", a.project_access, CASE WHEN a.project_access IS NOT NULL THEN (SELECT ",
            $aggregate,
            " FROM acl_users u WHERE u.entity_id = ",
            $name,
            ".id AND u.entity_kind = '",
            $kind,
            "' AND u.operation = 'read') END FROM ",
            $table,
            " ",
            $name,
            " LEFT JOIN acls a ON a.entity_id = ",
            $name,
            ".id AND a.entity_kind = '",
            $kind,
            "' AND a.operation = 'read' WHERE ",
            $name,
            ".id = $1"
        )
    };
}
macro_rules! find_secret {
    ($aggregate:literal) => {
        find!(
            concat!(secret_columns!(), ", s.write_id, s.store_id, s.reference, s.reference_key"),
            "secrets",
            "s",
            "secret",
            $aggregate
        )
    };
}
macro_rules! find_container {
    ($aggregate:literal) => {
        find!(container_columns!(), "containers", "c", "container", $aggregate)
    };
}

const FIND_SECRET: Sql = Sql {
    sqlite: find_secret!("json_group_array(u.user_id)"),
    postgres: find_secret!("CAST(json_agg(u.user_id) AS text)"),
};
const FIND_CONTAINER: Sql = Sql {
    sqlite: find_container!("json_group_array(u.user_id)"),
    postgres: find_container!("CAST(json_agg(u.user_id) AS text)"),
};

/// The secret with this id, of whatever project, expired or not.
///
/// It doesn't ask for the project on purpose: whether the caller may see the secret is the policy's
/// decision, which needs what this returns. Whoever calls it decides next; an expired secret counts as
/// absent for everything but its deletion.
///
/// # Errors
/// `Unavailable`.
pub async fn find_secret<C: ConnectionTrait>(connection: &C, id: SecretId) -> Result<Option<SecretTarget>, Error> {
    let row = connection.query_one_raw(FIND_SECRET.with(connection, [id.uuid().into()])).await;
    row.and_then(|row| row.as_ref().map(read).transpose()).explain("find secret")
}

fn read(row: &QueryResult) -> Result<SecretTarget, DbErr> {
    let mut cells = Cells::of(row);
    let secret = secret::read(&mut cells)?;
    let placement = placement::read(&mut cells, secret.content_type)?;
    Ok(SecretTarget { secret, placement, access: read_access(&mut cells)? })
}

/// The container with this id, of whatever project: for the policy to decide, as [`find_secret`].
///
/// # Errors
/// `Unavailable`.
pub async fn find_container<C: ConnectionTrait>(
    connection: &C,
    id: ContainerId,
) -> Result<Option<ContainerTarget>, Error> {
    let row = connection.query_one_raw(FIND_CONTAINER.with(connection, [id.uuid().into()])).await;
    row.and_then(|row| row.as_ref().map(read_container).transpose()).explain("find container")
}

fn read_container(row: &QueryResult) -> Result<ContainerTarget, DbErr> {
    let mut cells = Cells::of(row);
    Ok(ContainerTarget { container: container::read(&mut cells)?, access: read_access(&mut cells)? })
}

fn read_access(cells: &mut Cells<'_>) -> Result<Option<Access>, DbErr> {
    let project_access = cells.take::<Option<bool>>()?;
    let readers = cells.take::<Option<String>>()?;
    Ok(match project_access {
        None => None,
        Some(project_access) => Some(Access { project_access, readers: read_users(readers.as_deref())? }),
    })
}

pub(crate) fn read_users(json: Option<&str>) -> Result<Vec<UserId>, DbErr> {
    let users: Vec<String> = match json {
        None | Some("[]") => return Ok(Vec::new()),
        Some(json) => serde_json::from_str(json).map_err(|error| DbErr::Json(error.to_string()))?,
    };
    users.iter().map(|user| parse(user)).collect()
}
