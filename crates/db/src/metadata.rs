//! User metadata of secrets.

use bailey_core::ids::{ProjectId, SecretId};
use bailey_core::secret::{Metadatum, UserMetadata};
use bailey_sql::{Cells, Error, ErrorKind, Explain, Sql};
use sea_orm::{ConnectionTrait, EntityTrait, Set};

use crate::entity::secret_metadata::{ActiveModel, Entity};
use crate::secret::lock;

macro_rules! of_secret {
    () => {
        "secret_id = (SELECT s.id FROM secrets s WHERE s.id = $1 AND s.project = $2)"
    };
}

const LIST: Sql = Sql::both(concat!("SELECT key, value FROM secret_metadata WHERE ", of_secret!()));
const GET: Sql = Sql::both(concat!("SELECT key, value FROM secret_metadata WHERE ", of_secret!(), " AND key = $3"));
const UPDATE: Sql = Sql::both(concat!("UPDATE secret_metadata SET value = $4 WHERE ", of_secret!(), " AND key = $3"));
const DELETE: Sql = Sql::both(concat!("DELETE FROM secret_metadata WHERE ", of_secret!(), " AND key = $3"));
const CLEAR: Sql = Sql::both("DELETE FROM secret_metadata WHERE secret_id = $1");

/// All metadata of a secret; empty if there is no such secret in the project.
///
/// # Errors
/// `Unavailable`.
pub async fn list<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    secret: SecretId,
) -> Result<UserMetadata, Error> {
    let query = LIST.with(connection, [secret.uuid().into(), project.as_str().into()]);
    let rows = connection.query_all_raw(query).await.explain("list metadata")?;
    let pair = |row| {
        let mut cells = Cells::of(row);
        Ok((cells.take()?, cells.take()?))
    };
    rows.iter().map(pair).collect::<Result<_, _>>().explain("list metadata")
}

/// One key and its value, if it is there.
///
/// # Errors
/// `Unavailable`.
pub async fn get<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    secret: SecretId,
    key: &str,
) -> Result<Option<Metadatum>, Error> {
    let query = GET.with(connection, [secret.uuid().into(), project.as_str().into(), key.into()]);
    let row = connection.query_one_raw(query).await.explain("get metadatum")?;
    let read = |row| {
        let mut cells = Cells::of(row);
        Ok(Metadatum { key: cells.take()?, value: cells.take()? })
    };
    row.as_ref().map(read).transpose().explain("get metadatum")
}

/// Rows of one statement: both engines limit its parameters, SQLite to 32,766.
const ROWS_AT_ONCE: usize = 1_000;

/// Replaces all metadata of a secret.
///
/// # Errors
/// `NotFound` if there is no such secret in the project; `Unavailable`.
pub async fn replace<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    secret: SecretId,
    metadata: &UserMetadata,
) -> Result<(), Error> {
    hold(tx, project, secret).await?;
    tx.execute_raw(CLEAR.with(tx, [secret.uuid().into()])).await.explain("clear metadata")?;
    let rows: Vec<_> = metadata.iter().map(|(key, value)| row(secret, key, value)).collect();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        Entity::insert_many(rows.to_vec()).exec_without_returning(tx).await.explain("replace metadata")?;
    }
    Ok(())
}

/// Adds one key.
///
/// # Errors
/// `Conflict` if the key is there already; `NotFound` if there is no such secret in the project;
/// `Unavailable`.
pub async fn insert<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    secret: SecretId,
    metadatum: &Metadatum,
) -> Result<(), Error> {
    hold(tx, project, secret).await?;
    let row = row(secret, &metadatum.key, &metadatum.value);
    Entity::insert(row).exec_without_returning(tx).await.explain("insert metadatum")?;
    Ok(())
}

/// Changes the value of a key; whether it was there.
///
/// # Errors
/// `Unavailable`.
pub async fn update<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    secret: SecretId,
    metadatum: &Metadatum,
) -> Result<bool, Error> {
    let Metadatum { key, value } = metadatum;
    let values = [secret.uuid().into(), project.as_str().into(), key.as_str().into(), value.as_str().into()];
    let updated = tx.execute_raw(UPDATE.with(tx, values)).await.explain("update metadatum")?;
    Ok(updated.rows_affected() > 0)
}

/// Removes a key; whether it was there.
///
/// # Errors
/// `Unavailable`.
pub async fn delete<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    secret: SecretId,
    key: &str,
) -> Result<bool, Error> {
    let values = [secret.uuid().into(), project.as_str().into(), key.into()];
    let deleted = tx.execute_raw(DELETE.with(tx, values)).await.explain("delete metadatum")?;
    Ok(deleted.rows_affected() > 0)
}

/// Without it, two who replace the metadata at once would leave both sets.
async fn hold<C: ConnectionTrait>(tx: &C, project: &ProjectId, secret: SecretId) -> Result<(), Error> {
    if lock(tx, project, secret).await? { Ok(()) } else { Err(Error::new(ErrorKind::NotFound, "hold secret", "")) }
}

fn row(secret: SecretId, key: &str, value: &str) -> ActiveModel {
    ActiveModel { secret_id: Set(secret.uuid()), key: Set(key.to_owned()), value: Set(value.to_owned()) }
}
