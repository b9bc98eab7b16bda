//! Certificate authorities: who prefers which, and what a CA of Bailey's own must not forget.

use bailey_core::ca::Revoked;
use bailey_core::ids::{CaId, ProjectId};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::prelude::DateTimeUtc;
use sea_orm::{ConnectionTrait, EntityTrait};

use crate::entity::preferred_cas::Entity;

/// Stands for all projects where there is one in the table of preferences: no project's id is blank.
const EVERYBODY: &str = "";

/// The CA that a project prefers; of no project, what all prefer that prefer none themselves.
///
/// # Errors
/// `Unavailable`.
pub async fn preferred<C: ConnectionTrait>(connection: &C, project: Option<&ProjectId>) -> Result<Option<CaId>, Error> {
    let key = project.map_or(EVERYBODY, |project| project.as_str());
    let row = Entity::find_by_id(key).one(connection).await.explain("find preferred CA")?;
    Ok(row.map(|row| row.ca_id.into()))
}

const PREFER: Sql = Sql::both(
    "INSERT INTO preferred_cas (project, ca_id, updated_at) VALUES ($1, $2, $3) \
     ON CONFLICT (project) DO UPDATE SET ca_id = excluded.ca_id, updated_at = excluded.updated_at",
);
const PREFER_NONE: Sql = Sql::both("DELETE FROM preferred_cas WHERE project = $1");

/// Makes a project prefer a CA, or all.
///
/// # Errors
/// `Unavailable`.
pub async fn prefer<C: ConnectionTrait>(
    tx: &C,
    project: Option<&ProjectId>,
    ca: CaId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let key = project.map_or(EVERYBODY, |project| project.as_str());
    let values = [key.into(), ca.uuid().into(), now.trunc_subsecs(6).into()];
    tx.execute_raw(PREFER.with(tx, values)).await.explain("prefer CA")?;
    Ok(())
}

/// Makes a project, or all, prefer none; whether there was one.
///
/// # Errors
/// `Unavailable`.
pub async fn prefer_none<C: ConnectionTrait>(tx: &C, project: Option<&ProjectId>) -> Result<bool, Error> {
    let key = project.map_or(EVERYBODY, |project| project.as_str());
    let deleted = tx.execute_raw(PREFER_NONE.with(tx, [key.into()])).await.explain("prefer no CA")?;
    Ok(deleted.rows_affected() > 0)
}

const REVOKE: Sql = Sql::both(
    "INSERT INTO ca_revocations (ca_id, serial, reason, revoked_at, expires_at) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (ca_id, serial) DO NOTHING",
);

/// Enters a revocation. Of several for one serial number the first stands.
///
/// # Errors
/// `Unavailable`.
pub async fn revoke<C: ConnectionTrait>(tx: &C, ca: CaId, revoked: &Revoked) -> Result<(), Error> {
    let values = [
        ca.uuid().into(),
        revoked.serial.clone().into(),
        revoked.reason.as_str().into(),
        revoked.revoked_at.trunc_subsecs(6).into(),
        revoked.expires_at.trunc_subsecs(6).into(),
    ];
    tx.execute_raw(REVOKE.with(tx, values)).await.explain("revoke certificate")?;
    Ok(())
}

const NEXT_LIST: Sql = Sql::both(
    "INSERT INTO ca_lists (ca_id, number) VALUES ($1, 1) \
     ON CONFLICT (ca_id) DO UPDATE SET number = ca_lists.number + 1 RETURNING number",
);
const REVOKED: Sql = Sql::both(
    "SELECT serial, reason, revoked_at, expires_at FROM ca_revocations WHERE ca_id = $1 AND expires_at > $2 \
     ORDER BY serial",
);

/// What was revoked and has not expired, with the number of the list that tells of it.
///
/// The number is drawn first: whoever draws the next one waits for this transaction, and sees at least as much.
///
/// # Errors
/// `Unavailable`.
pub async fn next_list<C: ConnectionTrait>(tx: &C, ca: CaId, now: DateTime<Utc>) -> Result<(u64, Vec<Revoked>), Error> {
    let row = tx.query_one_raw(NEXT_LIST.with(tx, [ca.uuid().into()])).await.explain("number CRL")?;
    let number: i64 = row.map_or(Ok(0), |row| Cells::of(&row).take()).explain("number CRL")?;
    let rows = tx.query_all_raw(REVOKED.with(tx, [ca.uuid().into(), now.trunc_subsecs(6).into()])).await;
    let read = |row| {
        let mut cells = Cells::of(row);
        Ok(Revoked {
            serial: cells.take()?,
            reason: cells.parse()?,
            revoked_at: cells.take::<DateTimeUtc>()?,
            expires_at: cells.take::<DateTimeUtc>()?,
        })
    };
    let revoked = rows.explain("list revocations")?.iter().map(read).collect::<Result<_, _>>();
    Ok((u64::try_from(number).unwrap_or_default(), revoked.explain("list revocations")?))
}
