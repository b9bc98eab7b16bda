//! AES-256-GCM under one key that lives as long as the process.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, Generate, Key, KeyInit, Nonce, Payload};
use anyhow::{Context, Result, anyhow};
use uuid::Uuid;

const NONCE: usize = 12;

pub struct Cipher(Aes256Gcm);

impl Cipher {
    pub fn generate() -> Self {
        Cipher(Aes256Gcm::new(&Key::<Aes256Gcm>::generate()))
    }

    /// The nonce, then what AES-GCM makes, bound to `write`.
    pub fn encrypt(&self, write: Uuid, payload: &[u8]) -> Result<Vec<u8>> {
        let nonce = Nonce::<Aes256Gcm>::generate();
        let bytes = self.0.encrypt(&nonce, Payload { msg: payload, aad: write.as_bytes() });
        let mut ciphertext = nonce.to_vec();
        ciphertext.extend(bytes.map_err(|_| anyhow!("not encrypted"))?);
        Ok(ciphertext)
    }

    pub fn decrypt(&self, write: Uuid, ciphertext: &[u8]) -> Result<Vec<u8>> {
        let (nonce, bytes) = ciphertext.split_at_checked(NONCE).context("too short")?;
        let nonce = Nonce::<Aes256Gcm>::try_from(nonce)?;
        self.0.decrypt(&nonce, Payload { msg: bytes, aad: write.as_bytes() }).map_err(|_| anyhow!("not decrypted"))
    }
}
