//! Everything the API can ask of a worker. Adding an operation is one struct here, one handler in
//! the worker and one route in the API.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Parsed;
use crate::health::HealthReport;
use crate::ids::EntityId;

/// A question with the type of its answer.
///
/// Between processes of different versions both are read by the names of their fields: what is not known
/// is ignored, and a field that comes later has a default (`#[serde(default)]`). What can't be read that
/// way is another request, with another version in its name.
pub trait Request: Serialize + DeserializeOwned + Send + 'static {
    /// What a worker answers.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// Name on the wire, with its version: `secret.store.v1`.
    const NAME: &'static str;
    /// Label in error messages: `Secret creation`.
    const OPERATION: &'static str;
    /// Whether it changes what Bailey keeps, so that it matters how often it is done.
    const MUTATES: bool;
}

/// The id of a secret or a container as it stood in the path, or the complaint that it is none.
pub type EntityPath = Parsed<EntityId>;

macro_rules! request {
    ($(#[$doc:meta])* $name:ident $fields:tt -> $reply:ty, $wire:literal, $operation:literal) => {
        request!($(#[$doc])* $name $fields -> $reply, $wire, $operation, false);
    };
    ($(#[$doc:meta])* $name:ident $fields:tt -> $reply:ty, $wire:literal, $operation:literal, mutates) => {
        request!($(#[$doc])* $name $fields -> $reply, $wire, $operation, true);
    };
    ($(#[$doc:meta])* $name:ident $fields:tt -> $reply:ty, $wire:literal, $operation:literal, $mutates:literal) => {
        $(#[$doc])*
        #[derive(Debug, ::serde::Serialize, ::serde::Deserialize)]
        pub struct $name $fields

        impl $crate::request::Request for $name {
            type Reply = $reply;
            const NAME: &'static str = $wire;
            const OPERATION: &'static str = $operation;
            const MUTATES: bool = $mutates;
        }
    };
}

mod acl;
mod ca;
mod challenge;
mod consumer;
mod container;
mod metadata;
mod order;
mod quota;
mod revocation;
mod secret;
mod secret_store;
mod transport_key;

pub use acl::*;
pub use ca::*;
pub use challenge::*;
pub use consumer::*;
pub use container::*;
pub use metadata::*;
pub use order::*;
pub use quota::*;
pub use revocation::*;
pub use secret::*;
pub use secret_store::*;
pub use transport_key::*;

request!(/// Whether the credentials are good; nothing else.
    Identify {} -> (), "identity.check.v1", "Version retrieval");

request!(/// How the worker and what it depends on are. Needs no credentials.
    CheckHealth {} -> HealthReport, "health.check.v1", "Health check");
