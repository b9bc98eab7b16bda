//! Crypto backends: devices that encrypt but don't keep.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::encoding::Context;
use crate::ids::{DeploymentId, KekId, MasterKeyId, ProjectId, StoreId};
use crate::sensitive::SecretBytes;
use crate::store::StoreError;

/// Makes, wraps and uses project KEKs.
///
/// The contract, each sentence of which the conformance suite in `testkit` tests:
///
/// * What [`encrypt`](Self::encrypt) made, [`decrypt`](Self::decrypt) opens with the same KEK and
///   the same associated data, on this and on any other instance with the same MKEKs.
/// * With another KEK, other associated data, or any byte changed, cut off or added, `decrypt` is
///   `Corrupt` and returns no bytes.
/// * Encrypting the same payload twice gives different bytes (a fresh nonce each time).
/// * A wrapped KEK is bound to its [`KekContext`] and its MKEK: under another one it is `Corrupt`.
/// * A wrapping that is not as it was made is `Corrupt`, and nothing is encrypted under what it unwraps to.
/// * Each KEK made is another key; it is nowhere readable in its wrapping.
/// * [`rewrap_kek`](Self::rewrap_kek) changes the wrapping only: what was encrypted before still opens.
/// * [`create_kek`](Self::create_kek) and `rewrap_kek` wrap under [`active_mkek`](Self::active_mkek),
///   and a KEK wrapped under an earlier MKEK goes on working.
/// * An MKEK that isn't there is `Unavailable`, never `Corrupt`.
/// * [`random`](Self::random) gives as many bytes as asked for, and other ones each time.
#[async_trait]
pub trait CryptoBackend: Send + Sync {
    /// Its kind: `simple`, `pkcs11`.
    fn kind(&self) -> &'static str;

    /// The MKEK that new wrappings are made under.
    ///
    /// # Errors
    /// `Unavailable` when there is no active MKEK, or it is out of reach.
    async fn active_mkek(&self) -> Result<MasterKeyId, StoreError>;

    /// Makes a KEK and wraps it under the active MKEK.
    ///
    /// # Errors
    /// `Unavailable` when there is no active MKEK, or its budget is used up, or it is out of reach.
    async fn create_kek(&self, context: &KekContext) -> Result<WrappedKek, StoreError>;

    /// Wraps the same KEK under the active MKEK.
    ///
    /// # Errors
    /// `Corrupt` when the old wrapping can't be opened; `Unavailable`.
    async fn rewrap_kek(&self, context: &KekContext, kek: &WrappedKek) -> Result<WrappedKek, StoreError>;

    /// Encrypts under a KEK, bound to `associated`.
    ///
    /// # Errors
    /// `Corrupt` when the KEK's wrapping can't be opened; `Unavailable`.
    async fn encrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        payload: &SecretBytes,
    ) -> Result<Vec<u8>, StoreError>;

    /// Decrypts what `encrypt` made.
    ///
    /// # Errors
    /// `Corrupt` when anything is not as it was; `Unavailable`.
    async fn decrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        ciphertext: &[u8],
    ) -> Result<SecretBytes, StoreError>;

    /// `length` random bytes, from the device where it has a generator.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn random(&self, length: usize) -> Result<SecretBytes, StoreError>;

    /// Whether the active MKEK can be used now.
    ///
    /// # Errors
    /// The reason why it can't.
    async fn health(&self) -> Result<(), StoreError>;
}

/// What a wrapped KEK is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KekContext {
    /// The installation.
    pub deployment: DeploymentId,
    /// The store.
    pub store: StoreId,
    /// The project whose payloads the KEK encrypts.
    pub project: ProjectId,
    /// The KEK.
    pub kek: KekId,
}

impl KekContext {
    /// What a wrapping authenticates: this context, the MKEK, the mechanism and its IV.
    #[must_use]
    pub fn associated_data(&self, mkek: MasterKeyId, mechanism: &str, iv: &[u8]) -> Context {
        Context::new("bailey wrapped KEK", 1)
            .uuid(self.deployment.uuid())
            .uuid(self.store.uuid())
            .field(self.project.as_str().as_bytes())
            .uuid(self.kek.uuid())
            .uuid(mkek.uuid())
            .field(mechanism.as_bytes())
            .field(iv)
    }
}

/// A KEK, readable only with its MKEK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKek {
    /// The MKEK it is wrapped under.
    pub mkek: MasterKeyId,
    /// The backend's own format, beginning with a version byte.
    pub bytes: Vec<u8>,
}

#[async_trait]
impl<T: CryptoBackend + ?Sized> CryptoBackend for Arc<T> {
    fn kind(&self) -> &'static str {
        (**self).kind()
    }

    async fn active_mkek(&self) -> Result<MasterKeyId, StoreError> {
        (**self).active_mkek().await
    }

    async fn create_kek(&self, context: &KekContext) -> Result<WrappedKek, StoreError> {
        (**self).create_kek(context).await
    }

    async fn rewrap_kek(&self, context: &KekContext, kek: &WrappedKek) -> Result<WrappedKek, StoreError> {
        (**self).rewrap_kek(context, kek).await
    }

    async fn encrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        payload: &SecretBytes,
    ) -> Result<Vec<u8>, StoreError> {
        (**self).encrypt(context, kek, associated, payload).await
    }

    async fn decrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        ciphertext: &[u8],
    ) -> Result<SecretBytes, StoreError> {
        (**self).decrypt(context, kek, associated, ciphertext).await
    }

    async fn random(&self, length: usize) -> Result<SecretBytes, StoreError> {
        (**self).random(length).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        (**self).health().await
    }
}
