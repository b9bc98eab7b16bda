//! What Keystone says of a token, and what that means here.

use std::sync::Arc;

use bailey_core::access::{Caller, Method};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{ProjectId, UserId};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::client::Trouble;
use crate::chain::unauthenticated;

/// What is known of a token.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// Whose it is.
    Good(Arc<Good>),
    /// Why it lets nobody in.
    Refused(Refusal),
}

/// A token that lets somebody in until it ends.
#[derive(Debug)]
pub(super) struct Good {
    caller: Caller,
    expires_at: DateTime<Utc>,
}

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Keystone knows no such token, or not any more.
    Unknown,
    /// It is for a domain, for the system or for nothing in particular.
    Unscoped,
    /// It is good for some requests only, and nobody here compares requests with its rules.
    AccessRules,
}

impl Verdict {
    /// Who asks, if the token is good now.
    pub(super) fn caller(&self, now: DateTime<Utc>) -> Result<Caller, Failure> {
        match self {
            Self::Good(good) if now < good.expires_at => Ok(good.caller.clone()),
            Self::Good(_) | Self::Refused(Refusal::Unknown) => Err(unauthenticated()),
            Self::Refused(Refusal::Unscoped) => Err(refused("The token is not scoped to a project")),
            Self::Refused(Refusal::AccessRules) => Err(refused(
                "The token comes from an application credential with access rules, which are not supported",
            )),
        }
    }
}

fn refused(reason: &'static str) -> Failure {
    Failure::new(FailureKind::Unauthenticated, reason)
}

/// The answer to `GET /v3/auth/tokens`, as far as it matters (Identity API v3, "Validate and show
/// information for token").
#[derive(Deserialize)]
struct Body {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    user: User,
    /// Absent unless the token is scoped to one.
    project: Option<Project>,
    /// With those that others imply.
    #[serde(default)]
    roles: Vec<Role>,
    expires_at: DateTime<Utc>,
    application_credential: Option<ApplicationCredential>,
}

#[derive(Deserialize)]
struct User {
    id: UserId,
}

#[derive(Deserialize)]
struct Project {
    id: ProjectId,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

#[derive(Deserialize)]
struct ApplicationCredential {
    /// An empty list allows nothing, so it is not the same as none.
    access_rules: Option<IgnoredAny>,
}

/// Reads what Keystone says of a token that it knows.
pub(super) fn read(body: &[u8]) -> Result<Verdict, Trouble> {
    // The error's text may quote what it stumbles over.
    let read = serde_json::from_slice(body);
    let Body { token } = read.map_err(|error: serde_json::Error| {
        Trouble::Odd(format!("what it says of a token can't be read, line {} column {}", error.line(), error.column()))
    })?;
    let Token { user, project, roles, expires_at, application_credential } = token;
    if application_credential.is_some_and(|credential| credential.access_rules.is_some()) {
        return Ok(Verdict::Refused(Refusal::AccessRules));
    }
    let Some(project) = project else { return Ok(Verdict::Refused(Refusal::Unscoped)) };
    let roles = roles.into_iter().map(|role| role.name);
    let caller = Caller::new(Some(user.id), project.id, roles, Method::Keystone);
    Ok(Verdict::Good(Arc::new(Good { caller, expires_at })))
}
