//! Secrets: rows, lists, and what changes them.

mod change;
mod hold;
mod insert;
mod list;

use bailey_core::ids::{ProjectId, SecretId};
use bailey_core::secret::Secret;
use bailey_core::spec::{SecretType, Spec};
use bailey_sql::{Cells, Error, Explain, Sql};
use sea_orm::prelude::{DateTimeUtc, Uuid};
use sea_orm::{ConnectionTrait, DbErr};

pub use change::{delete, place, replace, reseal};
pub use hold::hold;
pub use insert::{Created, create, insert};
pub(crate) use insert::{condemned, values};
pub use list::{list, list_readable};

/// The columns that [`read`] expects, of a table called `s`.
macro_rules! secret_columns {
    () => {
        "s.id, s.project, s.creator, s.name, s.secret_type, s.algorithm, s.bit_length, s.mode, s.content_type, \
         s.expires_at, s.created_at, s.updated_at"
    };
}
pub(crate) use secret_columns;

pub(crate) fn read(cells: &mut Cells<'_>) -> Result<Secret, DbErr> {
    Ok(Secret {
        id: cells.take::<Uuid>()?.into(),
        project: cells.parse()?,
        creator: cells.parse_some()?,
        name: cells.take()?,
        secret_type: cells.parse::<SecretType>()?,
        spec: Spec { algorithm: cells.take()?, bit_length: cells.take()?, mode: cells.take()? },
        content_type: cells.parse_some()?,
        expires_at: cells.take::<Option<DateTimeUtc>>()?,
        created_at: cells.take::<DateTimeUtc>()?,
        updated_at: cells.take::<DateTimeUtc>()?,
        consumers: Vec::new(),
    })
}

const LOCK: Sql = Sql {
    sqlite: "SELECT id FROM secrets WHERE id = $1 AND project = $2",
    postgres: "SELECT id FROM secrets WHERE id = $1 AND project = $2 FOR UPDATE",
};

/// Keeps everybody else from changing the secret and what belongs to it until the transaction ends;
/// whether it is there.
///
/// # Errors
/// `Unavailable`.
pub async fn lock<C: ConnectionTrait>(tx: &C, project: &ProjectId, id: SecretId) -> Result<bool, Error> {
    let row = tx.query_one_raw(LOCK.with(tx, [id.uuid().into(), project.as_str().into()])).await;
    Ok(row.explain("lock secret")?.is_some())
}
