//! What Bailey is made of, without any I/O: domain types, the requests that cross the queue, the
//! traits that back-ends implement, errors, zeroizing secret types and the envelope.
//!
//! It is not the place for HTTP, SQL, files or the environment: those belong to `api`, `db`,
//! `vault` and `server`. Start reading at [`request`] (what can be asked) and [`store`] (where
//! payloads go).

#![warn(missing_docs)]

pub mod access;
pub mod acl;
pub mod audit;
pub mod budget;
pub mod ca;
pub mod certificate;
pub mod clock;
pub mod consumer;
pub mod container;
pub mod crypto;
pub mod der;
pub mod encoding;
pub mod envelope;
pub mod failure;
pub mod health;
pub mod idempotency;
pub mod ids;
pub mod keyring;
pub mod order;
pub mod probe;
pub mod quota;
pub mod request;
pub mod secret;
pub mod sensitive;
pub mod spec;
pub mod store;
pub mod told;
pub mod trace;
pub mod transport_key;
pub mod vault;
