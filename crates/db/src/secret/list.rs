//! Lists: filters, order, pages and totals, alike on both engines.

use bailey_core::ids::{ProjectId, UserId};
use bailey_core::secret::{Comparison, Direction, Page, Secret, SecretFilter, SecretQuery, SecretSortKey, TimeFilter};
use bailey_sql::{Cells, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};

use crate::secret::{read, secret_columns};

/// Longest text a label holds, in characters.
const LONGEST_LABEL: usize = 255;

/// A project's secrets, without their consumers; expired ones are not among them.
///
/// The total is exact. Unfiltered, it comes from the project's counter and costs the same for any
/// number of secrets.
///
/// # Errors
/// `Unavailable`.
pub async fn list<C: ConnectionTrait>(
    connection: &C,
    project: &ProjectId,
    query: &SecretQuery,
    now: DateTime<Utc>,
) -> Result<Page<Secret>, Error> {
    let mut select = Select::new(connection, "secrets s");
    select.when("s.project = ?", project.as_str());
    select.filter(&query.filter, now);
    let total = if query.filter == SecretFilter::default() {
        count_all(connection, project, now).await.explain("count secrets")?
    } else {
        select.count(connection).await.explain("count secrets")?
    };
    let items = select.page(connection, query).await.explain("list secrets")?;
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
    select.filter(&query.filter, now);
    let total = select.count(connection).await.explain("count readable secrets")?;
    let items = select.page(connection, query).await.explain("list readable secrets")?;
    Ok(Page { items, total })
}

const COUNT_ALL: Sql = Sql::both(
    "SELECT (SELECT CAST(COALESCE(SUM(live), 0) AS bigint) FROM project_counters \
     WHERE project = $1 AND resource = 'secret') - (SELECT COUNT(*) FROM secrets \
     WHERE project = $1 AND expires_at IS NOT NULL AND expires_at <= $2)",
);

async fn count_all<C: ConnectionTrait>(connection: &C, project: &ProjectId, now: DateTime<Utc>) -> Result<u64, DbErr> {
    let values = [project.as_str().into(), now.trunc_subsecs(6).into()];
    total(connection, COUNT_ALL.with(connection, values)).await
}

async fn total<C: ConnectionTrait>(connection: &C, statement: Statement) -> Result<u64, DbErr> {
    let row = connection.query_one_raw(statement).await?;
    let total: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(total).unwrap_or_default())
}

/// A SELECT as it grows.
struct Select {
    backend: DbBackend,
    from: &'static str,
    conditions: String,
    values: Vec<Value>,
}

impl Select {
    fn new(connection: &impl ConnectionTrait, from: &'static str) -> Self {
        let backend = connection.get_database_backend();
        Self { backend, from, conditions: String::with_capacity(128), values: Vec::with_capacity(4) }
    }

    /// Adds `condition`, a fixed text with `?` where its value belongs.
    fn when(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.also(&condition.replace('?', &format!("${}", self.values.len())));
    }

    fn also(&mut self, condition: &str) {
        self.conditions.push_str(if self.conditions.is_empty() { " WHERE " } else { " AND " });
        self.conditions.push_str(condition);
    }

    fn filter(&mut self, filter: &SecretFilter, now: DateTime<Utc>) {
        self.when("(s.expires_at IS NULL OR s.expires_at > ?)", now.trunc_subsecs(6));
        self.like("s.name", filter.name.as_deref());
        self.like("s.algorithm", filter.algorithm.as_deref());
        self.like("s.mode", filter.mode.as_deref());
        if let Some(bits) = filter.bit_length {
            self.when("s.bit_length = ?", bits);
        }
        if let Some(secret_type) = &filter.secret_type {
            self.when("s.secret_type = ?", secret_type.as_str());
        }
        self.times("s.created_at", &filter.created);
        self.times("s.updated_at", &filter.updated);
        self.times("s.expires_at", &filter.expiration);
    }

    /// `\` is an ordinary character: SQLite knows no escape unless told, PostgreSQL unless told not to.
    fn like(&mut self, column: &str, pattern: Option<&str>) {
        let unescaped = if self.backend == DbBackend::Postgres { " ESCAPE ''" } else { "" };
        match pattern.map(simplify) {
            None => {}
            Some(None) => self.also("1 = 0"),
            Some(Some(pattern)) => self.when(&format!("{column} LIKE ?{unescaped}"), pattern),
        }
    }

    fn times(&mut self, column: &str, filters: &[TimeFilter]) {
        for TimeFilter { comparison, time } in filters {
            let operator = match comparison {
                Comparison::After => ">",
                Comparison::NotBefore => ">=",
                Comparison::Before => "<",
                Comparison::NotAfter => "<=",
                Comparison::Equal => "=",
            };
            self.when(&format!("{column} {operator} ?"), time.trunc_subsecs(6));
        }
    }

    async fn count<C: ConnectionTrait>(&self, connection: &C) -> Result<u64, DbErr> {
        let sql = format!("SELECT COUNT(*) FROM {}{}", self.from, self.conditions);
        total(connection, Statement::from_sql_and_values(self.backend, sql, self.values.iter().cloned())).await
    }

    async fn page<C: ConnectionTrait>(mut self, connection: &C, query: &SecretQuery) -> Result<Vec<Secret>, DbErr> {
        let bounded = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.values.push(bounded(query.page.limit).into());
        self.values.push(bounded(query.page.offset).into());
        let order = order(&query.sort);
        let (limit, offset) = (self.values.len() - 1, self.values.len());
        let page = format!("FROM {}{} ORDER BY {order} LIMIT ${limit} OFFSET ${offset}", self.from, self.conditions);
        let sql = if query.page.offset == 0 {
            format!(concat!("SELECT ", secret_columns!(), " {}"), page)
        } else {
            // What lies before the page is skipped in the index, without a look at the rows.
            let (any, end) = match self.backend {
                // Told IN, PostgreSQL may rather read the whole table.
                DbBackend::Postgres => ("= ANY (ARRAY(", "))"),
                _ => ("IN (", ")"),
            };
            format!(
                concat!("SELECT ", secret_columns!(), " FROM secrets s WHERE s.id {}SELECT s.id {}{} ORDER BY {}"),
                any, page, end, order
            )
        };
        let rows = connection.query_all_raw(Statement::from_sql_and_values(self.backend, sql, self.values)).await?;
        rows.iter().map(|row| read(&mut Cells::of(row))).collect()
    }
}

/// The pattern without repeated `%`, or `None` if it is longer than anything it could match. SQLite
/// refuses patterns of 50,000 bytes.
fn simplify(pattern: &str) -> Option<String> {
    let mut simple = String::with_capacity(pattern.len().min(1024));
    let mut fixed = 0;
    for character in pattern.chars() {
        if character != '%' {
            fixed += 1;
        } else if simple.ends_with('%') {
            continue;
        }
        if fixed > LONGEST_LABEL {
            return None;
        }
        simple.push(character);
    }
    Some(simple)
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

#[cfg(test)]
mod tests {
    use super::simplify;

    #[test]
    fn patterns_are_shortened_without_changing_what_they_match() {
        assert_eq!(simplify("%%a%%%_%").as_deref(), Some("%a%_%"));
        assert_eq!(simplify(&"%".repeat(100_000)).as_deref(), Some("%"));
        assert_eq!(simplify(&"ä".repeat(255)).map(|pattern| pattern.chars().count()), Some(255));
        assert_eq!(simplify(&"_".repeat(256)), None);
    }
}
