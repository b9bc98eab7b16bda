//! Payloads under an unwrapped KEK: AES-256-GCM, or AES-256-CBC and then HMAC-SHA-256.

use bailey_core::encoding::Context;
use bailey_core::sensitive::SecretBytes;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::{GcmMessageParams, GcmParams, GeneratorFunction};
use cryptoki::mechanism::{Mechanism, MessageParam};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::types::Ulong;

use crate::ciphertext::{CbcHmac, GCM_TAG, Gcm, NONCE};
use crate::config::{GcmIv, PayloadMechanism};
use crate::error::{Failure, Fault, Operation, failure};
use crate::mechanism::BLOCK;
use crate::session::OpenToken;

/// The keys of an unwrapped KEK.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) encryption: ObjectHandle,
    /// There if payloads are authenticated with a key of their own.
    pub(crate) mac: Option<ObjectHandle>,
}

impl Keys {
    /// The objects, in the order in which they are wrapped.
    pub(crate) fn objects(self) -> impl Iterator<Item = ObjectHandle> {
        std::iter::once(self.encryption).chain(self.mac)
    }

    pub(crate) const fn payload(self) -> PayloadMechanism {
        match self.mac {
            None => PayloadMechanism::AesGcm,
            Some(_) => PayloadMechanism::AesCbcHmac,
        }
    }

    /// Encrypts: IV, ciphertext, tag.
    pub(crate) fn encrypt(
        self,
        token: &OpenToken,
        session: &Session,
        associated: &[u8],
        payload: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        match (self.mac, token.config.gcm_iv) {
            (Some(mac), _) => self.encrypt_cbc(session, mac, associated, payload),
            (None, GcmIv::Caller) => self.encrypt_gcm(session, draw(session)?, associated, payload),
            (None, GcmIv::Token) if token.mechanisms(session)?.iv_by_message => {
                self.encrypt_message(session, associated, payload)
            }
            (None, GcmIv::Token) => self.encrypt_gcm(session, [0; NONCE], associated, payload),
        }
    }

    /// Opens what [`encrypt`](Self::encrypt) made. `Ok(None)` when it is proven not to be that; where a token's
    /// answer leaves that open, the failure is `Device`.
    pub(crate) fn decrypt(
        self,
        session: &Session,
        associated: &[u8],
        bytes: &[u8],
    ) -> Result<Option<SecretBytes>, Failure> {
        match self.mac {
            Some(mac) => self.decrypt_cbc(session, mac, associated, bytes),
            None => self.decrypt_gcm(session, associated, bytes),
        }
    }

    /// `iv` goes in, and what the token made of it comes out: one that makes IVs itself overwrites it.
    fn encrypt_gcm(
        self,
        session: &Session,
        mut iv: [u8; NONCE],
        associated: &[u8],
        payload: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let parameters = gcm(&mut iv, associated)?;
        let body = session.encrypt(&parameters, self.encryption, payload).map_err(|error| told_encrypt(&error))?;
        if body.len() != payload.len() + GCM_TAG {
            return Err(refuse("the token's answer is not as long as ciphertext and tag"));
        }
        Ok([checked(&iv)?, &body].concat())
    }

    /// By the message functions, where the token makes the IV and returns the tag apart (PKCS#11 3.1, section 5.11).
    fn encrypt_message(self, session: &Session, associated: &[u8], payload: &[u8]) -> Result<Vec<u8>, Failure> {
        let told = |error| told_encrypt(&error);
        let (mut iv, mut tag) = ([0; NONCE], [0; GCM_TAG]);
        let parameters = GcmMessageParams::new(&mut iv, Ulong::new(0), GeneratorFunction::GenerateRandom, &mut tag);
        let parameters = parameters.map_err(told)?;
        session.message_encrypt_init(&Mechanism::AesGcmMessage(parameters), self.encryption).map_err(told)?;
        let made = session.encrypt_message(&MessageParam::AesGcmMessage(parameters), associated, payload);
        let ended = session.message_encrypt_final();
        let body = made.map_err(told)?;
        ended.map_err(told)?;
        if body.len() != payload.len() {
            return Err(refuse("the token's answer is not as long as the payload"));
        }
        Ok([checked(&iv)?, &body, &tag].concat())
    }

