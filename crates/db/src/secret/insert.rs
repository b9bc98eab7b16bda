//! Inserting.

use bailey_core::secret::Secret;
use bailey_sql::{Db, Error, ErrorKind, Explain, Sql};
use chrono::SubsecRound;
use sea_orm::{ConnectionTrait, Value};

use crate::counter::slot;
use crate::placement::{self, Placement};
use crate::reference_key::{not_retired, retired};

macro_rules! insert_secret {
    ($from:expr) => {
        concat!(
            "INSERT INTO secrets (id, project, creator, name, secret_type, algorithm, bit_length, mode, expires_at, \
             created_at, updated_at, write_id, store_id, reference, reference_key, content_type) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16 ",
            $from
        )
    };
}
macro_rules! count_one {
    ($engine:ident, $from:expr) => {
        concat!(
            "INSERT INTO project_counters (project, resource, slot, live) SELECT $2, 'secret', ",
            slot!($engine),
            ", 1 ",
            $from,
            " ON CONFLICT (project, resource, slot) DO UPDATE SET live = project_counters.live + 1"
        )
    };
}
macro_rules! insert_write {
    ($from:expr) => {
        concat!("INSERT INTO writes (write_id, state) SELECT $12, 'live' ", $from)
    };
}
/// What must hold for an insertion: SQLite asks in each statement, PostgreSQL once, in `ok`.
macro_rules! if_current {
    () => {
        concat!("WHERE ", not_retired!("$15"))
    };
}
/// What must hold where nobody has looked for room.
macro_rules! if_unlimited {
    () => {
        concat!(if_current!(), " AND NOT EXISTS (SELECT 1 FROM project_quotas WHERE project = $2 AND secrets >= 0)")
    };
}
macro_rules! placed {
    ($condition:expr) => {
        Sql {
            sqlite: concat!(
                insert_write!($condition),
                "; ",
                insert_secret!($condition),
                "; ",
                count_one!(sqlite, $condition)
            ),
            postgres: concat!(
                "WITH ok AS (SELECT 1 ",
                $condition,
                "), w AS (",
                insert_write!("FROM ok"),
                "), c AS (",
                count_one!(postgres, "FROM ok"),
                ") ",
                insert_secret!("FROM ok")
            ),
        }
    };
}
macro_rules! empty {
    ($condition:expr) => {
        Sql {
            sqlite: concat!(insert_secret!($condition), "; ", count_one!(sqlite, $condition)),
            postgres: concat!(
                "WITH ok AS (SELECT 1 ",
                $condition,
                "), c AS (",
                count_one!(postgres, "FROM ok"),
                ") ",
                insert_secret!("FROM ok")
            ),
        }
    };
}

const CREATE_PLACED: Sql = placed!(if_unlimited!());
const CREATE_EMPTY: Sql = empty!(if_unlimited!());
const INSERT_PLACED: Sql = placed!(if_current!());
const INSERT_EMPTY: Sql = empty!(if_current!());

/// What became of a creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Created {
    /// The secret is there.
    Yes,
    /// Nothing is: the project's secrets are limited, or the version of the worker key that its reference is
    /// sealed under was given up. Which one, a transaction finds out.
    Refused,
}

/// Inserts a secret in a transaction of its own, with its payload's placement if it has a payload. Its
/// `content_type` and `consumers` are not looked at.
///
/// # Errors
/// `Condemned` if the write was condemned meanwhile. `Unavailable`, also when it is not known whether it
/// was committed.
pub async fn create(db: &Db, secret: &Secret, placement: Option<&Placement>) -> Result<Created, Error> {
    let sql = if placement.is_some() { CREATE_PLACED } else { CREATE_EMPTY };
    let values = insertion(secret, placement);
    let rows = db.execute("insert secret", &sql, values).await.map_err(condemned)?;
    Ok(if rows == 0 { Created::Refused } else { Created::Yes })
}

/// Inserts a secret as [`create`] does, together with whatever else the transaction does. Room for it has been
/// reserved, or is no matter.
///
/// # Errors
/// `Condemned` if the write was condemned meanwhile, `Retired` if the version of the worker key was given up:
/// nothing of the transaction may be committed. `Unavailable`.
pub async fn insert<C: ConnectionTrait>(tx: &C, secret: &Secret, placement: Option<&Placement>) -> Result<(), Error> {
    let sql = if placement.is_some() { INSERT_PLACED } else { INSERT_EMPTY };
    let values = insertion(secret, placement);
    let inserted = tx.execute_raw(sql.with(tx, values)).await.explain("insert secret").map_err(condemned)?;
    if inserted.rows_affected() == 0 { Err(retired("insert secret")) } else { Ok(()) }
}

fn insertion(secret: &Secret, placement: Option<&Placement>) -> impl Iterator<Item = Value> + use<> {
    let key: [Value; 2] = [secret.id.uuid().into(), secret.project.as_str().into()];
    key.into_iter().chain(values(secret)).chain(placement::values(placement))
}

/// Values for `creator, name, secret_type, algorithm, bit_length, mode, expires_at, created_at, updated_at`.
pub(crate) fn values(secret: &Secret) -> [Value; 9] {
    [
        secret.creator.as_ref().map(|user| user.as_str()).into(),
        secret.name.as_deref().into(),
        secret.secret_type.as_str().into(),
        secret.spec.algorithm.as_deref().into(),
        secret.spec.bit_length.into(),
        secret.spec.mode.as_deref().into(),
        secret.expires_at.map(|time| time.trunc_subsecs(6)).into(),
        secret.created_at.trunc_subsecs(6).into(),
        secret.updated_at.trunc_subsecs(6).into(),
    ]
}

/// Ids are fresh, so all that can be there already is the write, condemned.
pub(crate) fn condemned(error: Error) -> Error {
    match error.kind {
        ErrorKind::Conflict => Error { kind: ErrorKind::Condemned, ..error },
        _ => error,
    }
}
