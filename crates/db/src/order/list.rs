//! Lists of orders.

use bailey_core::ids::{OrderId, ProjectId};
use bailey_core::order::{Order, OrderQuery, OrderStatus};
use bailey_core::secret::Page;
use bailey_sql::{Error, Explain, Sql};
use sea_orm::ConnectionTrait;
use sea_orm::prelude::Uuid;

use super::{Job, RESOURCE, job_columns, order_columns, read, read_job};
use crate::counter;
use crate::select::{Listed, Select};

const LISTED: Listed = Listed { columns: order_columns!(), table: "orders", id: "id" };

/// A project's orders by creation.
///
/// The total is exact. Unfiltered, it comes from the project's counter.
///
/// # Errors
/// `Unavailable`.
pub async fn list<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    query: &OrderQuery,
) -> Result<Page<Order>, Error> {
    let mut select = Select::new(connection, LISTED.table);
    select.when("project = ?", project.as_str());
    let total = match &query.meta {
        None => counter::total(connection, project, RESOURCE).await?,
        Some(part) => {
            select.contains("meta", part);
            select.count(connection).await.explain("count orders")?
        }
    };
    let order = "created_at ASC, id ASC";
    let items = select.page(connection, &LISTED, order, query.page, read).await.explain("list orders")?;
    Ok(Page { items, total })
}

const LIST_JOBS: Sql = Sql::both(concat!(
    "SELECT ",
    job_columns!(),
    " FROM orders WHERE id > $1 AND (CAST($2 AS text) IS NULL OR project = $2) \
     AND (CAST($3 AS text) IS NULL OR status = $3) ORDER BY id LIMIT $4"
));

/// Up to `limit` orders with ids above `after`, by id, which is by creation: for operators. Of one project
/// and in one status, if these are given.
///
/// # Errors
/// `Unavailable`.
pub async fn list_jobs<C: ConnectionTrait>(
    connection: &C,
    project: Option<&ProjectId>,
    status: Option<OrderStatus>,
    after: Option<OrderId>,
    limit: u64,
) -> Result<Vec<Job>, Error> {
    let values = [
        after.map_or(Uuid::nil(), |id| id.uuid()).into(),
        project.map(|project| project.as_str()).into(),
        status.map(OrderStatus::as_str).into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
    ];
    let rows = connection.query_all_raw(LIST_JOBS.with(connection, values)).await.explain("list orders")?;
    rows.iter().map(read_job).collect::<Result<_, _>>().explain("list orders")
}
