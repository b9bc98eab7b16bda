//! Sealing: only workers open what an API asks, only the API that asked opens what is answered.
//!
//! HPKE (RFC 9180) in PSK mode gives an API and the workers a secret, once a minute; each message has keys of
//! its own, derived from that secret, its id and its direction. `docs/formats.md` has every byte.

mod context;
mod frame;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut as _, Generate as _, KeyInit as _, Nonce};
use bailey_core::access::Message;
use bailey_core::encoding::Context;
use bailey_core::sensitive::SecretBytes;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::codec::Encoded;

pub use context::{Openers, Sealer, Sealers};
pub use frame::{Head, reply_frame, split_reply};

/// Version of the format.
const FORMAT: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;

/// Why a message is not taken. None is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// It has not the form of a message of this version.
    Malformed,
    /// It is sealed with a version of the keys that is not known here.
    UnknownKey,
    /// It doesn't open: made without the keys, or altered, or another's.
    NotAuthentic,
    /// Its deadline has passed.
    TooLate,
    /// Its deadline is further ahead than any API's.
    TooFarAhead,
}

impl Rejection {
    /// The label in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::NotAuthentic => "not_authentic",
            Self::TooLate => "too_late",
            Self::TooFarAhead => "too_far_ahead",
        }
    }
}

/// What something can't be sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message could not be sealed")]
pub struct NotSealed;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From an API to a worker.
    Request,
    /// Back.
    Reply,
}

impl Direction {
    const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Request => b"request",
            Self::Reply => b"reply",
        }
    }
}

/// One message, both ways: everything that its keys and its associated data are made of.
#[derive(Debug)]
pub struct Letter {
    /// The secret that the API and the workers share.
    secret: std::sync::Arc<SecretBytes>,
    pub message: Message,
    /// The request's wire name.
    pub name: String,
    /// Where the answer goes.
    reply_to: String,
}

impl Letter {
    /// Appends to `head` a nonce, `plaintext` encrypted, and a tag.
    pub fn seal(&self, direction: Direction, mut head: Vec<u8>, plaintext: &[u8]) -> Result<Vec<u8>, NotSealed> {
        let nonce = Nonce::<Aes256Gcm>::generate();
        head.reserve_exact(NONCE + plaintext.len() + TAG);
        head.extend_from_slice(&nonce);
        let start = head.len();
        head.extend_from_slice(plaintext);
        let mut frame = Zeroizing::new(head);
        let context = self.context(direction);
        let (_, body) = frame.split_at_mut(start);
        let tag = self.cipher(direction)?.encrypt_inout_detached(&nonce, context.as_bytes(), body.into());
        frame.extend_from_slice(&tag.map_err(|_| NotSealed)?);
        Ok(std::mem::take(&mut *frame))
    }

    /// Opens what [`seal`](Self::seal) appended.
    pub fn open(&self, direction: Direction, sealed: &[u8]) -> Result<Encoded, Rejection> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(Rejection::Malformed)?;
        let nonce = Nonce::<Aes256Gcm>::try_from(nonce).map_err(|_| Rejection::Malformed)?;
        let cipher = self.cipher(direction).map_err(|_| Rejection::NotAuthentic)?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let opened = cipher.decrypt_in_place(&nonce, self.context(direction).as_bytes(), &mut *bytes);
        opened.map(|()| bytes).map_err(|_| Rejection::NotAuthentic)
    }

    fn cipher(&self, direction: Direction) -> Result<Aes256Gcm, NotSealed> {
        let derivation =
            Context::new("bailey queue message key", FORMAT).field(direction.as_bytes()).uuid(self.message.id.uuid());
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.expose()).map_err(|_| NotSealed)?;
        let key = Zeroizing::new(<[u8; 32]>::from(mac.chain_update(derivation.as_bytes()).finalize().into_bytes()));
        Aes256Gcm::new_from_slice(&*key).map_err(|_| NotSealed)
    }

    fn context(&self, direction: Direction) -> Context {
        Context::new("bailey queue message", FORMAT)
            .field(direction.as_bytes())
            .field(self.name.as_bytes())
            .uuid(self.message.id.uuid())
            .field(&self.message.deadline.timestamp_millis().to_be_bytes())
            .field(self.reply_to.as_bytes())
    }
}

#[cfg(test)]
mod tests;
