//! CAs that break one promise each.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use async_trait::async_trait;
use bailey_core::ca::{
    CaDescriptor, CaError, CaErrorKind, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, Revocation,
    RevocationList, RevocationLists, RevocationReason,
};
use bailey_core::ids::IssuanceId;
use rcgen::{CertificateParams, CertificateSigningRequestParams, KeyPair, SubjectPublicKeyInfo};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use crate::conformance::certificate_authority::CaFixture;
use crate::memory::{MemoryAuthority, MemoryCa, Signing, names};

/// What is wrong with a CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaFault {
    /// The certificate is for a key of the CA's own making.
    CertifiesAnotherKey,
    /// What leads to the root isn't handed out.
    LosesIntermediates,
    /// Nobody checks who signed a request.
    TakesBadSignatures,
    /// Whoever asks to be a CA is one.
    CopiesExtensions,
    /// A profile that isn't there is the first one.
    IgnoresProfile,
    /// To ask again is to ask for another certificate.
    IssuesAgain,
    /// The order of what stands in a subject is another each time, and with it the certificate.
    ShufflesSubjects,
    /// States mean something to the process alone that made them.
    KeepsStatesToItself,
    /// There is something to wait for, and yet nothing is left behind.
    DeniesTraces,
    /// A state that can't be read counts as the first.
    TakesAnyState,
    /// All serial numbers are one.
    RepeatsSerials,
    /// Serial numbers can be guessed.
    ShortensSerials,
    /// What was revoked can't be revoked again.
    RevokesOnce,
    /// What was revoked is said to have been valid.
    ForgetsRevoking,
    /// Others' certificates are revoked, too.
    RevokesOthers,
    /// The last reason stands.
    ForgetsFirstReason,
    /// Lists are empty.
    ListsNothing,
    /// Lists have one number.
    RepeatsListNumber,
}

struct BrokenCa {
    fault: CaFault,
    descriptor: CaDescriptor,
    inner: MemoryCa,
    shelf: Arc<Shelf>,
    /// States that this process made.
    states: Mutex<HashSet<String>>,
}

/// What all processes share.
struct Shelf {
    authority: Arc<MemoryAuthority>,
    revoked: Mutex<HashSet<Vec<u8>>>,
}

impl BrokenCa {
    /// The request as the fault takes it.
    fn misread(&self, request: &IssuanceRequest) -> IssuanceRequest {
        let mut request = request.clone();
        match self.fault {
            CaFault::CertifiesAnotherKey => {
                if let Ok(read) = CertificateSigningRequestParams::from_der(&request.csr.as_slice().into()) {
                    let key = KeyPair::generate().unwrap();
                    request.csr = read.params.serialize_request(&key).unwrap().der().to_vec();
                }
            }
            CaFault::IgnoresProfile => request.profile = None,
            CaFault::IssuesAgain => request.id = IssuanceId::new(),
            CaFault::ShufflesSubjects if has_long_subject(&request.csr) => request.id = IssuanceId::new(),
            _ => {}
        }
        request
    }

    /// Signs by itself, where the fault is in the signing.
    fn sign(&self, request: &IssuanceRequest) -> Option<Issuance> {
        let read = CertificateSigningRequestParams::from_der(&request.csr.as_slice().into());
        let proper = Signing::proper();
        let how = match (self.fault, &read) {
            (CaFault::CopiesExtensions, Ok(read)) => {
                Signing { is_ca: matches!(read.params.is_ca, rcgen::IsCa::Ca(_)), ..proper }
            }
            (CaFault::RepeatsSerials, Ok(_)) => Signing { serial: vec![0x11; 16], ..proper },
            (CaFault::ShortensSerials, Ok(_)) => Signing { serial: proper.serial[..4].to_vec(), ..proper },
            (CaFault::TakesBadSignatures, Err(_)) => proper,
            _ => return None,
        };
        let (rest, parsed) = X509CertificationRequest::from_der(&request.csr).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let key = SubjectPublicKeyInfo::from_der(parsed.certification_request_info.subject_pki.raw).ok()?;
        let params = read.map(|read| read.params).unwrap_or_else(|_| CertificateParams::new(vec![names()]).unwrap());
        let issued = self.shelf.authority.sign(params, &key, how, request.requested_at).ok()?;
        Some(Issuance::Issued(issued))
    }

