//! Tokens of Keystone (Identity API v3): shown to Keystone once, then remembered for a while.
//!
//! A verdict is believed for `cache_seconds` after the question was asked, so that is how long a revoked
//! token may go on working; what the token itself says of its end counts at any moment. While Keystone
//! gives no answer, verdicts in a token's favour are believed for `outage_seconds` more, and every other
//! token is `Unavailable`: nobody is turned away on a guess.

mod client;
mod config;
mod flights;
mod memory;
mod numbers;
mod reach;
mod service_user;
mod verdict;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bailey_core::access::{Authenticator, Caller, Credentials};
use bailey_core::clock::Clock;
use bailey_core::failure::Failure;
use bailey_core::sensitive::SecretText;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::token;
use client::{Client, Said, Trouble};
use flights::Flights;
use memory::{Key, Memory};
use numbers::Numbers;
use reach::Reach;
use service_user::ServiceUser;
use verdict::Verdict;

pub use config::Config;

/// Questions to Keystone at a time; further ones wait.
const QUESTIONS: usize = 64;
/// Far above what Keystone issues: Fernet tokens have about 200 characters, signed ones (JWS) about 1,000.
const LONGEST_TOKEN: usize = 8 << 10;

/// Recognises Keystone's tokens.
///
/// Whatever could be one of its tokens is taken for one, unless it has the form of a static token.
pub struct KeystoneAuthenticator(Arc<Inner>);

struct Inner {
    client: Client,
    service_user: ServiceUser,
    memory: Memory,
    flights: Flights<Key, Result<Verdict, Failure>>,
    reach: Reach,
    questions: Semaphore,
    timeout: Duration,
    clock: Clock,
    numbers: Numbers,
}

impl KeystoneAuthenticator {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// When the URL is none, or the CA file can't be used.
    pub fn new(config: &Config, clock: Clock) -> Result<Self, Error> {
        config.warn();
        Ok(Self(Arc::new(Inner {
            client: Client::new(config)?,
            service_user: ServiceUser::new(config),
            memory: Memory::new(config)?,
            flights: Flights::default(),
            reach: Reach::new(),
            questions: Semaphore::new(QUESTIONS),
            timeout: config.timeout(),
            clock,
            numbers: Numbers::new(),
        })))
    }

    async fn find_out(&self, key: Key, token: &SecretText) -> Result<Verdict, Failure> {
        self.0.numbers.misses.increment(1);
        let validate = || {
            let (inner, token) = (Arc::clone(&self.0), SecretText::new(token.expose().to_owned()));
            async move { inner.validate(key, &token).await }
        };
        match self.0.flights.join(key, validate).await {
            Err(failure) => match self.0.memory.stale(&key, self.0.clock.now()) {
                Some(good) => {
                    self.0.numbers.stale.increment(1);
                    Ok(Verdict::Good(good))
                }
                None => Err(failure),
            },
            verdict => verdict,
        }
    }
}

#[async_trait]
impl Authenticator for KeystoneAuthenticator {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<Caller>, Failure> {
        let Some(token) = credentials.token.as_ref().filter(|token| may_be_keystone_s(token.expose())) else {
            return Ok(None);
        };
        let key = self.0.memory.key(token);
        let verdict = match self.0.memory.fresh(&key, self.0.clock.now()) {
            Some(verdict) => {
                self.0.numbers.hits.increment(1);
                verdict
            }
            None => self.find_out(key, token).await?,
        };
        verdict.caller(self.0.clock.now()).map(Some)
    }
}

impl Inner {
    async fn validate(&self, key: Key, token: &SecretText) -> Result<Verdict, Failure> {
        let asked_at = self.clock.now();
        // Somebody else's question may have been answered since this one was put.
        if let Some(verdict) = self.memory.fresh(&key, asked_at) {
            return Ok(verdict);
        }
        let begun_at = Instant::now();
        let outcome = self.ask(token, begun_at + self.timeout).await;
        self.numbers.validated(&outcome, begun_at.elapsed());
        match outcome {
            Ok(verdict) => {
                self.memory.keep(key, &verdict, asked_at);
                Ok(verdict)
            }
            Err(trouble) => Err(Failure::unavailable("Keystone gives no answer").with_detail(trouble.to_string())),
        }
    }

    async fn ask(&self, token: &SecretText, deadline: Instant) -> Result<Verdict, Trouble> {
        let pass = self.reach.enter()?;
        let permit = timeout_at(deadline, self.questions.acquire()).await;
        let _permit = permit.map_err(|_| Trouble::Busy)?.map_err(|_| Trouble::Busy)?;
        let outcome = self.put_question(token, deadline).await;
        pass.leave(!matches!(outcome, Err(Trouble::Silent(_))));
        outcome
    }

    async fn put_question(&self, token: &SecretText, deadline: Instant) -> Result<Verdict, Trouble> {
        for _ in 0..2 {
            let own = self.service_user.token(&self.client, &self.clock, deadline).await?;
            match self.client.validate(&own, token, deadline).await? {
                Said::Token(body) => return verdict::read(&body),
                Said::Unknown => return Ok(Verdict::Refused(verdict::Refusal::Unknown)),
                // It may have been revoked, or Keystone's keys replaced: another one helps, if anything does.
                Said::AskerUnknown => self.service_user.forget(&own),
            }
        }
        Err(Trouble::Odd("it takes no token of the service user's".to_owned()))
    }
}

/// Tokens are base64url, perhaps in parts with dots between (Fernet, JWS), or hex digits.
fn may_be_keystone_s(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=');
    !text.is_empty() && text.len() <= LONGEST_TOKEN && text.bytes().all(is_good) && !token::has_form(text)
}

/// Why Keystone can't be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none.
    #[error("auth.keystone.url: {0}")]
    Url(String),
    /// The certificates can't be read.
    #[error("auth.keystone.ca_file: {0}")]
    Certificates(String),
    /// Something of the system's is missing.
    #[error("Keystone can't be asked: {0}")]
    System(String),
}
