//! Identifiers. Ids that Bailey makes are UUIDv7; ids that come from Keystone are opaque strings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text is no identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct InvalidId(pub &'static str);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh, time-ordered id (RFC 9562, version 7).
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would hide that each call makes another one")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The UUID itself.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Reads the canonical form only: lower-case, dashed, 36 characters.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let uuid = Uuid::try_parse(text).map_err(|_| InvalidId($kind))?;
                let mut buffer = Uuid::encode_buffer();
                if uuid.hyphenated().encode_lower(&mut buffer) == text {
                    Ok(Self(uuid))
                } else {
                    Err(InvalidId($kind))
                }
            }
        }
    };
}

uuid_id!(/// Identifies a secret.
    SecretId, "secret id");
uuid_id!(/// Identifies a container.
    ContainerId, "container id");
uuid_id!(/// Identifies a consumer's registration. No client is ever told one.
    ConsumerId, "consumer id");
uuid_id!(/// Identifies an order.
    OrderId, "order id");
uuid_id!(/// Identifies a certificate authority.
    CaId, "CA id");
uuid_id!(/// Identifies what is asked of a CA: never reused, the same each time that it is asked again.
    IssuanceId, "issuance id");
uuid_id!(/// Identifies a notice to the operator's webhook, however often it is sent.
    NoticeId, "notice id");
uuid_id!(/// Identifies a transport key.
    TransportKeyId, "transport key id");
uuid_id!(/// Identifies one attempt to place bytes in a store; never reused.
    WriteId, "write id");
uuid_id!(/// Permanent id of a secret store; its configured name is only a label.
    StoreId, "store id");
uuid_id!(/// Identifies a project key-encryption key.
    KekId, "KEK id");
uuid_id!(/// Identifies a version of a master key: an MKEK or the worker key.
    MasterKeyId, "master key id");
uuid_id!(/// Identifies one installation; every name it gives outside begins with it.
    DeploymentId, "deployment id");
uuid_id!(/// Identifies a static token; the public half of `id.secret`.
    TokenId, "token id");
uuid_id!(/// Identifies a version of the keys that seal what crosses the queue.
    QueueKeyId, "queue key id");
uuid_id!(/// Identifies one running process that does a worker's work.
    WorkerId, "worker id");

/// Identifies a message of the queue: 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId(Uuid);

impl MessageId {
    /// The bits as a UUID, though of no version.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<[u8; 16]> for MessageId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

/// Identifies what has an ACL and consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EntityId {
    /// A secret.
    Secret(SecretId),
    /// A container.
    Container(ContainerId),
}

impl EntityId {
    /// The UUID itself.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Secret(id) => id.uuid(),
            Self::Container(id) => id.uuid(),
        }
    }
}

impl From<SecretId> for EntityId {
    fn from(id: SecretId) -> Self {
        Self::Secret(id)
    }
}

impl From<ContainerId> for EntityId {
    fn from(id: ContainerId) -> Self {
        Self::Container(id)
    }
}

/// As paths and audit events name it: `secrets/ID`.
impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(id) => write!(f, "secrets/{id}"),
            Self::Container(id) => write!(f, "containers/{id}"),
        }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Accepts 1 to 255 bytes without NUL.
            ///
            /// # Errors
            /// [`InvalidId`] when the text is empty, too long or contains NUL.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                if text.is_empty() || text.len() > 255 || text.contains('\0') {
                    Err(InvalidId($kind))
                } else {
                    Ok(Self(text))
                }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(/// Identifies a project, as the identity service names it.
    ProjectId, "project id");
/// The project of what belongs to Bailey itself; nobody else's has this id.
const OWN: &str = "bailey:own";

impl ProjectId {
    /// The project of what belongs to Bailey itself, such as the keys of its CAs. Nobody acts in it.
    #[must_use]
    pub fn own() -> Self {
        Self(OWN.to_owned())
    }

    /// Whether it is [`own`](Self::own).
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.0 == OWN
    }
}

text_id!(/// Identifies a user, as the identity service names it.
    UserId, "user id");

/// Names one HTTP request in answers, logs and audit events: `req-` and a UUIDv4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(String);

impl RequestId {
    /// A fresh id.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default id would hide that each call makes another one")]
    pub fn new() -> Self {
        Self(format!("req-{}", Uuid::new_v4()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestId {
    type Err = InvalidId;

    /// Reads `req-` and a UUID in its canonical form, as other services make them.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        const KIND: InvalidId = InvalidId("request id");
        let id = text.strip_prefix("req-").ok_or(KIND)?;
        let uuid = Uuid::try_parse(id).map_err(|_| KIND)?;
        let mut buffer = Uuid::encode_buffer();
        if uuid.hyphenated().encode_lower(&mut buffer) == id { Ok(Self(text.to_owned())) } else { Err(KIND) }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_of_a_uuid_is_an_id() {
        let id = SecretId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [id.to_string().to_uppercase(), id.uuid().simple().to_string(), format!("{{{id}}}"), "junk".into()]
        {
            assert_eq!(text.parse::<SecretId>(), Err(InvalidId("secret id")), "{text}");
        }
    }

    #[test]
    fn only_req_and_a_uuid_is_a_request_id() {
        let id = RequestId::new();
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        let uuid = id.as_str().trim_start_matches("req-");
        for text in [uuid.to_owned(), format!("req-{}", uuid.to_uppercase()), format!("{id} x"), "req-".to_owned()] {
            assert_eq!(text.parse::<RequestId>(), Err(InvalidId("request id")), "{text}");
        }
    }

    #[test]
    fn project_ids_are_opaque_but_bounded() {
        assert!(ProjectId::new("päron / 1").is_ok());
        for text in [String::new(), "x".repeat(256), "a\0b".into()] {
            assert!(ProjectId::new(text).is_err());
        }
    }
}
