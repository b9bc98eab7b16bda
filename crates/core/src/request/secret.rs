//! Secrets and their payloads.

use serde::{Deserialize, Serialize};

use crate::failure::Parsed;
use crate::idempotency::IdempotencyKey;
use crate::ids::{SecretId, TransportKeyId};
use crate::secret::{CreatedSecret, NewSecret, Page, Payload, Secret, SecretQuery, SentPayload};
use crate::spec::ContentType;
use crate::transport_key::WrappedSessionKey;

/// A secret's id as it stood in the path, or the complaint that it is none.
pub type SecretPath = Parsed<SecretId>;

/// In which form a payload is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayloadForm {
    /// As it was stored, whatever that is.
    AsStored,
    /// As this type. Text must be valid UTF-8; bytes can be had of anything.
    As(ContentType),
    /// Encrypted under a session key.
    Wrapped(WrappedSessionKey),
}

request!(/// Whether there is a secret. Asked for a caller who will be refused for another reason: that there is
    /// none is told before.
    FindSecret {
        /// Which secret.
        pub id: SecretPath,
    } -> (), "secret.find.v1", "Secret retrieval");

request!(/// Creates a secret, with or without a payload.
    CreateSecret {
        /// The secret.
        pub secret: Parsed<NewSecret>,
        /// What makes a repetition of the request known as such.
        pub idempotency: Parsed<Option<IdempotencyKey>>,
    } -> CreatedSecret, "secret.store.v1", "Secret creation", mutates);

request!(/// Gives a payload to a secret that has none.
    PutPayload {
        /// Which secret.
        pub id: SecretPath,
        /// The payload. That it is empty, too large or of a wrong type is told before the secret's state
        /// is judged; that it is badly encoded, after.
        pub payload: Parsed<Parsed<SentPayload>>,
    } -> (), "secret.payload.put.v1", "Secret update", mutates);

request!(/// Tells what is known of a secret.
    GetSecret {
        /// Which secret.
        pub id: SecretPath,
        /// Whether its consumers are wanted too.
        pub with_consumers: bool,
        /// Whether its store's transport key is wanted too.
        pub with_transport_key: Parsed<bool>,
    } -> (Secret, Option<TransportKeyId>), "secret.get.v1", "Secret retrieval");

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
    } -> (), "secret.delete.v1", "Secret deletion", mutates);
