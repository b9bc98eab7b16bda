//! The token that Bailey itself shows to Keystone: asked for when it is needed, kept until it is about to end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailey_core::clock::Clock;
use bailey_core::sensitive::SecretText;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::client::{Client, Issued, Trouble};
use super::config::Config;

/// A token is replaced when so much of its life is left, or the last quarter of it if that is less.
const MARGIN: TimeDelta = TimeDelta::seconds(120);
/// How long Keystone is left alone after it refused the service user: it locks out who tries too often.
const PAUSE: Duration = Duration::from_secs(5);

pub(super) struct ServiceUser {
    request: Zeroizing<String>,
    /// Held while a token is asked for: whoever else needs one waits for it.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Own>,
    refused: Option<(Instant, String)>,
}

#[derive(Clone)]
struct Own {
    text: Arc<SecretText>,
    renew_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl ServiceUser {
    /// Asks for nothing yet.
    pub(super) fn new(config: &Config) -> Self {
        Self { request: Zeroizing::new(request(config)), turn: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    /// A token that is good for a while.
    pub(super) async fn token(
        &self,
        client: &Client,
        clock: &Clock,
        deadline: Instant,
    ) -> Result<Arc<SecretText>, Trouble> {
        if let Some(own) = self.at_hand(clock.now()) {
            return Ok(own.text);
        }
        let turn = tokio::time::timeout_at(deadline, self.turn.lock()).await;
        let _turn = turn.map_err(|_| Trouble::Silent("others wait for a token of the service user's".to_owned()))?;
        if let Some(own) = self.at_hand(clock.now()) {
            return Ok(own.text);
        }
        match self.renew(client, clock, deadline).await {
            Ok(own) => Ok(own.text),
            // The old one does until it ends.
            Err(trouble) => match self.state().token.clone().filter(|own| clock.now() < own.expires_at) {
                Some(own) => Ok(own.text),
                None => Err(trouble),
            },
        }
    }

    /// Gives up a token that Keystone doesn't take, unless there is another already.
    pub(super) fn forget(&self, token: &Arc<SecretText>) {
        let mut state = self.state();
        if state.token.as_ref().is_some_and(|own| Arc::ptr_eq(&own.text, token)) {
            state.token = None;
        }
    }

    fn at_hand(&self, now: DateTime<Utc>) -> Option<Own> {
        self.state().token.clone().filter(|own| now < own.renew_at)
    }

    async fn renew(&self, client: &Client, clock: &Clock, deadline: Instant) -> Result<Own, Trouble> {
        if let Some((at, why)) = &self.state().refused
            && at.elapsed() < PAUSE
        {
            return Err(Trouble::Odd(why.clone()));
        }
        let now = clock.now();
        let own = client.issue(&self.request, deadline).await.and_then(|issued| read(issued, now));
        let mut state = self.state();
        match &own {
            Ok(own) => *state = State { token: Some(own.clone()), refused: None },
            Err(Trouble::Odd(why)) => state.refused = Some((Instant::now(), why.clone())),
            Err(_) => {}
        }
        own
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(Issued { text, body }: Issued, now: DateTime<Utc>) -> Result<Own, Trouble> {
    #[derive(Deserialize)]
    struct Body {
        token: Token,
    }
    #[derive(Deserialize)]
    struct Token {
        expires_at: DateTime<Utc>,
    }
    let read: Result<Body, _> = serde_json::from_slice(&body);
    let expires_at =
        read.map_err(|_| Trouble::Odd("its token for the service user has no end".to_owned()))?.token.expires_at;
    let life = expires_at - now;
    Ok(Own { text: Arc::new(text), renew_at: expires_at - (life / 4).min(MARGIN), expires_at })
}

/// The body of `POST /v3/auth/tokens` (Identity API v3, "Password authentication with scoped authorization",
/// "Authenticating with an Application Credential").
fn request(config: &Config) -> String {
    let auth = if config.application_credential_id.is_empty() {
        json!({
            "identity": {"methods": ["password"], "password": {"user": {
                "name": config.username, "domain": {"name": config.user_domain}, "password": config.password.expose(),
            }}},
            "scope": {"project": {"name": config.project, "domain": {"name": config.project_domain}}},
        })
    } else {
        json!({"identity": {"methods": ["application_credential"], "application_credential": {
            "id": config.application_credential_id, "secret": config.application_credential_secret.expose(),
        }}})
    };
    json!({ "auth": auth }).to_string()
}
