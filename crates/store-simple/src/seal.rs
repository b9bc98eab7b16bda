//! AES-256-GCM as this backend writes it: nonce, ciphertext, tag.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::StoreError;
use zeroize::Zeroizing;

use crate::error;

/// Length of the nonce in bytes.
pub(crate) const NONCE: usize = 12;
/// Length of the tag in bytes.
const TAG: usize = 16;

/// A cipher, unless the key has not 32 bytes.
pub(crate) fn cipher(key: &[u8]) -> Option<Aes256Gcm> {
    Aes256Gcm::new_from_slice(key).ok()
}

/// A random nonce.
pub(crate) fn nonce() -> Result<[u8; NONCE], StoreError> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(error::random)?;
    Ok(nonce)
}

/// `prefix`, nonce, ciphertext, tag: in one buffer of the final size, so that no growing leaves a
/// copy of the plaintext behind.
pub(crate) fn encrypt(
    cipher: &Aes256Gcm,
    prefix: &[u8],
    nonce: [u8; NONCE],
    associated: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let start = prefix.len() + NONCE;
    let mut buffer = Zeroizing::new(Vec::with_capacity(start + plain.len() + TAG));
    buffer.extend_from_slice(prefix);
    buffer.extend_from_slice(&nonce);
    buffer.extend_from_slice(plain);
    let tag = cipher
        .encrypt_inout_detached(&Nonce::from(nonce), associated, (&mut buffer[start..]).into())
        .map_err(|_| error::too_long())?;
    buffer.extend_from_slice(&tag);
    Ok(std::mem::take(&mut *buffer))
}

/// Opens nonce, ciphertext, tag; `None` when anything is not as it was.
pub(crate) fn decrypt(cipher: &Aes256Gcm, associated: &[u8], bytes: &[u8]) -> Option<SecretBytes> {
    let (nonce, rest) = bytes.split_first_chunk::<NONCE>()?;
    let (body, tag) = rest.split_last_chunk::<TAG>()?;
    let mut plain = Zeroizing::new(body.to_vec());
    cipher
        .decrypt_inout_detached(&Nonce::from(*nonce), associated, plain.as_mut_slice().into(), &Tag::from(*tag))
        .ok()?;
    Some(SecretBytes::new(std::mem::take(&mut *plain)))
}
