//! Several authenticators in order.

use std::sync::Arc;

use async_trait::async_trait;
use bailey_core::access::{Authenticator, Caller, Credentials, StaticTokens};
use bailey_core::clock::Clock;
use bailey_core::failure::{Challenge, Failure, FailureKind};

use crate::config::{Config, MethodName};
use crate::keystone::{self, KeystoneAuthenticator};
use crate::no_auth::NoAuth;
use crate::static_token::StaticTokenAuthenticator;

/// Asks one authenticator after the other; the first that recognises the credentials decides.
///
/// None of them takes the other's credentials for its own, so the order decides only who comes before the
/// no-auth mode, which believes whatever is left.
pub struct Chain {
    authenticators: Vec<Box<dyn Authenticator>>,
    challenge: Option<Box<Challenge>>,
}

impl Chain {
    /// The authenticators that the configuration names, in its order. Asks nobody yet.
    ///
    /// # Errors
    /// When Keystone can't be asked as it is configured.
    pub fn new(config: &Config, tokens: &Arc<dyn StaticTokens>, clock: &Clock) -> Result<Self, keystone::Error> {
        let make = |method: &MethodName| -> Result<Box<dyn Authenticator>, keystone::Error> {
            Ok(match method {
                MethodName::StaticToken => Box::new(StaticTokenAuthenticator::new(Arc::clone(tokens), clock.clone())),
                MethodName::Keystone => Box::new(KeystoneAuthenticator::new(&config.keystone, clock.clone())?),
                MethodName::NoneForDevelopment => Box::new(NoAuth),
            })
        };
        let authenticators = config.methods.iter().map(make).collect::<Result<_, _>>()?;
        let challenge = Some(config.challenge()).filter(|text| !text.is_empty()).map(|text| Box::new(Challenge(text)));
        Ok(Self { authenticators, challenge })
    }

    async fn first(&self, credentials: &Credentials) -> Result<Caller, Failure> {
        for authenticator in &self.authenticators {
            if let Some(caller) = authenticator.authenticate(credentials).await? {
                return Ok(caller);
            }
        }
        Err(unauthenticated())
    }
}

#[async_trait]
impl Authenticator for Chain {
    /// Never `None`: credentials that nobody recognises are `Unauthenticated`.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<Caller>, Failure> {
        self.first(credentials).await.map(Some).map_err(|failure| match failure.kind {
            FailureKind::Unauthenticated => Failure { challenge: self.challenge.clone(), ..failure },
            _ => failure,
        })
    }
}

/// The one answer to missing, malformed, unknown, wrong and expired credentials alike.
pub(crate) fn unauthenticated() -> Failure {
    Failure::new(FailureKind::Unauthenticated, "Authentication required")
}
