//! The queue between processes: sealed messages over NATS.
//!
//! [`Asker`] is the API's side, [`Server`] the worker's. NATS carries what it can't read, promises nothing, and
//! is believed nothing: who may ask is decided by keys and tokens, what was done already by the database.

mod asker;
mod link;
mod server;

use std::io;

pub(crate) use asker::Asker;
pub use server::Server;

/// Why the connection can't even be tried.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The settings make no sense, or a file that they name can't be read.
    #[error("the connection to NATS can't be made as configured: {0}")]
    Settings(String),
    /// The connection was given up.
    #[error("the connection to NATS is closed")]
    Closed,
}

impl ConnectError {
    fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |error| Self::Settings(format!("{path}: {error}"))
    }
}
