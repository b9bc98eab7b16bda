//! Lists of containers.

use bailey_core::container::{Container, ContainerFilter, ContainerQuery};
use bailey_core::ids::ProjectId;
use bailey_core::secret::Page;
use bailey_sql::{Error, Explain};
use sea_orm::ConnectionTrait;

use crate::container::{RESOURCE, container_columns, read};
use crate::counter;
use crate::select::{Listed, Select};
use crate::sight::Sight;

const LISTED: Listed = Listed { columns: container_columns!(), table: "containers c", id: "c.id" };

/// A project's containers by creation, without what is in them and who registered, and without private ones
/// out of sight.
///
/// The total is exact. Unfiltered and with all in sight, it comes from the project's counter.
///
/// # Errors
/// `Unavailable`.
pub async fn list<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    query: &ContainerQuery,
    sight: Sight<'_>,
) -> Result<Page<Container>, Error> {
    let ContainerQuery { filter, page } = query;
    let mut select = Select::new(connection, LISTED.table);
    select.when("c.project = ?", project.as_str());
    select.sight("container", "c", sight);
    select.like("c.name", filter.name.as_deref());
    if let Some(container_type) = &filter.container_type {
        select.when("c.container_type = ?", container_type.as_str());
    }
    let total = if *filter == ContainerFilter::default() && sight == Sight::All {
        counter::total(connection, project, RESOURCE).await?
    } else {
        select.count(connection).await.explain("count containers")?
    };
    let order = "c.created_at ASC, c.id ASC";
    let items = select.page(connection, &LISTED, order, *page, read).await.explain("list containers")?;
    Ok(Page { items, total })
}
