//! Seals store references before they enter the metadata database.
//!
//! A writer to that database can neither read where a payload lies nor point one project's secret
//! at another's: the seal is bound to store, project, secret, write and key version. The format is
//! in `docs/formats.md`.

use std::fmt::Display;
use std::sync::Arc;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, Generate, KeyInit, Nonce, Payload};
use bailey_core::budget::MasterKeyBudget;
use bailey_core::encoding::Context;
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{MasterKeyId, StoreId};
use bailey_core::keyring::KeyRing;
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::{Place, StoreError, StoreReference};

use crate::error::store_failure;

const FORMAT: u8 = 1;
const KEY_ID: std::ops::Range<usize> = 1..17;
const NONCE: std::ops::Range<usize> = 17..29;

/// A sealed reference and the version of the worker key that sealed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The key version.
    pub key: MasterKeyId,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
}

/// Seals and opens references with the worker key.
pub struct Sealer {
    ring: Arc<KeyRing>,
    budget: MasterKeyBudget,
}

impl Sealer {
    /// A sealer over the worker key's versions; `budget` says which one seals.
    #[must_use]
    pub fn new(ring: Arc<KeyRing>, budget: MasterKeyBudget) -> Self {
        Self { ring, budget }
    }

    /// Whether every version in use is held.
    ///
    /// # Errors
    /// `Unavailable` when one isn't.
    pub fn check(&self) -> Result<(), Failure> {
        self.ring.missing().map_or(Ok(()), |key| Err(unavailable(key, "it is in use, and the key file lacks it")))
    }

    /// Seals a reference for its place.
    ///
    /// # Errors
    /// `Unavailable` when no version is active, its budget is used up or this process lacks it.
    pub async fn seal(&self, store: StoreId, place: &Place, reference: &StoreReference) -> Result<Sealed, Failure> {
        let key = self.active().await?;
        let nonce = Nonce::<Aes256Gcm>::generate();
        let context = context(store, place, key);
        let sealed = self
            .cipher(key)?
            .encrypt(&nonce, Payload { msg: &reference.0, aad: context.as_bytes() })
            .map_err(|_| Failure::internal("a store reference could not be sealed"))?;
        let mut bytes = Vec::with_capacity(NONCE.end + sealed.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(key.uuid().as_bytes());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(Sealed { key, bytes })
    }

    /// Opens a sealed reference for its place.
    ///
    /// # Errors
    /// `Corrupt` when it was sealed for another place or changed; `Unavailable` when this process
    /// lacks the key version.
    pub fn open(
        &self,
        store: StoreId,
        place: &Place,
        key: MasterKeyId,
        sealed: &[u8],
    ) -> Result<StoreReference, Failure> {
        let corrupt = || Failure::new(FailureKind::Corrupt, "a sealed store reference does not open");
        let (Some(&FORMAT), Some(id), Some(nonce), Some(bytes)) =
            (sealed.first(), sealed.get(KEY_ID), sealed.get(NONCE), sealed.get(NONCE.end..))
        else {
            return Err(corrupt());
        };
        if id != key.uuid().as_bytes() {
            return Err(corrupt());
        }
        let nonce = Nonce::<Aes256Gcm>::try_from(nonce).map_err(|_| corrupt())?;
        self.cipher(key)?
            .decrypt(&nonce, Payload { msg: bytes, aad: context(store, place, key).as_bytes() })
            .map(StoreReference)
            .map_err(|_| corrupt())
    }

    /// The version that is active, for what else is made with the worker key. Counts as a seal.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub(crate) async fn active(&self) -> Result<MasterKeyId, Failure> {
        Ok(self.budget.take().await.map_err(|error| store_failure(&error))?.id)
    }

    /// How much of the active version's budget is reserved, from 0 to 1.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) async fn used(&self) -> Result<f64, StoreError> {
        self.budget.used().await
    }

    /// Versions that only open what is old.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) async fn superseded(&self) -> Result<Vec<MasterKeyId>, StoreError> {
        self.budget.superseded().await
    }

    /// Versions that are used for nothing any more.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) async fn retired(&self) -> Result<Vec<MasterKeyId>, StoreError> {
        self.budget.retired().await
    }

    /// A version of the worker key.
    ///
    /// # Errors
    /// `Unavailable` when this process lacks it.
    pub(crate) fn key(&self, key: MasterKeyId) -> Result<Arc<SecretBytes>, Failure> {
        let held = self.ring.get(key).map_err(|error| unavailable(key, error.to_string()))?;
        held.ok_or_else(|| unavailable(key, "not in the key file"))
    }

    fn cipher(&self, key: MasterKeyId) -> Result<Aes256Gcm, Failure> {
        Aes256Gcm::new_from_slice(self.key(key)?.expose()).map_err(|_| unavailable(key, "not a 32-byte key"))
    }
}

fn unavailable(key: MasterKeyId, reason: impl Display) -> Failure {
    Failure::unavailable("A key is not available").with_detail(format!("worker key {key}: {reason}"))
}

fn context(store: StoreId, place: &Place, key: MasterKeyId) -> Context {
    Context::new("bailey store reference", 1)
        .uuid(store.uuid())
        .field(place.project.as_str().as_bytes())
        .uuid(place.secret.uuid())
        .uuid(place.write.uuid())
        .uuid(key.uuid())
}
