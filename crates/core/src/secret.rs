//! Secrets: what a client may say of one, and what it is told.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::consumer::SecretConsumer;
use crate::ids::{ProjectId, SecretId, TransportKeyId, UserId};
use crate::sensitive::{SecretBytes, wire};
use crate::spec::{ContentType, SecretType, Spec};
use crate::transport_key::WrappedPayload;

/// A payload with its type. Never empty.
#[derive(Debug, Serialize, Deserialize)]
pub struct Payload {
    /// The normalised content type.
    pub content_type: ContentType,
    /// The bytes, decoded, exactly as they will be handed out again.
    #[serde(with = "wire")]
    pub bytes: SecretBytes,
}

/// A payload as a client sends it.
#[derive(Debug, Serialize, Deserialize)]
pub enum SentPayload {
    /// As it is.
    Plain(Payload),
    /// Wrapped to a transport key.
    Wrapped(WrappedPayload),
}

impl SentPayload {
    /// The content type of what is to be kept.
    #[must_use]
    pub const fn content_type(&self) -> ContentType {
        match self {
            Self::Plain(payload) => payload.content_type,
            Self::Wrapped(wrapped) => wrapped.content_type,
        }
    }
}

impl From<Payload> for SentPayload {
    fn from(payload: Payload) -> Self {
        Self::Plain(payload)
    }
}

/// A secret that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedSecret {
    /// Its id.
    pub id: SecretId,
    /// The key that its payload may be wrapped to, if one was asked for.
    pub transport_key: Option<TransportKeyId>,
}

/// A secret to be created. One that exists is valid.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewSecret {
    /// Label, at most 255 characters.
    pub name: Option<String>,
    /// Kind of the payload.
    pub secret_type: SecretType,
    /// Labels of the payload.
    pub spec: Spec,
    /// When the secret ceases to be; checked against the clock by the worker.
    pub expires_at: Option<DateTime<Utc>>,
    /// The payload, unless it follows in a second step.
    pub payload: Option<SentPayload>,
    /// Whether a key is wanted that the payload to follow may be wrapped to.
    pub transport_key_needed: bool,
}

/// A secret as clients see it, without its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its id.
    pub id: SecretId,
    /// The project that owns it.
    pub project: ProjectId,
    /// The user who made it.
    pub creator: Option<UserId>,
    /// Label.
    pub name: Option<String>,
    /// Kind of the payload.
    pub secret_type: SecretType,
    /// Labels of the payload.
    pub spec: Spec,
    /// Content type of the payload; `None` while there is no payload, and where the order that made it said so.
    pub content_type: Option<ContentType>,
    /// When it ceases to be.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Who registered an interest, by creation; empty unless they were asked for.
    pub consumers: Vec<SecretConsumer>,
}

/// User metadata of a secret: lower-case keys.
pub type UserMetadata = BTreeMap<String, String>;

/// One key and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadatum {
    /// The key, lower-case, of `[a-z0-9_-]*`, at most 255 characters.
    pub key: String,
    /// The value, at most 255 characters.
    pub value: String,
}

/// How a time must stand to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Comparison {
    /// Later.
    After,
    /// Later or the same.
    NotBefore,
    /// Earlier.
    Before,
    /// Earlier or the same.
    NotAfter,
    /// The same.
    Equal,
}

/// A condition on a time column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeFilter {
    /// How the column must stand to `time`.
    pub comparison: Comparison,
    /// The time to compare with.
    pub time: DateTime<Utc>,
}

/// Which secrets a list shows; conditions are ANDed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFilter {
    /// LIKE pattern on the name; `%` and `_` are wildcards, `\` is an ordinary character.
    pub name: Option<String>,
    /// LIKE pattern on the algorithm.
    pub algorithm: Option<String>,
    /// LIKE pattern on the mode.
    pub mode: Option<String>,
    /// Exact bit length.
    pub bit_length: Option<i32>,
    /// Exact type, as the client wrote it; an unknown one matches nothing.
    pub secret_type: Option<String>,
    /// Conditions on the time of creation.
    pub created: Vec<TimeFilter>,
    /// Conditions on the time of the last change.
    pub updated: Vec<TimeFilter>,
    /// Conditions on the expiration.
    pub expiration: Vec<TimeFilter>,
}

/// What a list of secrets can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SecretSortKey {
    /// Algorithm.
    Algorithm,
    /// Bit length.
    BitLength,
    /// Time of creation.
    Created,
    /// Expiration.
    Expiration,
    /// Mode.
    Mode,
    /// Name.
    Name,
    /// Type.
    SecretType,
    /// Status: always ACTIVE, so it orders nothing.
    Status,
    /// Time of the last change.
    Updated,
}

/// Direction of an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// Smallest first; absent values last.
    #[default]
    Ascending,
    /// Largest first; absent values first.
    Descending,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRequest {
    /// How many at most; 1 or more.
    pub limit: u64,
    /// How many to leave out first.
    pub offset: u64,
}

/// A question for a list of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretQuery {
    /// Which ones.
    pub filter: SecretFilter,
    /// In which order; then by creation and id.
    pub sort: Vec<(SecretSortKey, Direction)>,
    /// Which part of it.
    pub page: PageRequest,
    /// Instead of the project's: secrets of any project whose ACL names the caller.
    pub acl_only: bool,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items asked for.
    pub items: Vec<T>,
    /// How many there are in all.
    pub total: u64,
}
