//! How this store's failures become store errors.

use std::io;
use std::time::Duration;

use bailey_core::store::{StoreError, StoreErrorKind};

use crate::message::{Operation, Refusal};
use crate::ttlv::Malformed;

/// Why a server couldn't be asked, or what it said couldn't be understood. Whatever of it a server chose is not
/// repeated: it might be a payload.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// What has to be put right first.
    #[error("{0}")]
    Setting(String),
    /// No connection.
    #[error("connect to {server}: {source}")]
    Connect { server: String, source: io::Error },
    /// No TLS; the sentence says what is usually wrong then.
    #[error("{0}")]
    Tls(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// No answer in time.
    #[error("no {0} within {1:?}")]
    Late(&'static str, Duration),
    /// The answer is no TTLV, or too much of it.
    #[error("the answer makes no sense: {0}")]
    Malformed(Malformed),
    /// The answer isn't one to the question.
    #[error("the answer makes no sense: {0}")]
    Protocol(&'static str),
    /// The object isn't what it was stored as.
    #[error("an object of another type")]
    OtherObject,
    /// The server doesn't answer questions of this client.
    #[error("refused")]
    Refused(Refusal),
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Io(error) => Self::Io(error),
            malformed => Self::Malformed(malformed),
        }
    }
}

impl Fault {
    /// As a store error of what was being done.
    pub(crate) fn into_error(self, operation: &'static str) -> StoreError {
        match self {
            Self::Refused(refusal) => refusal.into(),
            Self::OtherObject => StoreError::new(StoreErrorKind::Corrupt, operation, self.to_string()),
            fault => StoreError::new(StoreErrorKind::Unavailable, operation, fault.to_string()),
        }
    }
}

/// Result reasons (KMIP 1.4, section 9.1.3.2.29) that mean something of their own here.
pub(crate) mod reason {
    pub(crate) const ITEM_NOT_FOUND: u32 = 0x01;
    pub(crate) const RESPONSE_TOO_LARGE: u32 = 0x02;
    pub(crate) const AUTHENTICATION_NOT_SUCCESSFUL: u32 = 0x03;
    pub(crate) const INVALID_MESSAGE: u32 = 0x04;
    pub(crate) const OPERATION_NOT_SUPPORTED: u32 = 0x05;
    pub(crate) const MISSING_DATA: u32 = 0x06;
    pub(crate) const INVALID_FIELD: u32 = 0x07;
    pub(crate) const FEATURE_NOT_SUPPORTED: u32 = 0x08;
    pub(crate) const CRYPTOGRAPHIC_FAILURE: u32 = 0x0A;
    pub(crate) const ILLEGAL_OPERATION: u32 = 0x0B;
    pub(crate) const PERMISSION_DENIED: u32 = 0x0C;
}

impl Refusal {
    /// Whether the object isn't there.
    pub(crate) fn is_missing(self) -> bool {
        self.reason == Some(reason::ITEM_NOT_FOUND)
    }

    /// Whether the server will never take what it was given, so that another form of it may do.
    pub(crate) fn is_about_content(self) -> bool {
        matches!(
            self.reason,
            Some(
                reason::INVALID_MESSAGE
                    | reason::OPERATION_NOT_SUPPORTED
                    | reason::MISSING_DATA
                    | reason::INVALID_FIELD
                    | reason::FEATURE_NOT_SUPPORTED
                    | reason::CRYPTOGRAPHIC_FAILURE
            )
        )
    }
}

/// The one place where a server's reasons get a meaning. Its message isn't repeated: it may be anything.
impl From<Refusal> for StoreError {
    fn from(Refusal { operation, reason }: Refusal) -> Self {
        let (kind, sentence) = match reason {
            Some(reason::ITEM_NOT_FOUND) => (StoreErrorKind::NotFound, "the server has no such object"),
            Some(reason::AUTHENTICATION_NOT_SUCCESSFUL) => (
                StoreErrorKind::Unavailable,
                "the server doesn't accept the client's certificate: it needs the extended key usage clientAuth, a \
                 common name, and an authority that the server believes",
            ),
            Some(reason::PERMISSION_DENIED) => {
                (StoreErrorKind::Unavailable, "the server doesn't permit that to the client's certificate")
            }
            Some(reason::RESPONSE_TOO_LARGE) => (StoreErrorKind::Unavailable, "the answer is too large for the server"),
            Some(reason::OPERATION_NOT_SUPPORTED) if operation != Operation::Query => {
                (StoreErrorKind::Unsupported, "the server doesn't support that operation")
            }
            Some(reason::ILLEGAL_OPERATION) => (StoreErrorKind::Unavailable, "the object's state forbids that"),
            _ => (StoreErrorKind::Unavailable, "the server refused"),
        };
        let told = reason.map_or_else(|| "no reason".to_owned(), |reason| format!("reason {reason:#x}"));
        Self::new(kind, operation.as_str(), format!("{sentence} ({told})"))
    }
}

pub(crate) fn error(kind: StoreErrorKind, operation: &'static str, context: impl Into<String>) -> StoreError {
    StoreError::new(kind, operation, context)
}
