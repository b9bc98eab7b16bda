//! Statements written out, and their rows.
//!
//! What every request runs is fixed text: building it anew each time costs more than the database does.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, TryGetable, Value};

/// One statement, for both engines. Parameters are `$1`, `$2`…
///
/// On SQLite it may be several, separated by semicolons, all with the same parameters.
pub(crate) struct Sql {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl Sql {
    /// Text that both engines understand.
    pub(crate) const fn both(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }

    pub(crate) fn with(&self, connection: &impl ConnectionTrait, values: impl IntoIterator<Item = Value>) -> Statement {
        let backend = connection.get_database_backend();
        let text = if backend == DbBackend::Postgres { self.postgres } else { self.sqlite };
        Statement::from_sql_and_values(backend, text, values)
    }
}

/// The cells of a row, from left to right.
pub(crate) struct Cells<'r> {
    row: &'r QueryResult,
    next: usize,
}

impl<'r> Cells<'r> {
    pub(crate) fn of(row: &'r QueryResult) -> Self {
        Self { row, next: 0 }
    }

    /// The next cell.
    pub(crate) fn take<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        let index = self.next;
        self.next += 1;
        self.row.try_get_by_index(index)
    }

    /// The next cell, text in the database and something narrower here.
    pub(crate) fn parse<T: FromStr>(&mut self) -> Result<T, DbErr> {
        parse(&self.take::<String>()?)
    }

    /// The next cell, if it isn't NULL.
    pub(crate) fn parse_some<T: FromStr>(&mut self) -> Result<Option<T>, DbErr> {
        self.take::<Option<String>>()?.as_deref().map(parse).transpose()
    }
}

/// Reads stored text as what it was when it was stored.
pub(crate) fn parse<T: FromStr>(text: &str) -> Result<T, DbErr> {
    text.parse().map_err(|_| DbErr::Type(format!("not a valid {}", std::any::type_name::<T>())))
}

/// A random number below `bound`, good enough to spread load.
pub(crate) fn spread(bound: i32) -> i32 {
    let random = RandomState::new().build_hasher().finish() % u64::from(bound.unsigned_abs().max(1));
    i32::try_from(random).unwrap_or_default()
}
