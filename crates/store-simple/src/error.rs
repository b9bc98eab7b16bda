//! How this backend's failures become store errors.

use bailey_core::ids::{KekId, MasterKeyId};
use bailey_core::keyring::KeySourceError;
use bailey_core::store::{StoreError, StoreErrorKind};

/// The wrapping of this KEK is not what was made.
pub(crate) fn corrupt_wrapping(kek: KekId) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "unwrap KEK", format!("KEK {kek}"))
}

/// The ciphertext is not what was made, or not for this associated data.
pub(crate) fn corrupt_ciphertext(kek: KekId) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "decrypt payload", format!("under KEK {kek}"))
}

/// The key ring doesn't have this version.
pub(crate) fn missing_mkek(mkek: MasterKeyId) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "find MKEK", format!("the key file has no MKEK {mkek}"))
}

/// The key ring has another key under the id of this version.
pub(crate) fn wrong_mkek(mkek: MasterKeyId) -> StoreError {
    let context = format!("the key file's MKEK {mkek} is not the one that was registered");
    StoreError::new(StoreErrorKind::Unavailable, "find MKEK", context)
}

/// The key ring can't be read.
pub(crate) fn key_source(error: KeySourceError) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "read key file", "").with_source(error)
}

/// The system gives no random bytes.
pub(crate) fn random(error: getrandom::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "draw random bytes", "").with_source(error)
}

/// The cipher refuses to encrypt: more than 64 GiB at once.
pub(crate) fn too_long() -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, "encrypt", "longer than AES-GCM allows")
}
