//! Several authenticators in order.

use std::sync::Arc;

use async_trait::async_trait;
use bailey_core::access::{Authenticator, Caller, Credentials, StaticTokens};
use bailey_core::clock::Clock;
use bailey_core::failure::{Failure, FailureKind};

use crate::config::{Config, MethodName};
use crate::no_auth::NoAuth;
use crate::static_token::StaticTokenAuthenticator;

/// Asks one authenticator after the other; the first that recognises the credentials decides.
pub struct Chain(Vec<Box<dyn Authenticator>>);

impl Chain {
    /// The authenticators that the configuration names, in its order.
    #[must_use]
    pub fn new(config: &Config, tokens: &Arc<dyn StaticTokens>, clock: &Clock) -> Self {
        let make = |method: &MethodName| -> Box<dyn Authenticator> {
            match method {
                MethodName::StaticToken => Box::new(StaticTokenAuthenticator::new(Arc::clone(tokens), clock.clone())),
                MethodName::NoneForDevelopment => Box::new(NoAuth),
            }
        };
        Self(config.methods.iter().map(make).collect())
    }
}

#[async_trait]
impl Authenticator for Chain {
    /// Never `None`: credentials that nobody recognises are `Unauthenticated`.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<Caller>, Failure> {
        for authenticator in &self.0 {
            if let Some(caller) = authenticator.authenticate(credentials).await? {
                return Ok(Some(caller));
            }
        }
        Err(unauthenticated())
    }
}

/// The one answer to missing, malformed, unknown, wrong and expired credentials alike.
pub(crate) fn unauthenticated() -> Failure {
    Failure::new(FailureKind::Unauthenticated, "Authentication required")
}
