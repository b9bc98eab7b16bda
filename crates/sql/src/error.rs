//! One error for both engines. It says what it means, never which values were involved.

use std::borrow::Cow;
use std::fmt;

use bailey_core::failure::Failure;
use bailey_core::store::{StoreError, StoreErrorKind};
use sea_orm::sqlx::error::{DatabaseError, Error as SqlxError, ErrorKind as SqlxKind};
use sea_orm::{DbErr, RuntimeErr};

/// What a database error means to whoever called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Such a row exists already.
    Conflict,
    /// Other rows refer to it, or what it refers to isn't there.
    InUse,
    /// The database is out of reach or too busy now; asking again may help.
    Unavailable,
    /// There is no such row.
    NotFound,
    /// The write was condemned before it was committed; its bytes may be gone already.
    Condemned,
    /// The key that it is sealed under was retired before it was committed.
    Retired,
    /// The same was done before, or is being done.
    Repeated,
    /// A fault in Bailey's own statements, schema or stored values.
    Internal,
}

/// Why a database call failed. Holds no SQL and no value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What it means to whoever called.
    pub kind: ErrorKind,
    /// What was being done: `insert secret`.
    pub context: &'static str,
    /// What an operator needs to know beside that: codes and names of constraints.
    pub detail: Cow<'static, str>,
}

impl Error {
    /// An error that no driver reported.
    pub fn new(kind: ErrorKind, context: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, context, detail: detail.into() }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Condemned | ErrorKind::Retired)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.context, self.kind)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    /// A use case that expects `Conflict`, `InUse` or `NotFound` maps it first; here it is a fault.
    fn from(error: Error) -> Self {
        match error.kind {
            ErrorKind::Condemned | ErrorKind::Retired => {
                Self::unavailable("The request took too long").with_detail(error.to_string())
            }
            ErrorKind::Repeated => {
                Self::unavailable("The request was sent before and may have been done").with_detail(error.to_string())
            }
            ErrorKind::Unavailable => {
                Self::unavailable("The database can't be used now").with_detail(error.to_string())
            }
            ErrorKind::Conflict | ErrorKind::InUse | ErrorKind::NotFound | ErrorKind::Internal => {
                Self::internal(error.to_string())
            }
        }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            ErrorKind::Conflict => StoreErrorKind::Conflict,
            ErrorKind::NotFound => StoreErrorKind::NotFound,
            ErrorKind::Unavailable | ErrorKind::Condemned | ErrorKind::Retired | ErrorKind::Repeated => {
                StoreErrorKind::Unavailable
            }
            ErrorKind::InUse | ErrorKind::Internal => StoreErrorKind::Internal,
        };
        Self::new(kind, error.context, error.detail)
    }
}

/// Turns sea-orm's errors into [`Error`]s: the one place that knows their codes.
pub trait Explain<T> {
    /// Says what was being done when it failed.
    ///
    /// # Errors
    /// The same failure: unique -> `Conflict`, foreign key -> `InUse`, pool, time-outs, connection and
    /// locks -> `Unavailable`, everything else -> `Internal`.
    fn explain(self, context: &'static str) -> Result<T, Error>;
}

impl<T> Explain<T> for Result<T, DbErr> {
    fn explain(self, context: &'static str) -> Result<T, Error> {
        self.map_err(|error| describe(&error, context))
    }
}

/// The error that `explain` makes, for an error that is still needed.
pub(crate) fn describe(error: &DbErr, context: &'static str) -> Error {
    match error {
        DbErr::ConnectionAcquire(reason) => Error::new(ErrorKind::Unavailable, context, reason.to_string()),
        DbErr::Conn(reason) => Error::new(ErrorKind::Unavailable, context, connection_trouble(reason)),
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            describe_driver(error, context)
        }
        DbErr::RecordNotFound(_) | DbErr::RecordNotUpdated => Error::new(ErrorKind::NotFound, context, ""),
        DbErr::RecordNotInserted => Error::new(ErrorKind::Conflict, context, ""),
        DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => {
            Error::new(ErrorKind::Internal, context, "a stored value is not of the expected form")
        }
        other => Error::new(ErrorKind::Internal, context, other.to_string()),
    }
}

fn connection_trouble(reason: &RuntimeErr) -> String {
    match reason {
        RuntimeErr::SqlxError(error) => match error.as_ref() {
            SqlxError::Database(error) => code(error.as_ref()),
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

fn describe_driver(error: &SqlxError, context: &'static str) -> Error {
    match error {
        SqlxError::Database(error) => Error::new(database_kind(error.as_ref()), context, code(error.as_ref())),
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed
        | SqlxError::BeginFailed => Error::new(ErrorKind::Unavailable, context, error.to_string()),
        SqlxError::ColumnDecode { index, .. } => {
            Error::new(ErrorKind::Internal, context, format!("column {index} is not of the expected form"))
        }
        SqlxError::Decode(_) | SqlxError::Encode(_) => {
            Error::new(ErrorKind::Internal, context, "a value is not of the expected form")
        }
        other => Error::new(ErrorKind::Internal, context, other.to_string()),
    }
}

fn database_kind(error: &dyn DatabaseError) -> ErrorKind {
    match error.kind() {
        SqlxKind::UniqueViolation => return ErrorKind::Conflict,
        SqlxKind::ForeignKeyViolation => return ErrorKind::InUse,
        _ => {}
    }
    let code = error.code().unwrap_or_default();
    let unavailable = if is_sqlite(error) {
        // The low byte is the primary code: BUSY, LOCKED, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN.
        code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 9 | 10 | 13 | 14))
    } else {
        // Connection, resources, operator intervention, system errors; serialisation, deadlock, locks,
        // and a server that has become read-only.
        ["08", "53", "57", "58", "40"].iter().any(|class| code.starts_with(class))
            || matches!(code.as_ref(), "55P03" | "25006")
    };
    match code.as_ref() {
        // RESTRICT has a code of its own from PostgreSQL 18 on.
        "23001" => ErrorKind::InUse,
        _ if unavailable => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

/// SQLite's messages hold names only; PostgreSQL's may quote values, so only its code and constraint
/// are told.
fn code(error: &dyn DatabaseError) -> String {
    if is_sqlite(error) {
        return format!("SQLite {error}");
    }
    let code = error.code().unwrap_or_default();
    match (error.constraint(), error.table()) {
        (Some(constraint), _) => format!("SQLSTATE {code}, constraint {constraint}"),
        (None, Some(table)) => format!("SQLSTATE {code}, table {table}"),
        (None, None) => format!("SQLSTATE {code}"),
    }
}

fn is_sqlite(error: &dyn DatabaseError) -> bool {
    error.try_downcast_ref::<sea_orm::sqlx::sqlite::SqliteError>().is_some()
}

/// Whether PostgreSQL rolled the transaction back for reasons that go away when it runs again.
pub(crate) fn is_transient(error: &DbErr) -> bool {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            match error.as_ref() {
                SqlxError::Database(error) => {
                    !is_sqlite(error.as_ref()) && matches!(error.code().as_deref(), Some("40001" | "40P01"))
                }
                _ => false,
            }
        }
        _ => false,
    }
}
