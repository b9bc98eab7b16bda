//! The bytes of a ciphertext, taken apart. Whatever comes from a vault goes through here before a token sees it.

use crate::mechanism::BLOCK;
use crate::wrapping::TAG;

/// Length of the nonce of GCM in bytes.
pub(crate) const NONCE: usize = 12;
/// Length of the tag of GCM in bytes.
pub(crate) const GCM_TAG: usize = 16;

/// A ciphertext of AES-256-GCM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcm<'a> {
    /// The nonce.
    pub iv: &'a [u8; NONCE],
    /// What is encrypted, and behind it the tag: as PKCS#11 has them.
    pub body: &'a [u8],
}

impl<'a> Gcm<'a> {
    /// `None` when it is too short to be one.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (iv, body) = bytes.split_first_chunk()?;
        (body.len() >= GCM_TAG).then_some(Self { iv, body })
    }
}

/// A ciphertext of AES-256-CBC, authenticated with HMAC-SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CbcHmac<'a> {
    /// The IV.
    pub iv: &'a [u8; BLOCK],
    /// What is encrypted: whole blocks, at least one.
    pub body: &'a [u8],
    /// The MAC.
    pub tag: &'a [u8; TAG],
}

impl<'a> CbcHmac<'a> {
    /// `None` when it is not as long as one can be.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (iv, rest) = bytes.split_first_chunk()?;
        let (body, tag) = rest.split_last_chunk()?;
        (!body.is_empty() && body.len().is_multiple_of(BLOCK)).then_some(Self { iv, body, tag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lengths_that_can_be_are_read() {
        let bytes = [7; 100];
        let lengths =
            |is_read: fn(&[u8]) -> bool| (0..=100).filter(|&length| is_read(&bytes[..length])).collect::<Vec<_>>();
        assert_eq!(lengths(|bytes| Gcm::read(bytes).is_some()), (28..=100).collect::<Vec<_>>());
        assert_eq!(lengths(|bytes| CbcHmac::read(bytes).is_some()), [64, 80, 96]);
    }
}
