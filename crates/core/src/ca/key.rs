//! Keys of CAs themselves: what a plugin keeps, and what signs.

use std::sync::Arc;

use async_trait::async_trait;

use serde::{Deserialize, Serialize};

use super::CaError;
use crate::sensitive::SecretBytes;

/// Keys that one CA needs for itself, each under a name: an account's, or what its certificates are signed with. They
/// are payloads in a secret store; nobody reads them over the API.
#[async_trait]
pub trait Keys: Send + Sync {
    /// The key of this name, if there is one.
    ///
    /// # Errors
    /// `Unavailable`; `Corrupt` if there should be one and its bytes are gone or changed.
    async fn load(&self, name: &str) -> Result<Option<SecretBytes>, CaError>;

    /// Keeps a key. Of several for one name the first stands, so whoever keeps one loads it before using it.
    ///
    /// # Errors
    /// `Unavailable`; `Unsupported` where the store takes no such key.
    async fn keep(&self, name: &str, key: &SecretBytes) -> Result<(), CaError>;

    /// Destroys the key of this name. Idempotent.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn forget(&self, name: &str) -> Result<(), CaError>;
}

/// The sort of a CA's key, which decides how it signs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaKeyType {
    /// ECDSA over P-256, with SHA-256.
    #[default]
    EcP256,
    /// ECDSA over P-384, with SHA-384.
    EcP384,
    /// RSA with 3072 bits, PKCS#1 v1.5 with SHA-256.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA with 4096 bits, PKCS#1 v1.5 with SHA-256.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

/// A key that a CA signs with, wherever it is.
#[async_trait]
pub trait CaKey: Send + Sync {
    /// Its public half: `SubjectPublicKeyInfo` (RFC 5280, section 4.1), DER.
    fn public_key(&self) -> &[u8];

    /// Signs a message as [`CaKeyType`] says; ECDSA signatures are `ECDSA-Sig-Value` (RFC 3279, section 2.2.3).
    ///
    /// # Errors
    /// `Unavailable`; `Corrupt` if the key isn't what it was.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError>;
}

/// Where a CA of Bailey's own has the keys that it signs with: in a secret store, or in a token that they never leave.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// Makes a key. Of several for one name the first stands.
    ///
    /// # Errors
    /// `Unavailable`; `Unsupported` where no such key can be.
    async fn make(&self, name: &str, key_type: CaKeyType) -> Result<Arc<dyn CaKey>, CaError>;

    /// The key of this name.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable`.
    async fn find(&self, name: &str) -> Result<Arc<dyn CaKey>, CaError>;

    /// Destroys the key of this name. Idempotent.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn destroy(&self, name: &str) -> Result<(), CaError>;
}
