//! Certificate authorities: what turns a request into a certificate.
//!
//! Start reading at [`CertificateAuthority`]. What not every CA can do is an extension of it, such as
//! [`RevocationLists`]; what the API tells of CAs is a [`ConfiguredCa`].

mod challenge;
mod error;
mod extension;
mod key;
mod resource;

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use challenge::Challenges;
pub use error::{CaError, CaErrorKind};
pub use extension::{
    Generation, Ledger, NewSubAuthority, Renewal, RenewalWindow, Revocation, RevocationList, RevocationLists,
    RevocationReason, Revoked, StatusAnswer, StatusResponder, SubAuthorities, SubAuthority,
};
pub use key::{CaKey, CaKeyType, Keys, SigningKeys};
pub use resource::{CaOrigin, CaQuery, ConfiguredCa, DescribedCa, GivenSubAuthority};

use crate::ids::{CaId, IssuanceId, ProjectId};

/// Issues certificates and revokes them.
///
/// The contract, each sentence of which the conformance suite in `testkit` tests:
///
/// * The certificate is for the key that signed the request, and for no other.
/// * The certificate with its intermediates verifies against the last certificate of [`chain`](Self::chain).
/// * A request that can't be read, or whose signature isn't its key's, is `Rejected`, and so is one for a profile
///   that [`descriptor`](Self::descriptor) doesn't list.
/// * What a request asks for beyond its profile is not in the certificate: being a CA least of all.
/// * Serial numbers are positive, have at most 20 bytes (RFC 5280, section 4.1.2.2), are drawn from 63 bits at least,
///   and never come again.
/// * To be asked again under the same [`IssuanceId`] for what the same request says, by any instance, gives the
///   same certificate and not a second one: whoever died before it knew the answer may ask again.
/// * [`poll`](Self::poll) goes on with a `Pending` state on any instance, and to poll a state again does no harm.
/// * Who leaves no traces ([`CaDescriptor::leaves_traces`]) answers at once, and never `Pending`.
/// * Each step with an effect outside follows a `Pending` whose state names it, so that whoever keeps the state
///   before it goes on never takes the step twice.
/// * To revoke again succeeds, changes nothing and says so; to revoke what this CA didn't issue is `NotFound`.
#[async_trait]
pub trait CertificateAuthority: Send + Sync {
    /// What this CA is and can do.
    fn descriptor(&self) -> &CaDescriptor;

    /// Asks for a certificate.
    ///
    /// # Errors
    /// `Unavailable`; `Internal`. What the CA refuses is no error but [`Issuance::Rejected`].
    async fn issue(&self, request: &IssuanceRequest) -> Result<Issuance, CaError>;

    /// Goes on with a request that was `Pending`.
    ///
    /// # Errors
    /// As [`issue`](Self::issue); `Corrupt` for a state that isn't this CA's.
    async fn poll(&self, request: &IssuanceRequest, state: &IssuanceState) -> Result<Issuance, CaError>;

    /// Makes a certificate invalid from now on; whether it was valid until then. Idempotent.
    ///
    /// # Errors
    /// `NotFound` if this CA didn't issue it; `Unsupported` where it revokes nothing; `Unavailable`.
    async fn revoke(&self, revocation: &Revocation) -> Result<bool, CaError>;

    /// The CA's certificate, then its issuer's, up to the root; DER. Empty when the CA doesn't tell, or before
    /// it has issued anything, and then [`CaDescriptor::tells_chain`] is false.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError>;

    /// Whether the CA can be used now.
    ///
    /// # Errors
    /// The reason why it can't.
    async fn health(&self) -> Result<(), CaError>;

    /// Lists of what was revoked, where the CA leaves publishing them to Bailey.
    fn revocation_lists(&self) -> Option<&dyn RevocationLists> {
        None
    }

    /// Answers on single certificates, where the CA leaves them to Bailey.
    fn status_responder(&self) -> Option<&dyn StatusResponder> {
        None
    }

    /// The CA's own opinion of when its certificates are to be renewed.
    fn renewal(&self) -> Option<&dyn Renewal> {
        None
    }

    /// CAs below this one.
    fn sub_authorities(&self) -> Option<&dyn SubAuthorities> {
        None
    }
}

/// What a CA is and can do. Data: nobody probes by calling and catching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaDescriptor {
    /// Its permanent id.
    pub id: CaId,
    /// Its configured name: a label that may change.
    pub name: String,
    /// Its kind: `local`, `acme`, `ejbca`.
    pub kind: Cow<'static, str>,
    /// What it issues, by name; the first is what is issued to who names none.
    pub profiles: Vec<ProfileDescriptor>,
    /// Whether [`CertificateAuthority::chain`] tells its certificates before anything is issued.
    pub tells_chain: bool,
    /// Whether [`CertificateAuthority::revoke`] does anything.
    pub revokes: bool,
    /// Whether to issue leaves anything behind beside the answer: in a book, or at another server. Where it doesn't,
    /// an answer that nobody has seen yet may be thrown away, and asked for again for another key.
    pub leaves_traces: bool,
}

impl CaDescriptor {
    /// The profile of this name, or the first where none is named.
    #[must_use]
    pub fn profile(&self, name: Option<&str>) -> Option<&ProfileDescriptor> {
        match name {
            None => self.profiles.first(),
            Some(name) => self.profiles.iter().find(|profile| profile.name == name),
        }
    }
}

/// A sort of certificate that a CA issues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileDescriptor {
    /// How orders name it.
    pub name: String,
    /// What it is for, as people read it.
    pub description: String,
}

/// What is asked of a CA. Holds nothing secret: the private key has signed the request and stayed where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuanceRequest {
    /// Names the request for good: the order it comes from.
    pub id: IssuanceId,
    /// Whose certificate it will be.
    pub project: ProjectId,
    /// Which profile, if one is named.
    pub profile: Option<String>,
    /// PKCS#10 certification request (RFC 2986), DER.
    pub csr: Vec<u8>,
    /// When it was first asked for. The certificate is valid from then on, as far as the CA lets itself be told.
    pub requested_at: DateTime<Utc>,
    /// The certificate (DER) that it is to take the place of, if there is one: for CAs that want to know.
    pub replaces: Option<Vec<u8>>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Issuance {
    /// The certificate is there.
    Issued(Issued),
    /// Something is still to be done, by the CA or by whoever approves.
    Pending(Pending),
    /// The CA won't, however often it is asked.
    Rejected(Rejection),
}

/// A certificate and what leads from it to a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Its issuer's certificate and so on, without the root; DER.
    pub intermediates: Vec<Vec<u8>>,
}

/// A request that isn't done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Where it stands.
    pub state: IssuanceState,
    /// When to poll at the earliest; zero, if the state only has to be kept before the next step.
    pub retry_after: Duration,
    /// What is being waited for, fit for the client.
    pub waits_for: Cow<'static, str>,
}

/// Where a request stands: text, in practice JSON, that the CA's plugin alone reads. Kept with the order, so it
/// holds nothing secret; types for secrets don't serialise into text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuanceState(pub String);

impl IssuanceState {
    /// Most bytes of a state.
    pub const LONGEST: usize = 64 * 1024;
}

/// Why a CA won't issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// One sentence fit for the client.
    pub reason: String,
}

impl Issuance {
    /// A rejection for this reason.
    pub fn rejected(reason: impl Into<String>) -> Self {
        Self::Rejected(Rejection { reason: reason.into() })
    }
}
