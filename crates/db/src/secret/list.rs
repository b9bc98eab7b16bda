//! Lists: filters, order, pages and totals, alike on both engines.

use bailey_core::ids::{ProjectId, UserId};
use bailey_core::secret::{Comparison, Direction, Page, Secret, SecretFilter, SecretQuery, SecretSortKey, TimeFilter};
use bailey_sql::{Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, DbErr};

use crate::secret::{read, secret_columns};
use crate::select::{self, Listed, Select};
use crate::sight::Sight;

const LISTED: Listed = Listed { columns: secret_columns!(), table: "secrets s", id: "s.id" };

/// A project's secrets, without their consumers; expired ones are not among them, nor private ones out of
/// sight.
///
/// The total is exact. Unfiltered and with all in sight, it comes from the project's counter and costs the same for any
/// number of secrets.
///
/// # Errors
/// `Unavailable`.
pub async fn list<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    query: &SecretQuery,
    sight: Sight<'_>,
    now: DateTime<Utc>,
) -> Result<Page<Secret>, Error> {
    let mut select = Select::new(connection, "secrets s");
    select.when("s.project = ?", project.as_str());
    select.sight("secret", "s", sight);
    filter(&mut select, &query.filter, now);
    let total = if query.filter == SecretFilter::default() && sight == Sight::All {
        count_all(connection, project, now).await.explain("count secrets")?
    } else {
        select.count(connection).await.explain("count secrets")?
    };
    let items =
        select.page(connection, &LISTED, &order(&query.sort), query.page, read).await.explain("list secrets")?;
    Ok(Page { items, total })
}

/// Secrets of whatever project whose ACL names `user` as a reader, without their consumers; expired
/// ones are not among them. The project doesn't matter: the ACL is what gives access.
///
/// # Errors
/// `Unavailable`.
pub async fn list_readable<C: ConnectionTrait>(
    connection: &C,
    user: &UserId,
    query: &SecretQuery,
    now: DateTime<Utc>,
) -> Result<Page<Secret>, Error> {
    let mut select = Select::new(
        connection,
        "acl_users u JOIN secrets s ON s.id = u.entity_id AND u.entity_kind = 'secret' AND u.operation = 'read'",
    );
    select.when("u.user_id = ?", user.as_str());
    filter(&mut select, &query.filter, now);
    let total = select.count(connection).await.explain("count readable secrets")?;
    let items = select
        .page(connection, &LISTED, &order(&query.sort), query.page, read)
        .await
        .explain("list readable secrets")?;
    Ok(Page { items, total })
}

const COUNT_ALL: Sql = Sql::both(
    "SELECT (SELECT CAST(COALESCE(SUM(live), 0) AS bigint) FROM project_counters \
     WHERE project = $1 AND resource = 'secret') - (SELECT COUNT(*) FROM secrets \
     WHERE project = $1 AND expires_at IS NOT NULL AND expires_at <= $2)",
);

async fn count_all<C: ConnectionTrait>(connection: &C, project: &ProjectId, now: DateTime<Utc>) -> Result<u64, DbErr> {
    let values = [project.as_str().into(), now.trunc_subsecs(6).into()];
    select::total(connection, COUNT_ALL.with(connection, values)).await
}

fn filter(select: &mut Select, filter: &SecretFilter, now: DateTime<Utc>) {
    select.when("(s.expires_at IS NULL OR s.expires_at > ?)", now.trunc_subsecs(6));
    select.like("s.name", filter.name.as_deref());
    select.like("s.algorithm", filter.algorithm.as_deref());
    select.like("s.mode", filter.mode.as_deref());
    if let Some(bits) = filter.bit_length {
        select.when("s.bit_length = ?", bits);
    }
    if let Some(secret_type) = &filter.secret_type {
        select.when("s.secret_type = ?", secret_type.as_str());
    }
    times(select, "s.created_at", &filter.created);
    times(select, "s.updated_at", &filter.updated);
    times(select, "s.expires_at", &filter.expiration);
}

fn times(select: &mut Select, column: &str, filters: &[TimeFilter]) {
    for TimeFilter { comparison, time } in filters {
        let operator = match comparison {
            Comparison::After => ">",
            Comparison::NotBefore => ">=",
            Comparison::Before => "<",
            Comparison::NotAfter => "<=",
            Comparison::Equal => "=",
        };
        select.when(&format!("{column} {operator} ?"), time.trunc_subsecs(6));
    }
}

fn order(sort: &[(SecretSortKey, Direction)]) -> String {
    let mut order = String::with_capacity(64);
    for (key, direction) in sort {
        let (column, nullable) = match key {
            SecretSortKey::Algorithm => ("s.algorithm", true),
            SecretSortKey::BitLength => ("s.bit_length", true),
            SecretSortKey::Created => ("s.created_at", false),
            SecretSortKey::Expiration => ("s.expires_at", true),
            SecretSortKey::Mode => ("s.mode", true),
            SecretSortKey::Name => ("s.name", true),
            SecretSortKey::SecretType => ("s.secret_type", false),
            SecretSortKey::Updated => ("s.updated_at", false),
            // Always ACTIVE.
            SecretSortKey::Status => continue,
        };
        order.push_str(column);
        // Where there are no NULLs, saying where they belong keeps SQLite from using an index.
        order.push_str(match (direction, nullable) {
            (Direction::Ascending, true) => " ASC NULLS LAST, ",
            (Direction::Ascending, false) => " ASC, ",
            (Direction::Descending, true) => " DESC NULLS FIRST, ",
            (Direction::Descending, false) => " DESC, ",
        });
    }
    order + "s.created_at ASC, s.id ASC"
}
