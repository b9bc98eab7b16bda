//! What several targets need: ids and keys that are always the same, so that what was sealed once opens in every run.

use std::sync::LazyLock;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _, Nonce, Payload};
use bailey_core::encoding::Context;
use bailey_core::ids::{ProjectId, SecretId, WriteId};
use bailey_core::store::Place;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

/// What everything that is sealed here holds: whatever opens must be this.
pub const PLAINTEXT: &[u8] = b"the one thing that was ever sealed with these keys";

const NONCE: [u8; 12] = [3; 12];

/// The id with this number.
pub fn id<T: From<Uuid>>(number: u128) -> T {
    T::from(Uuid::from_u128(0x0193_a5c0_0000_7000_8000_0000_0000_0000 + number))
}

/// Where what is sealed belongs.
pub fn place() -> Place {
    Place { project: project(), secret: id::<SecretId>(1), write: id::<WriteId>(2) }
}

pub fn project() -> ProjectId {
    ProjectId::new("päron").expect("a project id")
}

/// A nonce, `plaintext` under AES-256-GCM, and a tag, as `docs/formats.md` has them and without the code under test.
/// What is authenticated may depend on the nonce.
pub fn seal(key: &[u8; 32], associated: impl FnOnce(&[u8]) -> Context, plaintext: &[u8]) -> Vec<u8> {
    let cipher = Aes256Gcm::new_from_slice(key).expect("a key");
    let nonce = Nonce::<Aes256Gcm>::try_from(NONCE.as_slice()).expect("a nonce");
    let context = associated(&NONCE);
    let payload = Payload { msg: plaintext, aad: context.as_bytes() };
    [NONCE.to_vec(), cipher.encrypt(&nonce, payload).expect("a ciphertext")].concat()
}

/// A runtime for all targets.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a runtime"));
    &RUNTIME
}

/// Waits for what never has to wait for anything outside.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// Seeds that are text.
pub fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
