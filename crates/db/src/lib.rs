//! The metadata database: secrets' labels and references, ACLs, consumers, what became of writes.
//!
//! Free functions, generic over the connection, return core types. There is nothing here that could be
//! decrypted, and nothing that decides: use cases do, with [`Db::write`] around what belongs together.
//! Start reading at [`target::find_secret`], which every request for a secret begins with.

#![warn(missing_docs)]

mod counter;
#[cfg(test)]
mod drift;
mod entity;
mod owned;
mod placement;
mod select;
mod sight;

pub mod acl;
pub mod admin;
pub mod ca;
pub mod consumer;
pub mod container;
pub mod deletion;
pub mod idempotency;
pub mod installation;
pub mod message;
pub mod metadata;
pub mod notice;
pub mod order;
pub mod project;
pub mod project_store;
pub mod quota;
pub mod reference_key;
pub mod renewal;
pub mod secret;
pub mod store;
pub mod target;
pub mod token;
pub mod transport_key;
pub mod write;

pub use bailey_sql::{BoxFuture, Config, ConnectionTrait, Db, Engine, Error, ErrorKind, Listener, Tx};
pub use placement::Placement;
pub use sight::Sight;
