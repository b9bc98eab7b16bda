//! Counts of what is to be renewed.

use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::ConnectionTrait;
use sea_orm::prelude::DateTimeUtc;

/// How renewals stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// How many certificates are renewed.
    pub certificates: u64,
    /// How many of them should have been by now.
    pub overdue: u64,
    /// How many of them couldn't be so far.
    pub failing: u64,
    /// When the first of those ends.
    pub first_end: Option<DateTime<Utc>>,
}

const STANDING: Sql = Sql::both(
    "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN order_id IS NOT NULL OR due_at <= $1 THEN 1 ELSE 0 END), 0) AS bigint), \
     CAST(COALESCE(SUM(CASE WHEN failures > 0 THEN 1 ELSE 0 END), 0) AS bigint), \
     MIN(CASE WHEN failures > 0 THEN expires_at END) FROM renewals",
);

/// Counts what is to be renewed.
///
/// # Errors
/// `Unavailable`.
pub async fn standing<C: ConnectionTrait>(connection: &C, now: DateTime<Utc>) -> Result<Standing, Error> {
    let row = connection.query_one_raw(STANDING.with(connection, [now.trunc_subsecs(6).into()])).await;
    let Some(row) = row.explain("count renewals")? else { return Ok(Standing::default()) };
    let mut cells = Cells::of(&row);
    let mut count = || cells.take::<i64>().map(|count| u64::try_from(count).unwrap_or_default());
    let (certificates, overdue, failing) =
        (count().explain("count renewals")?, count().explain("count renewals")?, count().explain("count renewals")?);
    let first_end = cells.take::<Option<DateTimeUtc>>().explain("count renewals")?;
    Ok(Standing { certificates, overdue, failing, first_end })
}
