//! A crypto backend over an ideal cipher.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bailey_core::crypto::{CryptoBackend, KekContext, WrappedKek};
use bailey_core::ids::{MasterKeyId, StoreId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::{StoreError, StoreErrorKind};
use bailey_core::vault::{MasterKeyPurpose, MasterKeyRegister, MasterKeyState};

use super::cipher::{IdealCipher, random};

/// A device that several backends may share: it has MKEKs and remembers what it encrypted.
#[derive(Default)]
pub struct MemoryDevice {
    mkeks: Mutex<BTreeSet<MasterKeyId>>,
    cipher: IdealCipher,
}

impl MemoryDevice {
    /// Adds an MKEK.
    pub fn add(&self, mkek: MasterKeyId) {
        self.mkeks.lock().unwrap().insert(mkek);
    }

    /// Takes an MKEK out.
    pub fn remove(&self, mkek: MasterKeyId) {
        self.mkeks.lock().unwrap().remove(&mkek);
    }
}

/// A crypto backend over a [`MemoryDevice`]. Which MKEK is active is the register's word.
pub struct MemoryBackend {
    device: Arc<MemoryDevice>,
    store: StoreId,
    register: Arc<dyn MasterKeyRegister>,
}

impl MemoryBackend {
    /// A backend for one store.
    pub fn new(device: Arc<MemoryDevice>, store: StoreId, register: Arc<dyn MasterKeyRegister>) -> Self {
        Self { device, store, register }
    }

    fn check(&self, mkek: MasterKeyId) -> Result<(), StoreError> {
        if self.device.mkeks.lock().unwrap().contains(&mkek) {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "find MKEK", mkek.to_string()))
    }

    async fn wrap(&self, context: &KekContext, key: &[u8]) -> Result<WrappedKek, StoreError> {
        let mkek = self.active_mkek().await?;
        let associated = context.associated_data(mkek, "ideal", &[]);
        let bytes = self.device.cipher.encrypt(mkek.uuid().as_bytes(), associated.as_bytes(), key);
        Ok(WrappedKek { mkek, bytes })
    }

    fn unwrap(&self, context: &KekContext, kek: &WrappedKek) -> Result<Vec<u8>, StoreError> {
        self.check(kek.mkek)?;
        let associated = context.associated_data(kek.mkek, "ideal", &[]);
        self.device
            .cipher
            .decrypt(kek.mkek.uuid().as_bytes(), associated.as_bytes(), &kek.bytes)
            .ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, "unwrap KEK", context.kek.to_string()))
    }
}

#[async_trait]
impl CryptoBackend for MemoryBackend {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn active_mkek(&self) -> Result<MasterKeyId, StoreError> {
        let keys = self.register.list(MasterKeyPurpose::Mkek(self.store)).await?;
        let active = keys.into_iter().find(|key| key.state == MasterKeyState::Active);
        let active =
            active.ok_or_else(|| StoreError::new(StoreErrorKind::Unavailable, "find MKEK", "none is active"))?;
        self.check(active.id)?;
        Ok(active.id)
    }

    async fn create_kek(&self, context: &KekContext) -> Result<WrappedKek, StoreError> {
        self.wrap(context, &random()).await
    }

    async fn rewrap_kek(&self, context: &KekContext, kek: &WrappedKek) -> Result<WrappedKek, StoreError> {
        self.wrap(context, &self.unwrap(context, kek)?).await
    }

    async fn encrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        payload: &SecretBytes,
    ) -> Result<Vec<u8>, StoreError> {
        Ok(self.device.cipher.encrypt(&self.unwrap(context, kek)?, associated, payload.expose()))
    }

    async fn decrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        ciphertext: &[u8],
    ) -> Result<SecretBytes, StoreError> {
        let key = self.unwrap(context, kek)?;
        let opened = self.device.cipher.decrypt(&key, associated, ciphertext);
        opened
            .map(SecretBytes::new)
            .ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, "decrypt payload", context.kek.to_string()))
    }

    async fn random(&self, length: usize) -> Result<SecretBytes, StoreError> {
        let bytes = std::iter::repeat_with(random).flatten().take(length).collect();
        Ok(SecretBytes::new(bytes))
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.active_mkek().await.map(|_| ())
    }
}
