//! Static tokens: looked up by their public half, compared by the digest of the secret one.

use std::sync::Arc;

use async_trait::async_trait;
use bailey_core::access::{Authenticator, Caller, Credentials, Method, StaticToken, StaticTokens};
use bailey_core::clock::Clock;
use bailey_core::failure::Failure;
use bailey_core::ids::TokenId;
use chrono::{DateTime, TimeDelta, Utc};
use metrics::Counter;
use moka::sync::Cache;
use subtle::ConstantTimeEq;

use crate::chain::unauthenticated;
use crate::token;

/// How long a look-up is remembered, and so how long a revoked token may go on working.
const REMEMBERED: TimeDelta = TimeDelta::seconds(1);
const REMEMBERED_TOKENS: u64 = 10_000;

/// Recognises tokens of the form `id.secret`.
///
/// Only tokens that exist are remembered, for one second, so a new one works with the next request.
/// A missing, revoked, expired and mistaken token get the same answer.
pub struct StaticTokenAuthenticator {
    tokens: Arc<dyn StaticTokens>,
    clock: Clock,
    known: Cache<TokenId, Arc<Known>>,
    hits: Counter,
    misses: Counter,
}

/// A token as it was found.
struct Known {
    secret_sha256: [u8; 32],
    expires_at: Option<DateTime<Utc>>,
    caller: Caller,
    asked_at: DateTime<Utc>,
}

impl StaticTokenAuthenticator {
    /// Looks tokens up in `tokens`.
    #[must_use]
    pub fn new(tokens: Arc<dyn StaticTokens>, clock: Clock) -> Self {
        let lookups = |outcome: &'static str| {
            let method = Method::StaticToken.as_str();
            metrics::counter!("bailey_token_cache_lookups_total", "method" => method, "outcome" => outcome)
        };
        let (hits, misses) = (lookups("hit"), lookups("miss"));
        Self { tokens, clock, known: Cache::new(REMEMBERED_TOKENS), hits, misses }
    }

    /// The token as it is, or was less than a second ago.
    async fn find(&self, id: TokenId) -> Result<Option<Arc<Known>>, Failure> {
        // Counted from before the question: the answer may be as old as that.
        let asked_at = self.clock.now();
        let is_fresh = |known: &Arc<Known>| (TimeDelta::zero()..REMEMBERED).contains(&(asked_at - known.asked_at));
        if let Some(known) = self.known.get(&id).filter(is_fresh) {
            self.hits.increment(1);
            return Ok(Some(known));
        }
        self.misses.increment(1);
        let Some(StaticToken { secret_sha256, user, project, roles, expires_at, .. }) = self.tokens.find(id).await?
        else {
            self.known.invalidate(&id);
            return Ok(None);
        };
        let caller = Caller::new(Some(user), project, roles, Method::StaticToken);
        let known = Arc::new(Known { secret_sha256, expires_at, caller, asked_at });
        self.known.insert(id, Arc::clone(&known));
        Ok(Some(known))
    }
}

#[async_trait]
impl Authenticator for StaticTokenAuthenticator {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<Caller>, Failure> {
        let Some((id, digest)) = credentials.token.as_ref().and_then(|text| token::read(text.expose())) else {
            return Ok(None);
        };
        let Some(known) = self.find(id).await? else { return Err(unauthenticated()) };
        let is_right = bool::from(known.secret_sha256.ct_eq(&digest));
        let is_current = known.expires_at.is_none_or(|expires_at| self.clock.now() < expires_at);
        if is_right && is_current { Ok(Some(known.caller.clone())) } else { Err(unauthenticated()) }
    }
}

#[cfg(test)]
mod tests;
