//! What the envelope and the master keys need to remember: the narrow traits that `vault`
//! implements.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::crypto::WrappedKek;
use crate::ids::{KekId, MasterKeyId, ProjectId, StoreId, WorkerId, WriteId};
use crate::store::{Place, StoreError};

/// State of a project KEK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KekState {
    /// Encrypts and decrypts; at most one per store and project.
    Active,
    /// Decrypts what it encrypted before.
    DecryptOnly,
    /// Decrypts nothing any more; its wrapping is destroyed.
    Retired,
}

/// A project KEK as the vault keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectKek {
    /// Its id; never changes.
    pub id: KekId,
    /// The store it belongs to.
    pub store: StoreId,
    /// The project whose payloads it encrypts.
    pub project: ProjectId,
    /// Its state.
    pub state: KekState,
    /// Its wrapping; empty bytes once retired.
    pub wrapped: WrappedKek,
    /// Encryptions reserved so far, used or not.
    pub reserved: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A ciphertext as the vault keeps it. Never changes under its write id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// Where the payload belongs.
    pub place: Place,
    /// The KEK it is encrypted under.
    pub kek: KekId,
    /// The envelope's format: a version byte, then what the backend made.
    pub bytes: Arc<[u8]>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// What became of an insert that depends on a key's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The row is durable.
    Yes,
    /// The KEK is not active any more: nothing was inserted, ask for the active one.
    KeyNotActive,
}

/// Keeps ciphertexts and wrapped project KEKs.
///
/// Every method's errors are `Unavailable` when the database can't be asked, beside those named.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Inserts a ciphertext, if in the same statement its KEK is active. Durable when it returns.
    ///
    /// # Errors
    /// `Conflict` when the write id was used before.
    async fn insert_ciphertext(&self, store: StoreId, ciphertext: &Ciphertext) -> Result<Inserted, StoreError>;

    /// The ciphertext of a write.
    async fn find_ciphertext(&self, store: StoreId, write: WriteId) -> Result<Option<Ciphertext>, StoreError>;

    /// Destroys the ciphertext that belongs to `place`; succeeds when there is none.
    async fn delete_ciphertext(&self, store: StoreId, place: &Place) -> Result<(), StoreError>;

    /// Up to `limit` ciphertexts with write ids above `after`, ordered by write id, without their bytes
    /// (empty); only those under `kek`, if given.
    async fn list_ciphertexts(
        &self,
        store: StoreId,
        kek: Option<KekId>,
        after: Option<WriteId>,
        limit: u64,
    ) -> Result<Vec<Ciphertext>, StoreError>;

    /// The active KEK of a project in a store.
    async fn active_kek(&self, store: StoreId, project: &ProjectId) -> Result<Option<ProjectKek>, StoreError>;

    /// A KEK by its id.
    async fn find_kek(&self, store: StoreId, kek: KekId) -> Result<Option<ProjectKek>, StoreError>;

    /// Inserts an active KEK, if in the same statement its MKEK is active and the project has no other
    /// active KEK in that store; returns whether it did.
    async fn insert_kek(&self, kek: &ProjectKek) -> Result<bool, StoreError>;

    /// Up to `limit` KEKs with ids above `after`, not retired, whose MKEK is another than `mkek`, ordered by id.
    async fn list_keks_not_under(
        &self,
        store: StoreId,
        mkek: MasterKeyId,
        after: Option<KekId>,
        limit: u64,
    ) -> Result<Vec<ProjectKek>, StoreError>;

    /// Replaces a KEK's wrapping, if it still is `old` and, in the same statement, the new MKEK is
    /// active; returns whether it did.
    async fn rewrap_kek(&self, kek: KekId, old: &WrappedKek, new: &WrappedKek) -> Result<bool, StoreError>;

    /// Adds `block` to the encryptions reserved for an active KEK, if they still are `seen`; returns
    /// whether it did.
    async fn reserve(&self, kek: KekId, seen: u64, block: u64) -> Result<bool, StoreError>;

    /// Turns an active KEK decrypt-only; succeeds when it already is. With `reencrypt`, marks its
    /// payloads, and those of the project's other decrypt-only KEKs in that store, as to be moved.
    async fn demote_kek(&self, kek: KekId, reencrypt: bool) -> Result<(), StoreError>;

    /// Decrypt-only KEKs that are marked and still have ciphertexts, oldest first.
    async fn list_keks_to_reencrypt(&self, store: StoreId) -> Result<Vec<KekId>, StoreError>;

    /// Whether the database answers.
    async fn health(&self) -> Result<(), StoreError>;
}

/// What a master key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MasterKeyPurpose {
    /// Wraps the project KEKs of one store.
    Mkek(StoreId),
    /// Seals store references in the metadata database.
    Worker,
}

/// State of a version of a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MasterKeyState {
    /// Known, not used yet: workers may still lack it.
    Added,
    /// Used for what is new; exactly one version.
    Active,
    /// Used to open what is old.
    DecryptOnly,
    /// Used for nothing; the key file may forget it.
    Retired,
}

/// A version of a master key as the vault knows it: everything but the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKey {
    /// Its id.
    pub id: MasterKeyId,
    /// What it is for.
    pub purpose: MasterKeyPurpose,
    /// Its state.
    pub state: MasterKeyState,
    /// Its key-check value: proves that a key file has the same key, and nothing else.
    pub check_value: Vec<u8>,
    /// Encryptions reserved so far, used or not.
    pub reserved: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The register of master key versions that all workers share.
///
/// Every method's errors are `Unavailable` when the database can't be asked, beside those named.
#[async_trait]
pub trait MasterKeyRegister: Send + Sync {
    /// All versions for a purpose, oldest first.
    async fn list(&self, purpose: MasterKeyPurpose) -> Result<Vec<MasterKey>, StoreError>;

    /// Adds `block` to the encryptions reserved for a version, if they still are `seen`; returns
    /// whether it did.
    async fn reserve(&self, key: MasterKeyId, seen: u64, block: u64) -> Result<bool, StoreError>;

    /// Tells that a worker holds these versions now.
    async fn report(&self, worker: WorkerId, keys: &[MasterKeyId], now: DateTime<Utc>) -> Result<(), StoreError>;
}
