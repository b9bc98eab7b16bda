//! What some CAs can do beside issuing, and where a CA of Bailey's own keeps what it must not forget.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{CaError, CertificateAuthority};
use crate::der::sequence;
use crate::ids::CaId;
use crate::spec::Unknown;

/// Why a certificate is revoked (RFC 5280, section 5.3.1, without what only a change of a CRL says).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RevocationReason {
    /// No reason is told.
    Unspecified,
    /// Others know the private key.
    KeyCompromise,
    /// Others know the CA's private key.
    CaCompromise,
    /// The subject's name or membership changed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// It isn't needed any more.
    CessationOfOperation,
    /// The subject lost a privilege that the certificate tells of.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// The name in the standard, on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RevocationReason {
    type Err = Unknown;
    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(Unknown("revocation reason"))
    }
}

/// A certificate to be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Why.
    pub reason: RevocationReason,
}

/// A signed list of what a CA has revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// CRL (RFC 5280, section 5), DER.
    pub der: Vec<u8>,
    /// Its number; each list has a higher one than the last.
    pub number: u64,
    /// When the next one is to be there.
    pub next_update: DateTime<Utc>,
}

/// CRLs.
///
/// Whatever was revoked before a list was asked for is in it, until as much time has gone by since its certificate's end
/// as a list is good for: so it is in one that was made after that end (RFC 5280, section 3.3). Until then a list is
/// never without what an earlier one with a lower number had. The CA's certificate verifies it.
#[async_trait]
pub trait RevocationLists: Send + Sync {
    /// A new list of what a generation of the CA has issued; the last generation, where none is named.
    ///
    /// # Errors
    /// `NotFound` if there is no such generation; `Unavailable`.
    async fn revocation_list(&self, generation: Option<u32>) -> Result<RevocationList, CaError>;
}

/// An answer on certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// `OCSPResponse` (RFC 6960, section 4.2.1), DER.
    pub der: Vec<u8>,
    /// Whether everybody who asks about the same may be told it for a while.
    pub is_for_all: bool,
}

impl StatusAnswer {
    /// The answer that there is none now, but perhaps later: `tryLater` (RFC 6960, section 2.3).
    #[must_use]
    pub fn try_later() -> Self {
        Self::refusal(3)
    }

    /// The answer that there is none, and why: an `OCSPResponseStatus`.
    #[must_use]
    pub fn refusal(status: u8) -> Self {
        Self { der: sequence(&[&[0x0a, 1, status]]), is_for_all: false }
    }
}

/// Answers on single certificates (OCSP, RFC 6960).
#[async_trait]
pub trait StatusResponder: Send + Sync {
    /// What a question is about, where one answer does for all questions about that; else nothing. A nonce is repeated
    /// (RFC 9654), so each question with one has an answer of its own.
    fn subject(&self, question: &[u8]) -> Option<Vec<u8>>;

    /// Answers an `OCSPRequest` (DER); what can't be read or isn't this CA's, with an answer that says so.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn status(&self, question: &[u8]) -> Result<StatusAnswer, CaError>;
}

/// When a certificate is best renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalWindow {
    /// From when on.
    pub start: DateTime<Utc>,
    /// Until when.
    pub end: DateTime<Utc>,
    /// When to ask again, if the CA says so; it may have changed its mind.
    pub ask_again: Option<Duration>,
}

/// What the CA says of renewals (ACME Renewal Information, RFC 9773).
#[async_trait]
pub trait Renewal: Send + Sync {
    /// When to renew a certificate (DER) of this CA's.
    ///
    /// # Errors
    /// `NotFound` if it isn't this CA's; `Unavailable`.
    async fn renewal_window(&self, certificate: &[u8]) -> Result<RenewalWindow, CaError>;
}

/// A CA to be made below another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubAuthority {
    /// The id it will have. To be asked again under the same id gives the same CA.
    pub id: CaId,
    /// Its name.
    pub name: String,
    /// Its subject (RFC 4514).
    pub subject: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
}

/// A CA that was made below another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAuthority {
    /// Its certificate, then its issuer's, up to the root; DER.
    pub chain: Vec<Vec<u8>>,
}

/// CAs below a CA. Their keys stay where the CA above keeps its own.
#[async_trait]
pub trait SubAuthorities: Send + Sync {
    /// Makes one.
    ///
    /// # Errors
    /// `Unsupported` if the CA above may have none below it; `Unavailable`.
    async fn create(&self, new: &NewSubAuthority) -> Result<SubAuthority, CaError>;

    /// One that was made, to issue from. Asks nothing yet: whether it is there its calls tell.
    fn open(&self, id: CaId, name: &str) -> Arc<dyn CertificateAuthority>;

    /// Revokes the certificate of one, where the CA above revokes such, then destroys its key. Idempotent.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn delete(&self, id: CaId) -> Result<(), CaError>;
}

/// A revoked certificate in a CA's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The certificate's serial number: big-endian, without leading zeros.
    pub serial: Vec<u8>,
    /// Why it was revoked.
    pub reason: RevocationReason,
    /// When it was revoked.
    pub revoked_at: DateTime<Utc>,
    /// When the certificate ends. Once a list was told that was made later, lists need not tell of it.
    pub expires_at: DateTime<Utc>,
}

/// A certificate of a CA of Bailey's own. With each new key a CA has another one; the ones before still sign lists of
/// what they have issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// 1, 2 and so on.
    pub number: u32,
    /// Its certificate, then its issuer's, up to the root; DER.
    pub chain: Vec<Vec<u8>>,
    /// When it came to be.
    pub created_at: DateTime<Utc>,
}

/// What a CA of Bailey's own must not forget. The metadata database keeps it: none of it is secret.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The CA's certificates, by number.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn generations(&self, ca: CaId) -> Result<Vec<Generation>, CaError>;

    /// Enters a certificate. Of several with one number the first stands.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn begin(&self, ca: CaId, generation: &Generation) -> Result<(), CaError>;

    /// Forgets the CA's certificates. Idempotent.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn forget(&self, ca: CaId) -> Result<(), CaError>;

    /// Enters a revocation of what a generation issued; whether there was none. Of several for one serial number the
    /// first stands.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn revoke(&self, ca: CaId, generation: u32, revoked: &Revoked) -> Result<bool, CaError>;

    /// The revocation of a serial number, if there is one.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn revoked(&self, ca: CaId, generation: u32, serial: &[u8]) -> Result<Option<Revoked>, CaError>;

    /// What a generation issued, was revoked and ends after `since`, by serial number, together with the number of the
    /// list that tells of it: a number never comes twice, and a higher one never tells less.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn next_list(&self, ca: CaId, generation: u32, since: DateTime<Utc>) -> Result<(u64, Vec<Revoked>), CaError>;
}
