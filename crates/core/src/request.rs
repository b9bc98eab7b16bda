//! Everything the API can ask of a worker. Adding an operation is one struct here, one handler in
//! the worker and one route in the API.

use crate::failure::Parsed;
use crate::health::HealthReport;
use crate::ids::EntityId;

/// A question with the type of its answer.
pub trait Request: Send + 'static {
    /// What a worker answers.
    type Reply: Send + 'static;
    /// Name on the wire, with its version: `secret.store.v1`.
    const NAME: &'static str;
    /// Label in error messages: `Secret creation`.
    const OPERATION: &'static str;
}

/// The id of a secret or a container as it stood in the path, or the complaint that it is none.
pub type EntityPath = Parsed<EntityId>;

macro_rules! request {
    ($(#[$doc:meta])* $name:ident $fields:tt -> $reply:ty, $wire:literal, $operation:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name $fields

        impl $crate::request::Request for $name {
            type Reply = $reply;
            const NAME: &'static str = $wire;
            const OPERATION: &'static str = $operation;
        }
    };
}

mod acl;
mod consumer;
mod container;
mod metadata;
mod order;
mod quota;
mod secret;
mod secret_store;
mod transport_key;

pub use acl::*;
pub use consumer::*;
pub use container::*;
pub use metadata::*;
pub use order::*;
pub use quota::*;
pub use secret::*;
pub use secret_store::*;
pub use transport_key::*;

request!(/// Whether the credentials are good; nothing else.
    Identify {} -> (), "identity.check.v1", "Version retrieval");

request!(/// How the worker and what it depends on are. Needs no credentials.
    CheckHealth {} -> HealthReport, "health.check.v1", "Health check");
