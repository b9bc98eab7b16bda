//! Statements written out, and their rows.
//!
//! What every request runs is fixed text: building it anew each time costs more than the database does.

use std::str::FromStr;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, TryGetable, Value};

use crate::db::{Db, Engine};
use crate::error::{Error, Explain};

/// One statement, for both engines. Parameters are `$1`, `$2`…
pub struct Sql {
    /// As SQLite wants it.
    pub sqlite: &'static str,
    /// As PostgreSQL wants it.
    pub postgres: &'static str,
}

impl Sql {
    /// Text that both engines understand.
    #[must_use]
    pub const fn both(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }

    /// The statement with its parameters, for the engine behind `connection`.
    pub fn with(&self, connection: &impl ConnectionTrait, values: impl IntoIterator<Item = Value>) -> Statement {
        let backend = connection.get_database_backend();
        let text = if backend == DbBackend::Postgres { self.postgres } else { self.sqlite };
        Statement::from_sql_and_values(backend, text, values)
    }
}

impl Db {
    /// Runs one statement and answers once what it did is durable: how many rows that were.
    ///
    /// On PostgreSQL it saves the round trips of a transaction; on SQLite it is committed together
    /// with whatever else waits.
    ///
    /// # Errors
    /// As [`write`](Self::write), and the statement's own.
    pub async fn execute(
        &self,
        context: &'static str,
        sql: &Sql,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<u64, Error> {
        let statement = sql.with(self.reader(), values);
        let done = match self.engine() {
            Engine::Postgres => self.reader().execute_raw(statement).await.explain(context)?,
            Engine::Sqlite => {
                self.write(move |tx| {
                    let statement = statement.clone();
                    Box::pin(async move { tx.execute_raw(statement).await.explain(context) })
                })
                .await?
            }
        };
        Ok(done.rows_affected())
    }
}

/// The cells of a row, from left to right.
pub struct Cells<'r> {
    row: &'r QueryResult,
    next: usize,
}

impl<'r> Cells<'r> {
    /// Begins at the first cell.
    #[must_use]
    pub const fn of(row: &'r QueryResult) -> Self {
        Self { row, next: 0 }
    }

    /// The next cell.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn take<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        let index = self.next;
        self.next += 1;
        self.row.try_get_by_index(index)
    }

    /// The next cell, text in the database and something narrower here.
    ///
    /// # Errors
    /// When it is no such text.
    pub fn parse<T: FromStr>(&mut self) -> Result<T, DbErr> {
        parse(&self.take::<String>()?)
    }

    /// The next cell, if it isn't NULL.
    ///
    /// # Errors
    /// When it is no such text.
    pub fn parse_some<T: FromStr>(&mut self) -> Result<Option<T>, DbErr> {
        self.take::<Option<String>>()?.as_deref().map(parse).transpose()
    }
}

/// Reads stored text as what it was when it was stored.
///
/// # Errors
/// When it is no such text.
pub fn parse<T: FromStr>(text: &str) -> Result<T, DbErr> {
    text.parse().map_err(|_| DbErr::Type(format!("not a valid {}", std::any::type_name::<T>())))
}
