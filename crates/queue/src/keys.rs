//! Key files: what seals requests, what opens them, and how one set of keys follows another.
//!
//! Text in, text out; where the files lie is for whoever calls. `docs/formats.md` has every byte.

mod ring;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bailey_core::ids::QueueKeyId;
use bailey_core::keyring::KeySourceError;
use bailey_core::sensitive::SecretBytes;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, Serializable as _};

pub use ring::KeyRing;

/// Length in bytes of a private key, a public key and a pre-shared key.
pub const KEY_LENGTH: usize = 32;

pub(crate) type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
pub(crate) type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;

/// What can't be done with keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file has no such version.
    #[error("there is no version {0} of the queue's key")]
    Unknown(QueueKeyId),
    /// APIs use it.
    #[error("version {0} of the queue's key is active: activate another one first")]
    Active(QueueKeyId),
    /// The system has no randomness to give.
    #[error("the system has no randomness to give")]
    Random,
}

/// The keys of workers: they open what APIs seal with any of the versions.
#[derive(Clone)]
pub struct WorkerKeys(BTreeMap<QueueKeyId, WorkerKey>);

#[derive(Clone)]
struct WorkerKey {
    is_active: bool,
    private: Arc<SecretBytes>,
    psk: Arc<SecretBytes>,
}

/// The keys of APIs: they seal with the newest version that is active.
#[derive(Clone)]
pub struct ApiKeys(BTreeMap<QueueKeyId, ApiKey>);

#[derive(Clone)]
struct ApiKey {
    is_active: bool,
    public: [u8; KEY_LENGTH],
    psk: Arc<SecretBytes>,
}

impl WorkerKeys {
    /// Keys with one version, which is active.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut keys = Self(BTreeMap::new());
        let id = keys.add()?;
        keys.activate(id)?;
        Ok(keys)
    }

    /// Adds a version, which workers accept and APIs don't use yet.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn add(&mut self) -> Result<QueueKeyId, KeyError> {
        let (private, _) = X25519HkdfSha256::derive_keypair(random()?.expose());
        let private = SecretBytes::new(private.to_bytes().to_vec());
        let key = WorkerKey { is_active: false, private: Arc::new(private), psk: Arc::new(random()?) };
        let id = QueueKeyId::new();
        self.0.insert(id, key);
        Ok(id)
    }

    /// Makes a version the one that APIs use. All workers must have it by now; the others are accepted
    /// until they are removed.
    ///
    /// # Errors
    /// [`KeyError::Unknown`].
    pub fn activate(&mut self, id: QueueKeyId) -> Result<(), KeyError> {
        if !self.0.contains_key(&id) {
            return Err(KeyError::Unknown(id));
        }
        for (other, key) in &mut self.0 {
            key.is_active = *other == id;
        }
        Ok(())
    }

    /// Removes a version. All APIs must use another one by now.
    ///
    /// # Errors
    /// [`KeyError::Unknown`], [`KeyError::Active`].
    pub fn remove(&mut self, id: QueueKeyId) -> Result<(), KeyError> {
        match self.0.get(&id) {
            None => Err(KeyError::Unknown(id)),
            Some(key) if key.is_active => Err(KeyError::Active(id)),
            Some(_) => {
                self.0.remove(&id);
                Ok(())
            }
        }
    }

    /// Every version, oldest first, and whether it is active.
    pub fn versions(&self) -> impl Iterator<Item = (QueueKeyId, bool)> {
        self.0.iter().map(|(id, key)| (*id, key.is_active))
    }

    /// What APIs need of these: the active version, without its private key.
    ///
    /// # Errors
    /// When a private key is none.
    pub fn for_api(&self) -> Result<ApiKeys, KeySourceError> {
        let of = |(id, key): (&QueueKeyId, &WorkerKey)| {
            let public = X25519HkdfSha256::sk_to_pk(&private_key(&key.private)?);
            let public = <[u8; KEY_LENGTH]>::from(public.to_bytes());
            Ok((*id, ApiKey { is_active: true, public, psk: Arc::clone(&key.psk) }))
        };
        self.0.iter().filter(|(_, key)| key.is_active).map(of).collect::<Result<_, _>>().map(ApiKeys)
    }

    /// Whether there is such a version.
    pub(crate) fn has(&self, id: QueueKeyId) -> bool {
        self.0.contains_key(&id)
    }

    /// The private key and the pre-shared key of a version.
    pub(crate) fn get(&self, id: QueueKeyId) -> Option<(PrivateKey, &SecretBytes)> {
        let key = self.0.get(&id)?;
        Some((private_key(&key.private).ok()?, &key.psk))
    }
}

impl ApiKeys {
    /// Every version, oldest first, and whether it is active.
    pub fn versions(&self) -> impl Iterator<Item = (QueueKeyId, bool)> {
        self.0.iter().map(|(id, key)| (*id, key.is_active))
    }

    /// The version to seal with, its public key and its pre-shared key.
    pub(crate) fn active(&self) -> Option<(QueueKeyId, PublicKey, &SecretBytes)> {
        let (id, key) = self.0.iter().rfind(|(_, key)| key.is_active)?;
        Some((*id, PublicKey::from_bytes(&key.public).ok()?, &key.psk))
    }
}

fn private_key(bytes: &SecretBytes) -> Result<PrivateKey, KeySourceError> {
    PrivateKey::from_bytes(bytes.expose()).map_err(|_| KeySourceError("a private key is no X25519 key".to_owned()))
}

fn random() -> Result<SecretBytes, KeyError> {
    let mut bytes = zeroize::Zeroizing::new([0; KEY_LENGTH]);
    getrandom::fill(&mut *bytes).map_err(|_| KeyError::Random)?;
    Ok(SecretBytes::new(bytes.to_vec()))
}

impl fmt::Debug for WorkerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkerKeys").field(&self.versions().collect::<Vec<_>>()).finish()
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKeys").field(&self.versions().collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests;
