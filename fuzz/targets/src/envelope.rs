//! What a vault keeps for a store in software, after a vandal was there: ciphertexts and wrapped KEKs.

use std::sync::{Arc, LazyLock};

use bailey_core::clock::Clock;
use bailey_core::crypto::{KekContext, WrappedKek};
use bailey_core::encoding::Context;
use bailey_core::envelope::{EnvelopeConfig, EnvelopeStore, StoreIdentity};
use bailey_core::ids::{DeploymentId, KekId, MasterKeyId, StoreId};
use bailey_core::keyring::KeyRing;
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::{RetrieveRequest, SecretStore as _, StoreErrorKind, StoreReference};
use bailey_core::vault::{Ciphertext, Inserted, KekState, MasterKeyPurpose, ProjectKek, Vault as _};
use bailey_store_simple::{Config, SimpleBackend, key_check_value};
use bailey_testkit::memory::MemoryVault;
use chrono::DateTime;

use crate::fixture::{PLAINTEXT, id, place, project, seal, wait};

const MKEK: [u8; 32] = [1; 32];
const KEK: [u8; 32] = [2; 32];
/// First byte of each format.
const VERSION: u8 = 1;

/// A store with one payload in it.
struct Kept {
    vault: Arc<MemoryVault>,
    store: EnvelopeStore<SimpleBackend>,
}

impl Kept {
    fn new() -> Self {
        let (store, kek, mkek) = (store(), kek(), mkek());
        let vault = Arc::new(MemoryVault::default());
        let purpose = MasterKeyPurpose::Mkek(store);
        vault.add_master_key(purpose, mkek, key_check_value(purpose, mkek, &SecretBytes::new(MKEK.to_vec())));
        vault.activate_master_key(mkek);
        let made_at = DateTime::UNIX_EPOCH;
        let wrapped = WrappedKek { mkek, bytes: wrapped() };
        let row = ProjectKek {
            id: kek,
            store,
            project: project(),
            state: KekState::Active,
            wrapped,
            reserved: 0,
            created_at: made_at,
        };
        assert!(wait(vault.insert_kek(&row)).expect("a KEK"));
        let row = Ciphertext { place: place(), kek, bytes: encrypted().into(), created_at: made_at };
        assert_eq!(wait(vault.insert_ciphertext(store, &row)).expect("a ciphertext"), Inserted::Yes);
        let ring = KeyRing::new(move || Ok([(mkek, SecretBytes::new(MKEK.to_vec()))].into())).expect("keys");
        let backend = SimpleBackend::new(store, &Config::default(), Arc::new(ring), Arc::clone(&vault) as _);
        let identity = StoreIdentity { deployment: deployment(), store, name: "fuzzed".to_owned() };
        let clock = Clock::from_fn(move || made_at);
        let store = EnvelopeStore::new(identity, &EnvelopeConfig::default(), backend, Arc::clone(&vault) as _, clock);
        Self { vault, store }
    }

    /// Whether there is a payload, which is the right one then. Whatever was altered is found to be corrupt.
    fn opens(&self, reference: Vec<u8>) -> bool {
        let (place, reference) = (place(), StoreReference(reference));
        match wait(self.store.retrieve(RetrieveRequest { place: &place, reference: &reference, verify: true })) {
            Ok(payload) => assert_eq!(payload.expose(), PLAINTEXT, "another payload than was encrypted"),
            Err(error) => {
                assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
                return false;
            }
        }
        true
    }
}

fn deployment() -> DeploymentId {
    id(10)
}

fn store() -> StoreId {
    id(11)
}

fn kek() -> KekId {
    id(12)
}

fn mkek() -> MasterKeyId {
    id(13)
}

fn wrapped() -> Vec<u8> {
    let context = KekContext { deployment: deployment(), store: store(), project: project(), kek: kek() };
    let sealed = seal(&MKEK, |nonce| context.associated_data(mkek(), "AES-256-GCM", nonce), &KEK);
    [vec![VERSION], sealed].concat()
}

fn referred() -> Vec<u8> {
    [&[VERSION], place().write.uuid().as_bytes().as_slice()].concat()
}

fn encrypted() -> Vec<u8> {
    let place = place();
    let associated = Context::new("bailey payload", 1)
        .uuid(store().uuid())
        .field(place.project.as_str().as_bytes())
        .uuid(place.secret.uuid())
        .uuid(place.write.uuid())
        .uuid(kek().uuid());
    [vec![VERSION], seal(&KEK, |_| associated, PLAINTEXT)].concat()
}

/// A ciphertext in the vault: what was encrypted comes out of it, or nothing.
pub fn ciphertext(bytes: &[u8]) -> bool {
    static KEPT: LazyLock<Kept> = LazyLock::new(Kept::new);
    KEPT.vault.replace_ciphertext(place().write, bytes.to_vec());
    KEPT.opens(referred())
}

/// What a corpus of ciphertexts begins with.
pub fn ciphertext_seeds() -> Vec<Vec<u8>> {
    altered(encrypted())
}

/// A KEK's wrapping in the vault: the KEK comes out of it, or nothing.
pub fn wrapping(bytes: &[u8]) -> bool {
    static KEPT: LazyLock<Kept> = LazyLock::new(Kept::new);
    KEPT.vault.replace_wrapping(kek(), bytes.to_vec());
    KEPT.opens(referred())
}

/// What a corpus of wrapped KEKs begins with.
pub fn wrapping_seeds() -> Vec<Vec<u8>> {
    altered(wrapped())
}

/// A reference to the payload: it leads to that, or nowhere.
pub fn reference(bytes: &[u8]) -> bool {
    static KEPT: LazyLock<Kept> = LazyLock::new(Kept::new);
    KEPT.opens(bytes.to_vec())
}

/// What a corpus of references begins with.
pub fn reference_seeds() -> Vec<Vec<u8>> {
    let made = referred();
    let (unknown, longer) = ([&[VERSION + 1], &made[1..]].concat(), [made.as_slice(), &[0]].concat());
    vec![made, unknown, longer, Vec::new()]
}

/// What was made, the same of an unknown version, and so short that there is just no body, or no tag.
fn altered(made: Vec<u8>) -> Vec<Vec<u8>> {
    let unknown = [&[VERSION + 1], &made[1..]].concat();
    let (empty, cut) = (made[..29].to_vec(), made[..28].to_vec());
    vec![made, unknown, empty, cut]
}