    fn tell(&self, issuance: Issuance) -> Issuance {
        match (self.fault, issuance) {
            (CaFault::LosesIntermediates, Issuance::Issued(mut issued)) => {
                issued.intermediates.clear();
                Issuance::Issued(issued)
            }
            (CaFault::KeepsStatesToItself, Issuance::Pending(pending)) => {
                self.states.lock().unwrap().insert(pending.state.0.clone());
                Issuance::Pending(pending)
            }
            (_, issuance) => issuance,
        }
    }
}

#[async_trait]
impl CertificateAuthority for BrokenCa {
    fn descriptor(&self) -> &CaDescriptor {
        &self.descriptor
    }

    async fn issue(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        if let Some(signed) = self.sign(request) {
            return Ok(signed);
        }
        Ok(self.tell(self.inner.issue(&self.misread(request)).await?))
    }

    async fn poll(&self, request: &IssuanceRequest, state: &IssuanceState) -> Result<Issuance, CaError> {
        if self.fault == CaFault::KeepsStatesToItself && !self.states.lock().unwrap().contains(&state.0) {
            return Err(CaError::new(CaErrorKind::Corrupt, "poll", "another process made this state"));
        }
        let request = self.misread(request);
        let polled = match self.inner.poll(&request, state).await {
            Err(error) if self.fault == CaFault::TakesAnyState && error.kind == CaErrorKind::Corrupt => {
                self.inner.issue(&request).await
            }
            polled => polled,
        };
        Ok(self.tell(polled?))
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, CaError> {
        let is_first = self.shelf.revoked.lock().unwrap().insert(revocation.certificate.clone());
        if self.fault == CaFault::RevokesOnce && !is_first {
            return Err(CaError::new(CaErrorKind::Internal, "revoke", "it is revoked already"));
        }
        let mut revocation = revocation.clone();
        // The memory CA lets the first reason stand: here the first is not told.
        if self.fault == CaFault::ForgetsFirstReason {
            revocation.reason = RevocationReason::Superseded;
        }
        match self.inner.revoke(&revocation).await {
            Err(error) if self.fault == CaFault::RevokesOthers && error.kind == CaErrorKind::NotFound => Ok(true),
            Ok(false) if self.fault == CaFault::ForgetsRevoking => Ok(true),
            revoked => revoked,
        }
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        self.inner.chain().await
    }

    async fn health(&self) -> Result<(), CaError> {
        self.inner.health().await
    }

    fn revocation_lists(&self) -> Option<&dyn RevocationLists> {
        Some(self)
    }
}

#[async_trait]
impl RevocationLists for BrokenCa {
    async fn revocation_list(&self, generation: Option<u32>) -> Result<RevocationList, CaError> {
        let list = match self.fault {
            CaFault::ListsNothing => {
                MemoryCa::new(Arc::new(MemoryAuthority::new().unwrap()), 0).revocation_list(generation).await?
            }
            _ => self.inner.revocation_list(generation).await?,
        };
        let number = if self.fault == CaFault::RepeatsListNumber { 1 } else { list.number };
        Ok(RevocationList { number, ..list })
    }
}

fn has_long_subject(csr: &[u8]) -> bool {
    X509CertificationRequest::from_der(csr)
        .is_ok_and(|(_, parsed)| parsed.certification_request_info.subject.iter_attributes().count() > 1)
}

/// Opens instances of one broken CA.
pub struct BrokenCaFixture {
    fault: CaFault,
    shelf: Arc<Shelf>,
}

impl BrokenCaFixture {
    /// A CA with this fault.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(fault: CaFault) -> Result<Self> {
        let authority = Arc::new(MemoryAuthority::new()?);
        Ok(Self { fault, shelf: Arc::new(Shelf { authority, revoked: Mutex::default() }) })
    }
}

#[async_trait]
impl CaFixture for BrokenCaFixture {
    async fn instance(&self) -> Result<Arc<dyn CertificateAuthority>> {
        let inner = MemoryCa::new(Arc::clone(&self.shelf.authority), 1);
        let leaves_traces = self.fault != CaFault::DeniesTraces;
        let descriptor = CaDescriptor { leaves_traces, ..inner.descriptor().clone() };
        let (shelf, states) = (Arc::clone(&self.shelf), Mutex::default());
        Ok(Arc::new(BrokenCa { fault: self.fault, descriptor, inner, shelf, states }))
    }

    fn name(&self) -> String {
        names()
    }

    async fn root(&self) -> Result<Vec<u8>> {
        Ok(self.shelf.authority.root())
    }

    async fn issued(&self) -> Result<u64> {
        Ok(self.shelf.authority.signed())
    }
}
