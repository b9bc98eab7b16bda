//! Sealed references, as a vandal may leave them in the metadata database.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bailey_core::budget::{Budget, MasterKeyBudget};
use bailey_core::encoding::Context;
use bailey_core::failure::FailureKind;
use bailey_core::ids::{MasterKeyId, StoreId};
use bailey_core::keyring::KeyRing;
use bailey_core::sensitive::SecretBytes;
use bailey_core::vault::MasterKeyPurpose;
use bailey_testkit::memory::MemoryVault;
use bailey_worker::Sealer;

use crate::fixture::{PLAINTEXT, id, place, seal};

const WORKER_KEY: [u8; 32] = [4; 32];

fn store() -> StoreId {
    id(20)
}

fn key() -> MasterKeyId {
    id(21)
}

fn sealer() -> Sealer {
    let ring = KeyRing::new(|| Ok([(key(), SecretBytes::new(WORKER_KEY.to_vec()))].into())).expect("keys");
    let budget = Budget { limit: 1, block: 1 };
    let register = Arc::new(MemoryVault::default());
    Sealer::new(Arc::new(ring), MasterKeyBudget::new(register, MasterKeyPurpose::Worker, budget, Duration::ZERO))
}

/// A sealed reference: what was sealed comes out of it, or nothing.
pub fn sealed(bytes: &[u8]) -> bool {
    static SEALER: LazyLock<Sealer> = LazyLock::new(sealer);
    match SEALER.open(store(), &place(), key(), bytes) {
        Ok(reference) => assert_eq!(reference.0, PLAINTEXT, "another reference than was sealed"),
        Err(failure) => {
            assert_eq!(failure.kind, FailureKind::Corrupt, "{failure}");
            return false;
        }
    }
    true
}

/// What a corpus of sealed references begins with.
pub fn sealed_seeds() -> Vec<Vec<u8>> {
    let place = place();
    let associated = Context::new("bailey store reference", 1)
        .uuid(store().uuid())
        .field(place.project.as_str().as_bytes())
        .uuid(place.secret.uuid())
        .uuid(place.write.uuid())
        .uuid(key().uuid());
    let sealed = seal(&WORKER_KEY, |_| associated, PLAINTEXT);
    let made = [&[1], key().uuid().as_bytes().as_slice(), &sealed].concat();
    let (unknown, cut) = ([&[2], &made[1..]].concat(), made[..29].to_vec());
    vec![made, unknown, cut]
}
