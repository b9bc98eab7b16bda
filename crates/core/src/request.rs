//! Everything the API can ask of a worker. Adding an operation is one struct here, one handler in
//! the worker and one route in the API.

use crate::failure::Parsed;
use crate::health::HealthReport;
use crate::ids::SecretId;
use crate::secret::{Metadatum, NewSecret, Page, Payload, Secret, SecretQuery, UserMetadata};
use crate::spec::ContentType;

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

        impl Request for $name {
            type Reply = $reply;
            const NAME: &'static str = $wire;
            const OPERATION: &'static str = $operation;
        }
    };
}

/// A secret's id as it stood in the path, or the complaint that it is none.
pub type SecretPath = Parsed<SecretId>;

/// In which form a payload is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadForm {
    /// As it was stored, whatever that is.
    AsStored,
    /// As this type. Text must be valid UTF-8; bytes can be had of anything.
    As(ContentType),
}

request!(/// Whether the credentials are good; nothing else.
    Identify {} -> (), "identity.check.v1", "Version retrieval");

request!(/// Whether there is a secret. Asked for a caller who will be refused for another reason: that there is
    /// none is told before.
    FindSecret {
        /// Which secret.
        pub id: SecretPath,
    } -> (), "secret.find.v1", "Secret retrieval");

request!(/// How the worker and what it depends on are. Needs no credentials.
    CheckHealth {} -> HealthReport, "health.check.v1", "Health check");

request!(/// Creates a secret, with or without a payload.
    CreateSecret {
        /// The secret.
        pub secret: Parsed<NewSecret>,
    } -> SecretId, "secret.store.v1", "Secret creation");

request!(/// Gives a payload to a secret that has none.
    PutPayload {
        /// Which secret.
        pub id: SecretPath,
        /// The payload. That it is empty, too large or of a wrong type is told before the secret's state
        /// is judged; that it is badly encoded, after.
        pub payload: Parsed<Parsed<Payload>>,
    } -> (), "secret.payload.put.v1", "Secret update");

request!(/// Tells what is known of a secret.
    GetSecret {
        /// Which secret.
        pub id: SecretPath,
        /// Whether its consumers are wanted too.
        pub with_consumers: bool,
    } -> Secret, "secret.get.v1", "Secret retrieval");

request!(/// Hands out a payload.
    GetPayload {
        /// Which secret.
        pub id: SecretPath,
        /// In which form.
        pub form: Parsed<PayloadForm>,
    } -> Payload, "secret.payload.get.v1", "Secret payload retrieval");

request!(/// Lists secrets.
    ListSecrets {
        /// Which, in which order, which part.
        pub query: Parsed<SecretQuery>,
        /// Whether their consumers are wanted too.
        pub with_consumers: bool,
    } -> Page<Secret>, "secret.list.v1", "Secret(s) retrieval");

request!(/// Deletes a secret and destroys its payload.
    DeleteSecret {
        /// Which secret.
        pub id: SecretPath,
        /// Whether registered consumers forbid it.
        pub spare_consumed: Parsed<bool>,
    } -> (), "secret.delete.v1", "Secret deletion");

request!(/// A secret's user metadata.
    GetMetadata {
        /// Which secret.
        pub id: SecretPath,
    } -> UserMetadata, "secret.metadata.get.v1", "Secret metadata retrieval");

request!(/// Replaces a secret's user metadata.
    PutMetadata {
        /// Which secret.
        pub id: SecretPath,
        /// The new metadata.
        pub metadata: Parsed<UserMetadata>,
    } -> (), "secret.metadata.put.v1", "Secret metadata creation");

request!(/// Adds one key to a secret's user metadata.
    AddMetadatum {
        /// Which secret.
        pub id: SecretPath,
        /// Key and value.
        pub metadatum: Parsed<Metadatum>,
    } -> Metadatum, "secret.metadatum.add.v1", "Secret metadatum creation");

request!(/// One key of a secret's user metadata.
    GetMetadatum {
        /// Which secret.
        pub id: SecretPath,
        /// The key as it stood in the path; compared as given.
        pub key: String,
    } -> Metadatum, "secret.metadatum.get.v1", "Secret metadatum retrieval");

request!(/// Changes one existing key of a secret's user metadata.
    PutMetadatum {
        /// Which secret.
        pub id: SecretPath,
        /// The key as it stood in the path; compared as given.
        pub key: String,
        /// Key and value; the key must be the path's.
        pub metadatum: Parsed<Metadatum>,
    } -> Metadatum, "secret.metadatum.put.v1", "Secret metadatum update");

request!(/// Removes one key of a secret's user metadata, if it is there.
    DeleteMetadatum {
        /// Which secret.
        pub id: SecretPath,
        /// The key as it stood in the path; compared as given.
        pub key: String,
    } -> (), "secret.metadatum.delete.v1", "Secret metadatum removal");
