//! Lists of any resource: conditions, pages and totals, alike on both engines.

use bailey_core::secret::PageRequest;
use bailey_sql::Cells;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};

use crate::sight::Sight;

/// Longest text a label holds, in characters.
const LONGEST_LABEL: usize = 255;

/// Longest part of a text that is looked for, in characters: four bytes each are within what SQLite takes.
const LONGEST_PART: usize = 10_000;

/// What the items of a list are read from.
pub(crate) struct Listed {
    /// Their columns.
    pub(crate) columns: &'static str,
    /// Their table, with the name that the columns call it.
    pub(crate) table: &'static str,
    /// The column of their ids.
    pub(crate) id: &'static str,
}

/// A SELECT as it grows.
pub(crate) struct Select {
    backend: DbBackend,
    from: &'static str,
    conditions: String,
    values: Vec<Value>,
}

impl Select {
    pub(crate) fn new(connection: &impl ConnectionTrait, from: &'static str) -> Self {
        let backend = connection.get_database_backend();
        Self { backend, from, conditions: String::with_capacity(128), values: Vec::with_capacity(4) }
    }

    /// Adds `condition`, a fixed text with `?` where its value belongs.
    pub(crate) fn when(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.also(&condition.replace('?', &format!("${}", self.values.len())));
    }

    /// As [`when`](Self::when), with a value for each `?`.
    pub(crate) fn when_all(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        let mut parts = condition.split('?');
        let mut numbered = parts.next().unwrap_or_default().to_owned();
        for (part, value) in parts.zip(values) {
            self.values.push(value);
            numbered += &format!("${}{part}", self.values.len());
        }
        self.also(&numbered);
    }

    fn also(&mut self, condition: &str) {
        self.conditions.push_str(if self.conditions.is_empty() { " WHERE " } else { " AND " });
        self.conditions.push_str(condition);
    }

    pub(crate) fn like(&mut self, column: &str, pattern: Option<&str>) {
        if let Some(pattern) = pattern {
            self.matches(column, pattern, LONGEST_LABEL);
        }
    }

    /// As [`like`](Self::like), for a part of a text that is longer than a label.
    pub(crate) fn contains(&mut self, column: &str, part: &str) {
        self.matches(column, &format!("%{part}%"), LONGEST_PART);
    }

    /// `\` is an ordinary character: SQLite knows no escape unless told, PostgreSQL unless told not to.
    fn matches(&mut self, column: &str, pattern: &str, longest: usize) {
        let unescaped = if self.backend == DbBackend::Postgres { " ESCAPE ''" } else { "" };
        match simplify(pattern, longest) {
            None => self.also("1 = 0"),
            Some(pattern) => self.when(&format!("{column} LIKE ?{unescaped}"), pattern),
        }
    }

    /// Leaves out what is private and not to be shown of a `kind` of things, whose table is called `name`.
    pub(crate) fn sight(&mut self, kind: &str, name: &str, sight: Sight<'_>) {
        let Sight::Of { owner, reader } = sight else { return };
        let mut condition = format!(
            "(NOT EXISTS (SELECT 1 FROM acls a WHERE a.entity_id = {name}.id AND a.entity_kind = '{kind}' \
             AND a.operation = 'read' AND NOT a.project_access)"
        );
        if let Some(owner) = owner {
            self.values.push(owner.as_str().into());
            condition += &format!(" OR {name}.creator = ${}", self.values.len());
        }
        if let Some(reader) = reader {
            self.values.push(reader.as_str().into());
            condition += &format!(
                " OR EXISTS (SELECT 1 FROM acl_users r WHERE r.entity_id = {name}.id AND r.entity_kind = '{kind}' \
                 AND r.operation = 'read' AND r.user_id = ${})",
                self.values.len()
            );
        }
        self.also(&(condition + ")"));
    }

    /// How many rows there are.
    pub(crate) async fn count<C: ConnectionTrait>(&self, connection: &C) -> Result<u64, DbErr> {
        let sql = format!("SELECT COUNT(*) FROM {}{}", self.from, self.conditions);
        total(connection, Statement::from_sql_and_values(self.backend, sql, self.values.iter().cloned())).await
    }

    /// Some of the rows, in an order.
    pub(crate) async fn page<C: ConnectionTrait, T>(
        mut self,
        connection: &C,
        listed: &Listed,
        order: &str,
        page: PageRequest,
        read: fn(&mut Cells<'_>) -> Result<T, DbErr>,
    ) -> Result<Vec<T>, DbErr> {
        let bounded = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.values.push(bounded(page.limit).into());
        self.values.push(bounded(page.offset).into());
        let (limit, offset) = (self.values.len() - 1, self.values.len());
        let Listed { columns, table, id } = listed;
        let rows = format!("FROM {}{} ORDER BY {order} LIMIT ${limit} OFFSET ${offset}", self.from, self.conditions);
        let sql = if page.offset == 0 {
            format!("SELECT {columns} {rows}")
        } else {
            // What lies before the page is skipped in the index, without a look at the rows.
            let (any, end) = match self.backend {
                // Told IN, PostgreSQL may rather read the whole table.
                DbBackend::Postgres => ("= ANY (ARRAY(", "))"),
                _ => ("IN (", ")"),
            };
            format!("SELECT {columns} FROM {table} WHERE {id} {any}SELECT {id} {rows}{end} ORDER BY {order}")
        };
        let rows = connection.query_all_raw(Statement::from_sql_and_values(self.backend, sql, self.values)).await?;
        rows.iter().map(|row| read(&mut Cells::of(row))).collect()
    }
}

/// The count that a statement returns.
pub(crate) async fn total<C: ConnectionTrait>(connection: &C, statement: Statement) -> Result<u64, DbErr> {
    let row = connection.query_one_raw(statement).await?;
    let total: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(total).unwrap_or_default())
}

/// The pattern without repeated `%`, or `None` if it is longer than anything it could match. SQLite
/// refuses patterns of 50,000 bytes.
fn simplify(pattern: &str, longest: usize) -> Option<String> {
    let mut simple = String::with_capacity(pattern.len().min(1024));
    let mut fixed = 0;
    for character in pattern.chars() {
        if character != '%' {
            fixed += 1;
        } else if simple.ends_with('%') {
            continue;
        }
        if fixed > longest {
            return None;
        }
        simple.push(character);
    }
    Some(simple)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LABEL, simplify};

    #[test]
    fn patterns_are_shortened_without_changing_what_they_match() {
        assert_eq!(simplify("%%a%%%_%", LONGEST_LABEL).as_deref(), Some("%a%_%"));
        assert_eq!(simplify(&"%".repeat(100_000), LONGEST_LABEL).as_deref(), Some("%"));
        assert_eq!(simplify(&"ä".repeat(255), LONGEST_LABEL).map(|pattern| pattern.chars().count()), Some(255));
        assert_eq!(simplify(&"_".repeat(256), LONGEST_LABEL), None);
    }
}
