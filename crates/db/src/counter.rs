//! How many of its resources a project has, without counting them.

use bailey_core::ids::ProjectId;
use bailey_sql::{Error, Explain, Sql};
use sea_orm::ConnectionTrait;

use crate::select;

/// The row to count in: one row would make all inserts wait for each other. It is the same one for all that a
/// transaction counts, because two that took several rows each would wait for each other for good.
macro_rules! slot {
    (sqlite) => {
        "0"
    };
    (postgres) => {
        "pg_backend_pid() % 16"
    };
}
pub(crate) use slot;

macro_rules! add {
    ($engine:ident) => {
        concat!(
            "INSERT INTO project_counters (project, resource, slot, live) VALUES ($1, $2, ",
            slot!($engine),
            ", $3) ON CONFLICT (project, resource, slot) DO UPDATE SET live = project_counters.live + excluded.live"
        )
    };
}

const ADD: Sql = Sql { sqlite: add!(sqlite), postgres: add!(postgres) };
const TOTAL: Sql = Sql::both(
    "SELECT CAST(COALESCE(SUM(live), 0) AS bigint) FROM project_counters WHERE project = $1 AND resource = $2",
);

/// Counts `change` more of `resource`.
pub(crate) async fn add<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    resource: &'static str,
    change: i64,
) -> Result<(), Error> {
    let values = [project.as_str().into(), resource.into(), change.into()];
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
