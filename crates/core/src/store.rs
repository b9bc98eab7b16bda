//! Secret stores: back-ends that keep payloads.

use std::borrow::Cow;
use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{KekId, ProjectId, SecretId, StoreId, WriteId};
use crate::sensitive::SecretBytes;
use crate::spec::{SecretType, Spec};

/// Keeps payloads and hands them out again.
///
/// The contract, each sentence of which the conformance suite in `testkit` tests:
///
/// * What [`store`](Self::store) accepted, [`retrieve`](Self::retrieve) returns byte-identical, from
///   this and any other instance over the same back-end, until it is deleted.
/// * A payload belongs to its [`Place`]: under another project, secret or write id, or with another
///   payload's reference, it is never returned; the answer is `Corrupt` or `NotFound`.
/// * `store` under a write id that was used before is `Conflict` and changes nothing.
/// * After `delete`, `retrieve` is `NotFound` on the instance that deleted, and with
///   [`verify`](RetrieveRequest::verify) on every other; `delete` of what is not there succeeds.
/// * `delete` destroys only what belongs to the place and the reference; with another payload's
///   reference it is `Corrupt`.
/// * A changed, shortened or swapped stored byte makes `retrieve` fail as `Corrupt`, with no bytes.
/// * What [`descriptor`](Self::descriptor) doesn't list, a payload above its largest included, is
///   answered `Unsupported`; what it lists works.
/// * Of two generated keys, each is another one. Keys for DES and triple DES have odd parity in each
///   byte, which some devices insist on.
/// * Neither the payload nor a part of it is readable in what the back-end keeps outside itself, in
///   the reference, or in an error.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// What this store is and can do.
    fn descriptor(&self) -> &Descriptor;

    /// Keeps a payload. When it returns, the bytes are durable.
    ///
    /// # Errors
    /// `Conflict` if the write id was used before; `Unsupported`; `Unavailable`.
    async fn store(&self, request: StoreRequest<'_>) -> Result<StoreReference, StoreError>;

    /// Hands out a payload.
    ///
    /// # Errors
    /// `NotFound` if it isn't there; `Corrupt` if it isn't what was stored; `Unavailable`.
    async fn retrieve(&self, request: RetrieveRequest<'_>) -> Result<SecretBytes, StoreError>;

    /// Destroys a payload. Idempotent.
    ///
    /// # Errors
    /// `Corrupt` if the reference is not this place's; `Unavailable`: the bytes may still be there, ask again.
    async fn delete(&self, place: &Place, reference: &StoreReference) -> Result<(), StoreError>;

    /// Makes a random symmetric key of `spec.bit_length` bits for `spec.algorithm` and keeps it.
    ///
    /// # Errors
    /// `Unsupported` unless the descriptor lists the size; else as `store`.
    async fn generate_symmetric(&self, place: &Place, spec: &Spec) -> Result<StoreReference, StoreError>;

    /// Whether the back-end can be used now.
    ///
    /// # Errors
    /// The reason why it can't.
    async fn health(&self) -> Result<(), StoreError>;

    /// Lists what is stored, for audit and migration.
    fn inventory(&self) -> Option<&dyn Inventory> {
        None
    }

    /// Key pairs that the back-end draws, for stores that have it do so.
    fn key_pairs(&self) -> Option<&dyn KeyPairs> {
        None
    }

    /// The life of the project keys, for stores that have them.
    fn key_rotation(&self) -> Option<&dyn KeyRotation> {
        None
    }
}

/// What a store is and can do. Data: nobody probes by calling and catching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Its permanent id.
    pub id: StoreId,
    /// Its configured name: a label that may change.
    pub name: String,
    /// Its kind: `simple`, `pkcs11`, `kmip`.
    pub kind: &'static str,
    /// Largest payload in bytes.
    pub max_payload: usize,
    /// Secret types it keeps.
    pub secret_types: Vec<SecretType>,
    /// Bit lengths of symmetric keys that it can make; each a multiple of eight.
    pub symmetric_bits: Vec<i32>,
}

/// A store as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredStore {
    /// Its permanent id.
    pub id: StoreId,
    /// Its configured name.
    pub name: String,
    /// Its kind, as in its [`Descriptor`].
    pub kind: Cow<'static, str>,
    /// Whether payloads of projects without a preference go there.
    pub is_default: bool,
    /// When it was first configured.
    pub created_at: DateTime<Utc>,
    /// When its name last changed.
    pub updated_at: DateTime<Utc>,
}

/// Whose bytes: the coordinates that associated data binds a payload to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The secret's project.
    pub project: ProjectId,
    /// The secret.
    pub secret: SecretId,
    /// The attempt to place the bytes; chosen before the store is called, never reused.
    pub write: WriteId,
}

