//! How many of its resources a project has, without counting them.

use std::hash::{BuildHasher, Hasher, RandomState};

use bailey_core::ids::ProjectId;
use bailey_sql::{Error, Explain, Sql};
use sea_orm::ConnectionTrait;

use crate::select;

/// Rows over which one count is spread: one row would make all inserts wait for each other.
const SLOTS: u8 = 16;

const ADD: Sql = Sql::both(
    "INSERT INTO project_counters (project, resource, slot, live) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (project, resource, slot) DO UPDATE SET live = project_counters.live + excluded.live",
);
const TOTAL: Sql = Sql::both(
    "SELECT CAST(COALESCE(SUM(live), 0) AS bigint) FROM project_counters WHERE project = $1 AND resource = $2",
);

/// A row to count in.
pub(crate) fn slot() -> i32 {
    let random = RandomState::new().build_hasher().finish() % u64::from(SLOTS);
    i32::try_from(random).unwrap_or_default()
}

/// Counts `change` more of `resource`.
pub(crate) async fn add<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    resource: &'static str,
    change: i64,
) -> Result<(), Error> {
    let values = [project.as_str().into(), resource.into(), slot().into(), change.into()];
    tx.execute_raw(ADD.with(tx, values)).await.explain("count resource")?;
    Ok(())
}

/// How many of `resource` there are.
pub(crate) async fn total<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    resource: &'static str,
) -> Result<u64, Error> {
    let statement = TOTAL.with(connection, [project.as_str().into(), resource.into()]);
    select::total(connection, statement).await.explain("read count")
}