    fn decrypt_gcm(self, session: &Session, associated: &[u8], bytes: &[u8]) -> Result<Option<SecretBytes>, Failure> {
        let Some(Gcm { iv, body }) = Gcm::read(bytes) else { return Ok(None) };
        let mut iv = *iv;
        let parameters = gcm(&mut iv, associated)?;
        opened(session.decrypt(&parameters, self.encryption, body))
    }

    fn encrypt_cbc(
        self,
        session: &Session,
        mac: ObjectHandle,
        associated: &[u8],
        payload: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let told = |error| told_encrypt(&error);
        let iv = draw::<BLOCK>(session)?;
        let body = session.encrypt(&Mechanism::AesCbcPad(iv), self.encryption, payload).map_err(told)?;
        if body.len() != (payload.len() / BLOCK + 1) * BLOCK {
            return Err(refuse("the token's answer is not as long as the padded payload"));
        }
        let input = authenticated(associated, &iv, &body);
        let tag = session.sign(&Mechanism::Sha256Hmac, mac, input.as_bytes()).map_err(told)?;
        Ok([&iv, body.as_slice(), &tag].concat())
    }

    /// The MAC first: nothing that wasn't made here reaches the padding.
    fn decrypt_cbc(
        self,
        session: &Session,
        mac: ObjectHandle,
        associated: &[u8],
        bytes: &[u8],
    ) -> Result<Option<SecretBytes>, Failure> {
        let Some(CbcHmac { iv, body, tag }) = CbcHmac::read(bytes) else { return Ok(None) };
        let input = authenticated(associated, iv, body);
        match session.verify(&Mechanism::Sha256Hmac, mac, input.as_bytes(), tag) {
            Ok(()) => opened(session.decrypt(&Mechanism::AesCbcPad(*iv), self.encryption, body)),
            Err(error) if is_wrong_signature(&error) => Ok(None),
            Err(error) => Err(failure(Operation::Decrypt, &error)),
        }
    }
}

fn gcm<'a>(iv: &'a mut [u8; NONCE], associated: &'a [u8]) -> Result<Mechanism<'a>, Failure> {
    let parameters = GcmParams::new(iv, associated, Ulong::new(8 * GCM_TAG as u64));
    parameters.map(Mechanism::AesGcm).map_err(|error| told_encrypt(&error))
}

/// What the MAC of a payload is over.
fn authenticated(associated: &[u8], iv: &[u8], body: &[u8]) -> Context {
    Context::new("bailey payload MAC", 1).field(associated).field(iv).field(body)
}

/// Random bytes for an IV.
pub(crate) fn draw<const N: usize>(session: &Session) -> Result<[u8; N], Failure> {
    let mut iv = [0; N];
    session.generate_random_slice(&mut iv).map_err(|error| failure(Operation::Random, &error))?;
    checked(&iv)?;
    Ok(iv)
}

/// An IV that was made: a zero one was not, and a second one like it would undo GCM.
fn checked(iv: &[u8]) -> Result<&[u8], Failure> {
    if iv.iter().all(|byte| *byte == 0) {
        return Err(refuse("the token made no IV: set gcm_iv = \"caller\" for such a token"));
    }
    Ok(iv)
}

fn opened(decrypted: Result<Vec<u8>, Error>) -> Result<Option<SecretBytes>, Failure> {
    decrypted.map(|payload| Some(SecretBytes::new(payload))).map_err(|error| failure(Operation::Decrypt, &error))
}

pub(crate) const fn is_wrong_signature(error: &Error) -> bool {
    matches!(error, Error::Pkcs11(RvError::SignatureInvalid | RvError::SignatureLenRange, _))
}

fn told_encrypt(error: &Error) -> Failure {
    failure(Operation::Encrypt, error)
}

fn refuse(sentence: &str) -> Failure {
    Failure::new(Operation::Encrypt, Fault::Device, sentence)
}
