//! What is remembered of tokens: verdicts under keyed hashes, never the tokens.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::sensitive::SecretText;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use moka::sync::Cache;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Error;
use super::config::{Config, delta};
use super::verdict::{Good, Refusal, Verdict};

/// HMAC-SHA-256 of a token under a key that only this process has: no two processes' memories can be compared,
/// and no token guessed from one.
pub(super) type Key = [u8; 32];

/// Verdicts in favour of tokens, and apart from them verdicts against: tokens that somebody made up must not
/// drive the good ones out.
pub(super) struct Memory {
    mac: Hmac<Sha256>,
    good: Cache<Key, Remembered<Arc<Good>>>,
    refused: Cache<Key, Remembered<Refusal>>,
    good_for: TimeDelta,
    refused_for: TimeDelta,
    outage: TimeDelta,
}

#[derive(Clone)]
struct Remembered<T> {
    verdict: T,
    /// When the question was put: the answer may be as old as that.
    asked_at: DateTime<Utc>,
}

impl<T> Remembered<T> {
    /// A clock that was set back makes nothing live longer.
    fn is_younger(&self, age: TimeDelta, now: DateTime<Utc>) -> bool {
        (TimeDelta::zero()..age).contains(&(now - self.asked_at))
    }
}

impl Memory {
    /// Knows nothing yet.
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let system = |error: &dyn std::fmt::Display| Error::System(error.to_string());
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut()).map_err(|error| system(&error))?;
        let longest = config.cache_seconds + config.outage_seconds;
        let kept = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Ok(Self {
            mac: Hmac::new_from_slice(key.as_ref()).map_err(|error| system(&error))?,
            good: Cache::builder().max_capacity(config.cache_tokens).time_to_live(kept(longest)).build(),
            refused: Cache::builder()
                .max_capacity(config.cache_tokens)
                .time_to_live(kept(config.refused_seconds))
                .build(),
            good_for: delta(config.cache_seconds),
            refused_for: delta(config.refused_seconds),
            outage: delta(config.outage_seconds),
        })
    }

    pub(super) fn key(&self, token: &SecretText) -> Key {
        self.mac.clone().chain_update(token.expose()).finalize().into_bytes().into()
    }

    /// A verdict that is still believed.
    pub(super) fn fresh(&self, key: &Key, now: DateTime<Utc>) -> Option<Verdict> {
        if let Some(known) = self.good.get(key).filter(|known| known.is_younger(self.good_for, now)) {
            return Some(Verdict::Good(known.verdict));
        }
        let known = self.refused.get(key).filter(|known| known.is_younger(self.refused_for, now))?;
        Some(Verdict::Refused(known.verdict))
    }

    /// A verdict in the token's favour that is believed as long as there is no newer one to be had.
    pub(super) fn stale(&self, key: &Key, now: DateTime<Utc>) -> Option<Arc<Good>> {
        let known = self.good.get(key).filter(|known| known.is_younger(self.good_for + self.outage, now))?;
        Some(known.verdict)
    }

    /// Takes the place of whatever was known of the token.
    pub(super) fn keep(&self, key: Key, verdict: &Verdict, asked_at: DateTime<Utc>) {
        match verdict {
            Verdict::Good(good) => {
                self.good.insert(key, Remembered { verdict: Arc::clone(good), asked_at });
                self.refused.invalidate(&key);
            }
            Verdict::Refused(refusal) => {
                self.good.invalidate(&key);
                self.refused.insert(key, Remembered { verdict: *refusal, asked_at });
            }
        }
    }
}
