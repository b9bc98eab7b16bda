//! Transport keys: public keys that clients wrap payloads to, so that only a worker can read them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{MasterKeyId, StoreId, TransportKeyId};
use crate::secret::PageRequest;
use crate::sensitive::{SecretBytes, wire};
use crate::spec::ContentType;

/// Bytes by which a wrapped payload is longer than the payload: an encapsulated X25519 key and a tag.
pub const WRAPPING: usize = 32 + 16;

/// Length of a session key in bytes: AES-256.
pub const SESSION_KEY: usize = 32;

/// A transport key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransportKey {
    /// Its id.
    pub id: TransportKeyId,
    /// What it belongs to: the name of a store, or what a client registered it for.
    pub plugin_name: String,
    /// The public key, as PEM if it is a store's.
    pub text: String,
    /// Whose private half it has; absent for keys that clients registered.
    pub origin: Option<Origin>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a private half is derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The store that payloads wrapped to it go to.
    pub store: StoreId,
    /// The version of the worker key.
    pub worker_key: MasterKeyId,
}

/// A transport key to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTransportKey {
    /// What it belongs to.
    pub plugin_name: String,
    /// The public key.
    pub text: String,
}

/// A question for a list of transport keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransportKeyQuery {
    /// Exact name of what they belong to.
    pub plugin_name: Option<String>,
    /// Which part of the list.
    pub page: PageRequest,
}

/// A payload that is wrapped to a transport key.
#[derive(Debug, Serialize, Deserialize)]
pub struct WrappedPayload {
    /// The key.
    pub key: TransportKeyId,
    /// The content type of what is wrapped.
    pub content_type: ContentType,
    /// The encapsulated key and the ciphertext.
    #[serde(with = "wire")]
    pub bytes: SecretBytes,
}

/// A session key that is wrapped to a transport key, for a payload that is to be handed out under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedSessionKey {
    /// The transport key.
    pub key: TransportKeyId,
    /// The encapsulated key and the ciphertext.
    #[serde(with = "wire")]
    pub bytes: [u8; SESSION_KEY + WRAPPING],
}
