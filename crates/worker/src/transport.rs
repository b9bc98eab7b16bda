//! What is wrapped to a store's transport key: payloads on their way in, and the session keys under which
//! payloads go out.
//!
//! The key pair is derived from the worker key, so that every worker has the private half and nobody
//! stores it. `docs/transport-keys.md` describes what clients do.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Nonce, Payload};
use bailey_core::encoding::Context;
use bailey_core::failure::Failure;
use bailey_core::ids::{ProjectId, SecretId, TransportKeyId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::transport_key::Origin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, Serializable as _, single_shot_open};
use sha2::Sha256;

use crate::seal::Sealer;

/// What HPKE's `info` (RFC 9180, section 8.1) begins with: the two kinds of wrapped bytes never pass for
/// each other. It is `info` that binds and not associated data, because clients' libraries don't all take
/// the latter.
const PAYLOAD: &str = "bailey payload v1 ";
const SESSION_KEY: &str = "bailey session key v1 ";

/// SubjectPublicKeyInfo of X25519 (RFC 8410, section 4) up to the key's 32 bytes.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00];

/// Length of an encapsulated key.
const ENCAPSULATED: usize = 32;

/// The bytes are not wrapped to this key for this purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotWrapped;

/// A transport key with its private half.
pub(crate) struct KeyPair {
    private: <X25519HkdfSha256 as Kem>::PrivateKey,
    public: <X25519HkdfSha256 as Kem>::PublicKey,
}

impl KeyPair {
    /// Derives the pair (RFC 9180, section 7.1.3).
    ///
    /// # Errors
    /// `Unavailable` when this process lacks the version of the worker key.
    pub(crate) fn derive(sealer: &Sealer, id: TransportKeyId, origin: Origin) -> Result<Self, Failure> {
        let Origin { store, worker_key } = origin;
        let context =
            Context::new("bailey transport key", 1).uuid(store.uuid()).uuid(id.uuid()).uuid(worker_key.uuid());
        let mut mac = Hmac::<Sha256>::new_from_slice(sealer.key(worker_key)?.expose())
            .map_err(|_| Failure::internal("HMAC takes no such key"))?;
        mac.update(context.as_bytes());
        let seed = SecretBytes::new(mac.finalize().into_bytes().to_vec());
        let (private, public) = X25519HkdfSha256::derive_keypair(seed.expose());
        Ok(Self { private, public })
    }

    /// The public half as PEM.
    pub(crate) fn public_pem(&self) -> String {
        let encoded = STANDARD.encode([SPKI.as_slice(), self.public.to_bytes().as_slice()].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{encoded}\n-----END PUBLIC KEY-----\n")
    }

    /// Unwraps a payload for a project: whoever sees it on its way can't store it in another one and
    /// read it there.
    pub(crate) fn unwrap_payload(&self, project: &ProjectId, wrapped: &[u8]) -> Result<SecretBytes, NotWrapped> {
        self.open(&format!("{PAYLOAD}{project}"), wrapped)
    }

    /// Unwraps the key under which a secret's payload is to be handed out.
    pub(crate) fn unwrap_session_key(&self, secret: SecretId, wrapped: &[u8]) -> Result<SecretBytes, NotWrapped> {
        self.open(&format!("{SESSION_KEY}{secret}"), wrapped)
    }

    fn open(&self, info: &str, wrapped: &[u8]) -> Result<SecretBytes, NotWrapped> {
        let (encapsulated, ciphertext) = wrapped.split_at_checked(ENCAPSULATED).ok_or(NotWrapped)?;
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| NotWrapped)?;
        single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private,
            &encapsulated,
            info.as_bytes(),
            ciphertext,
            &[],
        )
        .map(SecretBytes::new)
        .map_err(|_| NotWrapped)
    }
}

/// Encrypts a payload under a session key: a random nonce, the ciphertext, its tag. It is bound to the
/// secret, so that no other one's is taken for it.
///
/// # Errors
/// `Internal` when the session key has another length than it was checked for.
pub(crate) fn encrypt(key: &SecretBytes, secret: SecretId, payload: &SecretBytes) -> Result<SecretBytes, Failure> {
    let fault = || Failure::internal("a payload could not be encrypted under a session key");
    let cipher = Aes256Gcm::new_from_slice(key.expose()).map_err(|_| fault())?;
    let nonce = Nonce::<Aes256Gcm>::generate();
    let associated = secret.to_string();
    let message = Payload { msg: payload.expose(), aad: associated.as_bytes() };
    let ciphertext = cipher.encrypt(&nonce, message).map_err(|_| fault())?;
    Ok(SecretBytes::new([nonce.as_slice(), &ciphertext].concat()))
}
