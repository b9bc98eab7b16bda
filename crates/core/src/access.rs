//! Who asks: credentials as they arrive, the caller they turn out to be, and the traits in
//! between.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ids::{MessageId, ProjectId, RequestId, TokenId, UserId};
use crate::sensitive::{SecretText, wire};
use crate::trace::TraceContext;

/// What a client sent to say who it is. The API passes it on unread.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Credentials {
    /// The raw token: `X-Auth-Token`, or `Authorization: Bearer`.
    #[serde(default, with = "wire")]
    pub token: Option<SecretText>,
    /// Identity headers; believed only in no-auth mode.
    pub claims: Claims,
}

/// The identity headers of the no-auth mode, as they arrived.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// `X-Project-Id`.
    pub project: Option<String>,
    /// `X-User-Id`.
    pub user: Option<String>,
    /// `X-Roles`, a comma-separated list.
    pub roles: Option<String>,
}

/// How a caller proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// A static token.
    StaticToken,
    /// A token of Keystone's.
    Keystone,
    /// Not at all: the no-auth mode believed its headers.
    NoAuth,
}

impl Method {
    /// The name in audit events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StaticToken => "static-token",
            Self::Keystone => "keystone",
            Self::NoAuth => "no-auth",
        }
    }
}

/// Who asks. Made by an [`Authenticator`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user; unknown only in no-auth mode.
    pub user: Option<UserId>,
    /// The project the caller acts in.
    pub project: ProjectId,
    /// Role names, lower-case, sorted, without duplicates.
    pub roles: Vec<String>,
    /// How the caller was authenticated.
    pub method: Method,
}

impl Caller {
    /// Normalises `roles`: trimmed, lower-case, sorted, each once, empty ones dropped.
    pub fn new<R: AsRef<str>>(
        user: Option<UserId>,
        project: ProjectId,
        roles: impl IntoIterator<Item = R>,
        method: Method,
    ) -> Self {
        let mut roles: Vec<String> =
            roles.into_iter().map(|role| role.as_ref().trim().to_lowercase()).filter(|role| !role.is_empty()).collect();
        roles.sort_unstable();
        roles.dedup();
        Self { user, project, roles, method }
    }
}

/// Turns credentials into a caller.
///
/// Several run in order; the first that recognises the credentials decides.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// `None` when the credentials are not of this authenticator's kind.
    ///
    /// # Errors
    /// `Unauthenticated` when they are of its kind and wrong; `Unidentified` when what they claim is
    /// malformed; `Unavailable` when it can't be found out now.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Option<Caller>, Failure>;
}

/// A static token as stored: everything but its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticToken {
    /// The public half.
    pub id: TokenId,
    /// SHA-256 of the secret half (256 random bits, so no stretching is needed).
    pub secret_sha256: [u8; 32],
    /// The user it stands for.
    pub user: UserId,
    /// The project it acts in.
    pub project: ProjectId,
    /// The roles it carries.
    pub roles: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working; never, if absent.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Where static tokens are kept.
#[async_trait]
pub trait StaticTokens: Send + Sync {
    /// The token with this id, or `None` if there is none or it was revoked.
    ///
    /// # Errors
    /// `Unavailable` when the database can't be asked.
    async fn find(&self, id: TokenId) -> Result<Option<StaticToken>, Failure>;
}

/// One call across the queue: who asks, under which request id, and in which trace.
#[derive(Debug, Serialize, Deserialize)]
pub struct Call {
    /// What the client sent to say who it is.
    pub credentials: Credentials,
    /// Names the HTTP request in logs and audit events.
    pub request_id: RequestId,
    /// What the worker's spans are part of; nothing, when the API doesn't trace.
    #[serde(default)]
    pub trace: Option<TraceContext>,
    /// The message that brought it from another process. What it changes is changed once, however
    /// often the message comes.
    #[serde(skip)]
    pub message: Option<Message>,
}

impl Call {
    /// A call that has not left the process.
    #[must_use]
    pub const fn new(credentials: Credentials, request_id: RequestId) -> Self {
        Self { credentials, request_id, trace: None, message: None }
    }
}

/// What tells one message of the queue from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// From when on no worker takes it any more.
    pub deadline: DateTime<Utc>,
}
