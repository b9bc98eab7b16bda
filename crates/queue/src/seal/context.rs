//! The secrets that an API process and the workers share for a minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bailey_core::access::Message;
use bailey_core::encoding::Context;
use bailey_core::ids::QueueKeyId;
use bailey_core::sensitive::SecretBytes;
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{
    Deserializable as _, Kem, OpModeR, OpModeS, PskBundle, Serializable as _, setup_receiver, setup_sender_with_rng,
};
use moka::sync::Cache;
use zeroize::Zeroizing;

use super::frame::ENCAPSULATED;
use super::{FORMAT, Head, Letter, NotSealed, Rejection};
use crate::keys::{ApiKeys, WorkerKeys};

/// How long an API process seals under one secret.
const LIFE: Duration = Duration::from_secs(60);
/// How many secrets workers keep, and how long unused: of each API process the last few minutes'.
const KEPT: u64 = 4096;
const KEPT_IDLE: Duration = Duration::from_secs(300);

const EXPORTED: &[u8] = b"bailey queue secret v1";

/// One secret, as the API that made it holds it.
pub struct Sealer {
    key: QueueKeyId,
    encapsulated: [u8; ENCAPSULATED],
    secret: Arc<SecretBytes>,
    made_at: Instant,
}

impl Sealer {
    /// A fresh secret under the keys' active version.
    pub fn new(keys: &ApiKeys) -> Result<Self, NotSealed> {
        let (key, public, psk) = keys.active().ok_or(NotSealed)?;
        let id = key.uuid();
        let psk = PskBundle::new(psk.expose(), id.as_bytes()).map_err(|_| NotSealed)?;
        let (encapsulated, context) = setup_sender_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Psk(psk),
            &public,
            info(key).as_bytes(),
            &mut UnwrapErr(SysRng),
        )
        .map_err(|_| NotSealed)?;
        let secret = exported(|out| context.export(EXPORTED, out).ok()).ok_or(NotSealed)?;
        Ok(Self {
            key,
            encapsulated: encapsulated.to_bytes().into(),
            secret: Arc::new(secret),
            made_at: Instant::now(),
        })
    }

    /// A message under this secret, and what is to stand before it.
    pub fn letter(&self, message: Message, name: &str, reply_to: String) -> (Letter, Vec<u8>) {
        let head = Head { key: self.key, encapsulated: self.encapsulated, message, name: name.to_owned() };
        let bytes = head.to_bytes();
        (Letter { secret: Arc::clone(&self.secret), message, name: head.name, reply_to }, bytes)
    }
}

/// The secret that an API process seals under now.
#[derive(Default)]
pub struct Sealers(Mutex<Option<Arc<Sealer>>>);

impl Sealers {
    /// The current one; another one every minute, and when another version of the keys is active.
    pub fn current(&self, keys: &ApiKeys) -> Result<Arc<Sealer>, NotSealed> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let active = keys.active().map(|(id, ..)| id);
        match &*current {
            Some(sealer) if sealer.made_at.elapsed() < LIFE && Some(sealer.key) == active => Ok(Arc::clone(sealer)),
            _ => {
                let made = Arc::new(Sealer::new(keys)?);
                *current = Some(Arc::clone(&made));
                Ok(made)
            }
        }
    }
}

/// The secrets of all API processes, as a worker finds them.
pub struct Openers(Cache<(QueueKeyId, [u8; ENCAPSULATED]), Arc<SecretBytes>>);

impl Default for Openers {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(KEPT).time_to_idle(KEPT_IDLE).build())
    }
}

impl Openers {
    #[cfg(test)]
    pub fn count(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.entry_count()
    }

    /// Opens a request that is answered to `reply_to`.
    ///
    /// # Errors
    /// `UnknownKey`, `NotAuthentic`, `Malformed`.
    pub fn open(
        &self,
        keys: &WorkerKeys,
        head: Head,
        reply_to: &str,
        sealed: &[u8],
    ) -> Result<(Letter, crate::codec::Encoded), Rejection> {
        let Head { key, encapsulated, message, name } = head;
        if !keys.has(key) {
            return Err(Rejection::UnknownKey);
        }
        let held = self.0.get(&(key, encapsulated));
        let is_new = held.is_none();
        let secret = match held {
            Some(secret) => secret,
            None => Arc::new(shared(keys, key, &encapsulated).ok_or(Rejection::NotAuthentic)?),
        };
        let letter = Letter { secret, message, name, reply_to: reply_to.to_owned() };
        let opened = letter.open(super::Direction::Request, sealed)?;
        // Only what a holder of the keys made: nobody else gets to fill the cache.
        if is_new {
            self.0.insert((key, encapsulated), Arc::clone(&letter.secret));
        }
        Ok((letter, opened))
    }
}

/// The secret behind an encapsulated key.
fn shared(keys: &WorkerKeys, key: QueueKeyId, encapsulated: &[u8]) -> Option<SecretBytes> {
    let (private, psk) = keys.get(key)?;
    let id = key.uuid();
    let psk = PskBundle::new(psk.expose(), id.as_bytes()).ok()?;
    let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
    let context = setup_receiver::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Psk(psk),
        &private,
        &encapsulated,
        info(key).as_bytes(),
    );
    let context = context.ok()?;
    exported(|out| context.export(EXPORTED, out).ok())
}

fn exported(export: impl FnOnce(&mut [u8]) -> Option<()>) -> Option<SecretBytes> {
    let mut secret = Zeroizing::new(vec![0; 32]);
    export(&mut secret)?;
    Some(SecretBytes::new(std::mem::take(&mut *secret)))
}

fn info(key: QueueKeyId) -> Context {
    Context::new("bailey queue", FORMAT).uuid(key.uuid())
}
