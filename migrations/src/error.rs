//! Why a schema is not what a binary needs.

use std::fmt;

use sea_orm_migration::sea_orm::{DbErr, RuntimeErr};

use crate::{Schema, SchemaVersion};

/// Why a schema could not be read or brought up to date.
#[derive(Debug)]
pub enum Error {
    /// The schema was made by a newer binary, in a form that this one can't read.
    BinaryTooOld {
        /// Which database.
        schema: Schema,
        /// What it holds.
        found: SchemaVersion,
    },
    /// The database failed.
    Database(DbErr),
}

impl Error {
    /// Whether the same call may succeed later: the database was out of reach.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        use sea_orm_migration::sea_orm::sqlx::Error as Sqlx;
        match self {
            Self::BinaryTooOld { .. } => false,
            Self::Database(DbErr::Conn(_) | DbErr::ConnectionAcquire(_)) => true,
            Self::Database(DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) => {
                match error.as_ref() {
                    Sqlx::Io(_) | Sqlx::PoolTimedOut | Sqlx::PoolClosed | Sqlx::WorkerCrashed | Sqlx::Protocol(_) => {
                        true
                    }
                    // SQLite's BUSY and LOCKED; PostgreSQL's classes for connections, resources and shutdowns.
                    Sqlx::Database(error) => error.code().is_some_and(|code| {
                        matches!(code.as_ref(), "5" | "6" | "261" | "517" | "55P03")
                            || (code.len() == 5 && ["08", "53", "57"].iter().any(|class| code.starts_with(class)))
                    }),
                    _ => false,
                }
            }
            Self::Database(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BinaryTooOld { schema, found } => write!(
                f,
                "the {} database has schema version {}, which needs a binary that knows version {} at least; this one \
                 knows {}",
                schema.as_str(),
                found.version,
                found.oldest_reader,
                schema.version().version
            ),
            Self::Database(error) => write!(f, "migration failed: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BinaryTooOld { .. } => None,
            Self::Database(error) => Some(error),
        }
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}
