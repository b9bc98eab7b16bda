//! [`SimpleBackend`]: KEKs wrapped under MKEKs from a key ring, payloads encrypted in this process.

use std::sync::Arc;
use std::time::Duration;

use aes_gcm::Aes256Gcm;
use async_trait::async_trait;
use bailey_core::budget::{Budget, MasterKeyBudget};
use bailey_core::crypto::{CryptoBackend, KekContext, WrappedKek};
use bailey_core::ids::{KekId, MasterKeyId, StoreId};
use bailey_core::keyring::{KeyRing, MASTER_KEY_LENGTH};
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::StoreError;
use bailey_core::vault::{MasterKey, MasterKeyPurpose, MasterKeyRegister};
use moka::sync::Cache;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::check::key_check_value;
use crate::config::Config;
use crate::{error, seal};

/// First byte of every wrapped KEK.
const VERSION: u8 = 1;
/// How this backend names its way of wrapping in associated data.
const MECHANISM: &str = "AES-256-GCM";

/// A crypto backend in software.
///
/// Which MKEK is active is the register's word; the keys themselves come from the ring. Unwrapped
/// KEKs stay in memory, bounded, as prepared ciphers that wipe themselves when dropped.
pub struct SimpleBackend {
    purpose: MasterKeyPurpose,
    ring: Arc<KeyRing>,
    mkeks: MasterKeyBudget,
    unwrapped: Cache<KekId, Arc<Unwrapped>>,
}

/// A prepared KEK with exactly what it was unwrapped from: it serves for nothing else.
struct Unwrapped {
    context: KekContext,
    wrapped: WrappedKek,
    cipher: Aes256Gcm,
}

impl SimpleBackend {
    /// Reads and asks nothing yet.
    #[must_use]
    pub fn new(store: StoreId, config: &Config, ring: Arc<KeyRing>, register: Arc<dyn MasterKeyRegister>) -> Self {
        let purpose = MasterKeyPurpose::Mkek(store);
        let budget = Budget { limit: config.mkek_budget, block: config.mkek_block };
        // Wrapping is rare, so the register is asked each time: an insert under a stale MKEK is refused.
        let mkeks = MasterKeyBudget::new(register, purpose, budget, Duration::ZERO);
        Self { purpose, ring, mkeks, unwrapped: Cache::new(config.unwrapped_keks) }
    }

    fn mkek(&self, id: MasterKeyId) -> Result<Arc<SecretBytes>, StoreError> {
        self.ring.get(id).map_err(error::key_source)?.ok_or_else(|| error::missing_mkek(id))
    }

    /// The key of a registered version, proven to be that one.
    fn proven(&self, registered: &MasterKey) -> Result<Arc<SecretBytes>, StoreError> {
        let key = self.mkek(registered.id)?;
        let value = key_check_value(self.purpose, registered.id, &key);
        if bool::from(value.ct_eq(&registered.check_value)) { Ok(key) } else { Err(error::wrong_mkek(registered.id)) }
    }

    /// Wraps under the active MKEK: version byte, nonce, encrypted KEK, tag.
    async fn wrap(&self, context: &KekContext, kek: &[u8]) -> Result<WrappedKek, StoreError> {
        let active = self.mkeks.take().await?;
        let cipher = seal::cipher(self.proven(&active)?.expose()).ok_or_else(|| error::wrong_mkek(active.id))?;
        let nonce = seal::nonce()?;
        let associated = context.associated_data(active.id, MECHANISM, &nonce);
        let bytes = seal::encrypt(&cipher, &[VERSION], nonce, associated.as_bytes(), kek)?;
        Ok(WrappedKek { mkek: active.id, bytes })
    }

    async fn unwrap(&self, context: &KekContext, kek: &WrappedKek) -> Result<SecretBytes, StoreError> {
        let key = self.mkek(kek.mkek)?;
        let cipher = seal::cipher(key.expose()).ok_or_else(|| error::wrong_mkek(kek.mkek))?;
        let opened = kek.bytes.strip_prefix(&[VERSION]).and_then(|sealed| {
            let associated = context.associated_data(kek.mkek, MECHANISM, sealed.get(..seal::NONCE)?);
            seal::decrypt(&cipher, associated.as_bytes(), sealed).filter(|opened| opened.len() == MASTER_KEY_LENGTH)
        });
        match opened {
            Some(opened) => Ok(opened),
            None => Err(self.blame(context.kek, kek.mkek).await?),
        }
    }

    /// A wrapping that doesn't open is corrupt only if the key file isn't at fault.
    async fn blame(&self, kek: KekId, mkek: MasterKeyId) -> Result<StoreError, StoreError> {
        if let Some(registered) = self.mkeks.find(mkek).await? {
            self.proven(&registered)?;
        }
        Ok(error::corrupt_wrapping(kek))
    }

    /// The prepared KEK, from memory if it was unwrapped from this very wrapping.
    async fn prepared(&self, context: &KekContext, kek: &WrappedKek) -> Result<Arc<Unwrapped>, StoreError> {
        if let Some(held) = self.unwrapped.get(&context.kek)
            && held.wrapped == *kek
            && held.context == *context
        {
            return Ok(held);
        }
        let key = self.unwrap(context, kek).await?;
        let cipher = seal::cipher(key.expose()).ok_or_else(|| error::corrupt_wrapping(context.kek))?;
        let prepared = Arc::new(Unwrapped { context: context.clone(), wrapped: kek.clone(), cipher });
        self.unwrapped.insert(context.kek, Arc::clone(&prepared));
        Ok(prepared)
    }
}

#[async_trait]
impl CryptoBackend for SimpleBackend {
    fn kind(&self) -> &'static str {
        "simple"
    }

    async fn active_mkek(&self) -> Result<MasterKeyId, StoreError> {
        let active = self.mkeks.active().await?;
        self.proven(&active)?;
        Ok(active.id)
    }

    async fn create_kek(&self, context: &KekContext) -> Result<WrappedKek, StoreError> {
        let mut key = Zeroizing::new([0; MASTER_KEY_LENGTH]);
        getrandom::fill(key.as_mut_slice()).map_err(error::random)?;
        self.wrap(context, key.as_slice()).await
    }

    async fn rewrap_kek(&self, context: &KekContext, kek: &WrappedKek) -> Result<WrappedKek, StoreError> {
        let key = self.unwrap(context, kek).await?;
        self.wrap(context, key.expose()).await
    }

    async fn encrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        payload: &SecretBytes,
    ) -> Result<Vec<u8>, StoreError> {
        let kek = self.prepared(context, kek).await?;
        seal::encrypt(&kek.cipher, &[], seal::nonce()?, associated, payload.expose())
    }

    async fn decrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        ciphertext: &[u8],
    ) -> Result<SecretBytes, StoreError> {
        let kek = self.prepared(context, kek).await?;
        seal::decrypt(&kek.cipher, associated, ciphertext).ok_or_else(|| error::corrupt_ciphertext(context.kek))
    }

    async fn random(&self, length: usize) -> Result<SecretBytes, StoreError> {
        let mut bytes = Zeroizing::new(vec![0; length]);
        getrandom::fill(&mut bytes).map_err(error::random)?;
        Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
    }

    async fn health(&self) -> Result<(), StoreError> {
        if let Some(id) = self.ring.missing() {
            return Err(error::missing_mkek(id));
        }
        self.active_mkek().await.map(|_| ())
    }
}