/// A payload to keep.
#[derive(Debug)]
pub struct StoreRequest<'a> {
    /// Where it belongs.
    pub place: &'a Place,
    /// What kind of thing it is.
    pub secret_type: SecretType,
    /// What the client says about it.
    pub spec: &'a Spec,
    /// The bytes; not empty.
    pub payload: &'a SecretBytes,
}

/// A payload to hand out.
#[derive(Debug)]
pub struct RetrieveRequest<'a> {
    /// Where it belongs.
    pub place: &'a Place,
    /// What `store` returned.
    pub reference: &'a StoreReference,
    /// Whether caches must be bypassed: the bytes themselves are in question.
    pub verify: bool,
}

/// What `store` returned: opaque to everyone else. Sealed before it enters the metadata database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreReference(pub Vec<u8>);

/// A write that a store holds bytes for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredWrite {
    /// Where the bytes belong.
    pub place: Place,
    /// The KEK they are encrypted under, in stores that have KEKs.
    pub kek: Option<KekId>,
    /// When they were stored.
    pub created_at: DateTime<Utc>,
    /// The reference that `store` returned for them.
    pub reference: StoreReference,
}

/// Lists what a store holds.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Up to `limit` writes with ids above `after`, ordered by write id; only those under `kek`, if given.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn list(
        &self,
        kek: Option<KekId>,
        after: Option<WriteId>,
        limit: u64,
    ) -> Result<Vec<StoredWrite>, StoreError>;
}

/// Something of each half of a key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halves<T> {
    /// Of the private key.
    pub private: T,
    /// Of the public key.
    pub public: T,
}

/// Makes key pairs where payloads are kept.
///
/// The contract, each sentence of which the conformance suite in `testkit` tests:
///
/// * What is [`listed`](Self::listed) is made, and [`retrieve`](SecretStore::retrieve) returns its halves in PEM: PKCS#8
///   without a passphrase, and the SubjectPublicKeyInfo that belongs to it.
/// * Of two key pairs, each is another one.
/// * A pair with a half under a write id that was used before is `Conflict`; it changes nothing, and its other half
///   isn't kept.
/// * What isn't listed is `Unsupported`.
#[async_trait]
pub trait KeyPairs: Send + Sync {
    /// What is made: algorithms in lower case, with bit lengths.
    fn listed(&self) -> &[(&'static str, i32)];

    /// Makes a key pair of `spec`'s algorithm and bit length, and keeps each half in its place.
    ///
    /// # Errors
    /// `Unsupported`, too, if the back-end turns out to make none after all: whoever called has to; else as `store`.
    async fn generate_asymmetric(
        &self,
        places: Halves<&Place>,
        spec: &Spec,
    ) -> Result<Halves<StoreReference>, StoreError>;
}

/// The life of project keys: `active -> decrypt-only -> retired`.
#[async_trait]
pub trait KeyRotation: Send + Sync {
    /// Stops new encryptions under the project's active KEK; the next store makes another. With
    /// `reencrypt`, what it and the project's earlier KEKs encrypted is to be moved to the new one.
    /// Returns the KEK that was active, or `None` if there was none.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn rotate(&self, project: &ProjectId, reencrypt: bool) -> Result<Option<KekId>, StoreError>;

    /// Decrypt-only KEKs whose payloads are to be moved and that still have some, oldest first.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn to_reencrypt(&self) -> Result<Vec<KekId>, StoreError>;

    /// Wraps up to `limit` KEKs anew that are not under the active MKEK; returns how many it could open.
    /// Idempotent; asked again until it returns 0.
    ///
    /// # Errors
    /// `Unavailable`; `Corrupt` if only wrappings that can't be opened are left.
    async fn rewrap(&self, limit: u64) -> Result<u64, StoreError>;
}

/// What a store's failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// There are no such bytes.
    NotFound,
    /// The bytes are not what was stored, or not where they belong.
    Corrupt,
    /// The write id was used before.
    Conflict,
    /// The store can't do that, ever.
    Unsupported,
    /// The back-end, or a key it needs, is out of reach now.
    Unavailable,
    /// Calls of the back-end never returned, so many that no more are made: unavailable until they return or the
    /// process is started again.
    Stuck,
    /// A fault in the store's own code or configuration.
    Internal,
}

/// Why a store failed: kind, operation, context and source. Contains no payload, key or PIN.
#[derive(Debug, thiserror::Error)]
pub struct StoreError {
    /// What it means to whoever called.
    pub kind: StoreErrorKind,
    /// What was being done: `unwrap KEK`.
    pub operation: &'static str,
    /// What an operator needs to know beside that.
    pub context: String,
    /// The error underneath.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// An error without a source.
    pub fn new(kind: StoreErrorKind, operation: &'static str, context: impl Into<String>) -> Self {
        Self { kind, operation, context: context.into(), source: None }
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Unavailable)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.operation, self.kind)?;
        if !self.context.is_empty() {
            write!(f, ": {}", self.context)?;
        }
        Ok(())
    }
}
