//! The database handle that `db` and `vault` share: one type for SQLite and PostgreSQL, with
//! transactions, group commit and one mapping of errors.
//!
//! It is not the place for tables or queries: those belong to `db` and `vault`. Start reading at
//! [`Db::write`].

#![warn(missing_docs)]

mod config;
mod connect;
mod connection;
mod db;
mod error;
mod listen;
mod lock;
mod measure;
mod postgres;
mod sqlite;
mod statement;
mod transaction;

pub use config::Config;
pub use connection::Tx;
pub use db::{Db, Engine};
pub use error::{Error, ErrorKind, Explain};
pub use listen::Listener;
pub use lock::Lock;
pub use sea_orm::ConnectionTrait;
pub use statement::{Cells, Sql, parse};
pub use transaction::BoxFuture;
