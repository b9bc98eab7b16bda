//! The one error that crosses the queue. Only the API knows which HTTP status it becomes.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a failure means to whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// No valid credentials.
    Unauthenticated,
    /// The credentials lack something that must be there before anything else is looked at.
    Unidentified,
    /// There is no such thing, or it is hidden.
    NotFound,
    /// The caller has no right to it.
    Forbidden,
    /// The request is malformed.
    Invalid,
    /// The client accepts no form in which the answer exists.
    NotAcceptable,
    /// The resource is in a state that refuses this.
    Conflict,
    /// The body or payload is too large.
    TooLarge,
    /// The body's content type is not supported.
    UnsupportedMedia,
    /// The idempotency key was used with another body.
    Mismatch,
    /// A quota has been reached.
    QuotaExceeded,
    /// The operation is not supported here.
    NotSupported,
    /// Something needed is out of reach; asking again later may help.
    Unavailable,
    /// What is stored is not what was stored.
    Corrupt,
    /// A fault of Bailey's own.
    Internal,
}

impl FailureKind {
    /// The name in metrics and traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Unidentified => "unidentified",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Invalid => "invalid",
            Self::NotAcceptable => "not_acceptable",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::UnsupportedMedia => "unsupported_media",
            Self::Mismatch => "mismatch",
            Self::QuotaExceeded => "quota_exceeded",
            Self::NotSupported => "not_supported",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
        }
    }
}

/// One thing wrong with one field of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The field, as the client wrote it; `None` when the body as a whole is wrong.
    pub property: Option<String>,
    /// What is wrong with it. Never repeats the field's value.
    pub reason: String,
}

/// What `WWW-Authenticate` says: the methods there are, and where to turn to (RFC 9110, section 11.6.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Challenge(pub String);

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it means to the caller.
    pub kind: FailureKind,
    /// Label of the operation, such as `Secret creation`; set by the queue.
    #[serde(skip)]
    pub operation: &'static str,
    /// One sentence without a full stop, fit for the client: no secret, no internals.
    pub reason: Cow<'static, str>,
    /// The schema the body was checked against, when that is what failed.
    pub schema: Option<Box<str>>,
    /// What is wrong with which field; only with a schema.
    #[serde(default)]
    pub violations: Box<[Violation]>,
    /// When asking again makes sense.
    pub retry_after: Option<Duration>,
    /// How to authenticate; only when that failed.
    pub challenge: Option<Box<Challenge>>,
    /// What an operator needs to know beside that, for the log only: no secret. Stays in the process.
    #[serde(skip)]
    pub detail: Option<Box<str>>,
}

impl Failure {
    /// A failure of `kind`; `reason` is shown to the client.
    pub fn new(kind: FailureKind, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            operation: "",
            reason: reason.into(),
            schema: None,
            violations: Box::default(),
            retry_after: None,
            challenge: None,
            detail: None,
        }
    }

    /// Adds what only the log is to say.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<Box<str>>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// A body that doesn't match `schema`. Name every bad field.
    #[must_use]
    pub fn schema(schema: &'static str, violations: Vec<Violation>) -> Self {
        Self {
            schema: Some(schema.into()),
            violations: violations.into_boxed_slice(),
            ..Self::new(FailureKind::Invalid, "")
        }
    }

    /// `Unavailable`, worth asking again in a second.
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(FailureKind::Unavailable, reason) }
    }

    /// `Internal`. The client sees a generic sentence; `reason` goes to the log only.
    pub fn internal(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::Internal, reason)
    }

    /// `Invalid` without a schema.
    pub fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::Invalid, reason)
    }

    /// `NotFound`.
    pub fn not_found(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::NotFound, reason)
    }

    /// The failure as another process may see it: without what is for the log only.
    #[must_use]
    pub fn without_internals(self) -> Self {
        let reason = match self.kind {
            FailureKind::Corrupt | FailureKind::Internal => Cow::Borrowed("the worker's log tells more"),
            _ => self.reason,
        };
        Self { reason, detail: None, ..self }
    }

    /// Whether the fault is Bailey's or a back-end's, not the client's.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        matches!(self.kind, FailureKind::Unavailable | FailureKind::Corrupt | FailureKind::Internal)
    }
}

/// For the log: with the detail.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        for Violation { property, reason } in &self.violations {
            write!(f, "; {}: {reason}", property.as_deref().unwrap_or("body"))?;
        }
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// An error with what caused it, which many leave out of what they say.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A part of a request after parsing: the value, or what is wrong with it.
///
/// The contract wants an unknown id or a missing right to be told before a bad body is, so the
/// complaint travels to the worker and comes back only once it is its turn.
#[derive(Debug, Serialize, Deserialize)]
pub enum Parsed<T> {
    /// The value.
    Valid(T),
    /// The complaint.
    Complaint(Failure),
}

impl<T> Parsed<T> {
    /// The value, or the complaint as an error.
    ///
    /// # Errors
    /// The complaint, unchanged.
    pub fn accept(self) -> Result<T, Failure> {
        match self {
            Self::Valid(value) => Ok(value),
            Self::Complaint(failure) => Err(failure),
        }
    }

    /// The value as something else, or the complaint, unchanged.
    #[must_use]
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Parsed<U> {
        match self {
            Self::Valid(value) => Parsed::Valid(convert(value)),
            Self::Complaint(failure) => Parsed::Complaint(failure),
        }
    }
}

impl<T> From<Result<T, Failure>> for Parsed<T> {
    fn from(result: Result<T, Failure>) -> Self {
        match result {
            Ok(value) => Self::Valid(value),
            Err(failure) => Self::Complaint(failure),
        }
    }
}
