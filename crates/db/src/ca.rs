//! Certificate authorities: who prefers which, and what a CA of Bailey's own must not forget.

mod challenge;
mod choice;
mod configured;
mod key;
mod ledger;
mod registry;

use bailey_core::ids::{CaId, ProjectId};
use bailey_sql::{Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, EntityTrait};

pub use challenge::{CaChallenges, find_challenge};
pub use choice::{Choice, choice, choose, dismiss, has_chosen, has_chosen_any, lock, projects};
pub use configured::{Configured, find_below, register};
pub use key::{find_key, forget_key, keep_key};
pub use ledger::CaLedger;
pub use registry::{Scope, delete, find, has_below, insert, list, lowest};

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
