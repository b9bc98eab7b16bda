//! The secrets that CAs' own keys are payloads of.

use bailey_core::ids::{CaId, SecretId};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::ConnectionTrait;
use sea_orm::prelude::Uuid;

const FIND: Sql = Sql::both("SELECT secret_id FROM ca_keys WHERE ca_id = $1 AND name = $2");
const KEEP: Sql = Sql::both(
    "INSERT INTO ca_keys (ca_id, name, secret_id, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
);
const FORGET: Sql = Sql::both("DELETE FROM ca_keys WHERE ca_id = $1 AND name = $2");

/// The secret of a CA's key.
///
/// # Errors
/// `Unavailable`.
pub async fn find_key<C: ConnectionTrait>(connection: &C, ca: CaId, name: &str) -> Result<Option<SecretId>, Error> {
    let row = connection.query_one_raw(FIND.with(connection, [ca.uuid().into(), name.into()])).await;
    let row = row.explain("find CA key")?;
    let id: Option<Uuid> = row.map(|row| Cells::of(&row).take()).transpose().explain("find CA key")?;
    Ok(id.map(SecretId::from))
}

/// Names the secret of a CA's key; whether there was none before.
///
/// # Errors
/// `Unavailable`.
pub async fn keep_key<C: ConnectionTrait>(
    tx: &C,
    ca: CaId,
    name: &str,
    secret: SecretId,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let values = [ca.uuid().into(), name.into(), secret.uuid().into(), now.trunc_subsecs(6).into()];
    let kept = tx.execute_raw(KEEP.with(tx, values)).await.explain("keep CA key")?;
    Ok(kept.rows_affected() > 0)
}

/// Forgets which secret a CA's key is.
///
/// # Errors
/// `Unavailable`.
pub async fn forget_key<C: ConnectionTrait>(tx: &C, ca: CaId, name: &str) -> Result<(), Error> {
    tx.execute_raw(FORGET.with(tx, [ca.uuid().into(), name.into()])).await.explain("forget CA key")?;
    Ok(())
}
