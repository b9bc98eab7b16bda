//! Key-check values: they prove that two processes hold the same master key, and nothing else.

use bailey_core::encoding::Context;
use bailey_core::ids::MasterKeyId;
use bailey_core::sensitive::SecretBytes;
use bailey_core::vault::MasterKeyPurpose;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Length of a key-check value in bytes.
const LENGTH: usize = 16;

/// The first 16 bytes of HMAC-SHA256 under the key over its purpose and id.
///
/// Fit to be stored in the clear: it says nothing of a random key but whether another one is equal.
#[must_use]
pub fn key_check_value(purpose: MasterKeyPurpose, id: MasterKeyId, key: &SecretBytes) -> Vec<u8> {
    let context = match purpose {
        MasterKeyPurpose::Mkek(store) => Context::new("bailey key check MKEK", 1).uuid(store.uuid()),
        MasterKeyPurpose::Worker => Context::new("bailey key check worker key", 1),
    };
    // HMAC takes a key of any length (RFC 2104, section 2), so there is no failure to report.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else { return Vec::new() };
    mac.update(context.uuid(id.uuid()).as_bytes());
    mac.finalize().into_bytes().as_slice().iter().take(LENGTH).copied().collect()
}

#[cfg(test)]
mod tests {
    use bailey_core::ids::StoreId;

    use super::*;

    #[test]
    fn it_tells_key_id_and_purpose_apart() {
        let (id, store) = (MasterKeyId::new(), StoreId::new());
        let key = || SecretBytes::new(vec![7; 32]);
        let mut values = vec![
            key_check_value(MasterKeyPurpose::Mkek(store), id, &key()),
            key_check_value(MasterKeyPurpose::Mkek(StoreId::new()), id, &key()),
            key_check_value(MasterKeyPurpose::Worker, id, &key()),
            key_check_value(MasterKeyPurpose::Worker, MasterKeyId::new(), &key()),
            key_check_value(MasterKeyPurpose::Worker, id, &SecretBytes::new(vec![8; 32])),
        ];
        assert_eq!(values[0], key_check_value(MasterKeyPurpose::Mkek(store), id, &key()));
        assert!(values.iter().all(|value| value.len() == LENGTH));
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 5);
    }
}
