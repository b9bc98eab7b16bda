//! Everything the API can ask of a worker. Adding an operation is one struct here, one handler in
//! the worker and one route in the API.

use crate::health::HealthReport;

/// A question with the type of its answer.
pub trait Request: Send + 'static {
    /// What a worker answers.
    type Reply: Send + 'static;
    /// Name on the wire, with its version: `secret.store.v1`.
    const NAME: &'static str;
    /// Label in error messages: `Secret creation`.
    const OPERATION: &'static str;
}

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

mod container;
mod metadata;
mod secret;

pub use container::*;
pub use metadata::*;
pub use secret::*;

request!(/// Whether the credentials are good; nothing else.
    Identify {} -> (), "identity.check.v1", "Version retrieval");

request!(/// How the worker and what it depends on are. Needs no credentials.
    CheckHealth {} -> HealthReport, "health.check.v1", "Health check");
