//! A digest that is encrypted with each payload, so that one which changed on its way from or to the token is
//! noticed: a token verifies what it was given, and nobody verifies what it gives.

use bailey_core::sensitive::SecretBytes;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Length of the digest in bytes.
const LENGTH: usize = 16;

/// A payload and its digest, as they are encrypted.
pub(crate) fn add(payload: &SecretBytes) -> SecretBytes {
    let mut both = Vec::with_capacity(payload.len() + LENGTH);
    both.extend_from_slice(payload.expose());
    both.extend_from_slice(&of(payload.expose()));
    SecretBytes::new(both)
}

/// The payload, if it is the one that the digest was made of.
pub(crate) fn remove(both: &SecretBytes) -> Option<SecretBytes> {
    let (payload, digest) = both.expose().split_last_chunk::<LENGTH>()?;
    let is_same: bool = of(payload).ct_eq(digest).into();
    is_same.then(|| SecretBytes::new(payload.to_vec()))
}

/// The first bytes of the SHA-256 digest.
fn of(payload: &[u8]) -> [u8; LENGTH] {
    let digest = Sha256::digest(payload);
    std::array::from_fn(|index| digest[index])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_payload_that_changed_is_noticed() {
        for payload in [b"".as_slice(), b"payload"] {
            let both = add(&SecretBytes::new(payload.to_vec()));
            assert_eq!(remove(&both).unwrap().expose(), payload);
            for index in 0..both.len() {
                let mut changed = both.expose().to_vec();
                changed[index] ^= 1;
                assert!(remove(&SecretBytes::new(changed)).is_none());
            }
            assert!(remove(&SecretBytes::new(both.expose()[1..].to_vec())).is_none());
        }
        assert!(remove(&SecretBytes::new(vec![0; LENGTH - 1])).is_none());
    }
}
