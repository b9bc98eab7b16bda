//! A CA that keeps everything in memory, and asks for as many steps as a test wants.

mod below;
mod lists;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use bailey_core::ca::{
    CaDescriptor, CaError, CaErrorKind, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, Issued,
    NewSubAuthority, Pending, ProfileDescriptor, Renewal, RenewalWindow, Revocation, RevocationLists, RevocationReason,
    SubAuthorities,
};
use bailey_core::certificate::{Attribute, DistinguishedName};
use bailey_core::ids::{CaId, IssuanceId};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use x509_parser::parse_x509_certificate;

use super::random;
use crate::conformance::certificate_authority::CaFixture;

static NAMES: AtomicU32 = AtomicU32::new(0);

/// Where all names end that the CA in memory grants.
const DOMAIN: &str = ".example.test";

/// DNS names, each another one.
pub fn names() -> String {
    format!("host-{}{DOMAIN}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// The CA itself, which several [`MemoryCa`]s speak for.
pub struct MemoryAuthority {
    id: CaId,
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The certificates above its own, the root's last; DER.
    above: Vec<Vec<u8>>,
    book: Mutex<Book>,
    /// Those below it.
    below: Mutex<BTreeMap<CaId, Arc<Self>>>,
}

#[derive(Default)]
struct Book {
    /// By the request's id and what its CSR says.
    issued: BTreeMap<(IssuanceId, Vec<u8>), Issued>,
    signed: u64,
    revoked: BTreeMap<Vec<u8>, (RevocationReason, DateTime<Utc>)>,
    lists: u64,
    /// What it says of renewals, if it says anything.
    window: Option<RenewalWindow>,
    /// How often it was asked.
    asked: u64,
    /// The certificates that others were issued in place of; DER.
    replaced: Vec<Vec<u8>>,
}

/// How a certificate is signed.
pub struct Signing {
    /// Its serial number.
    pub serial: Vec<u8>,
    /// Whether it is to be a CA's.
    pub is_ca: bool,
}

impl Signing {
    /// As it should be.
    pub fn proper() -> Self {
        let mut serial = random()[..16].to_vec();
        // Positive, and sixteen bytes long.
        serial[0] = serial[0] & 0x7f | 0x40;
        Self { serial, is_ca: false }
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(Signing::proper().serial.into());
    params
}

fn time_of(time: DateTime<Utc>) -> time::OffsetDateTime {
    date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
}

impl MemoryAuthority {
    /// A root with an intermediate below it.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Self> {
        let root = CertifiedIssuer::self_signed(ca_params("memory root"), KeyPair::generate()?)?;
        let issuer = CertifiedIssuer::signed_by(ca_params("memory CA"), KeyPair::generate()?, &root)?;
        let above = vec![root.der().to_vec()];
        Ok(Self { id: CaId::new(), issuer, above, book: Mutex::default(), below: Mutex::default() })
    }

    fn make_below(&self, new: &NewSubAuthority) -> Result<Self> {
        let subject: DistinguishedName = new.subject.parse()?;
        let mut params = ca_params(&new.name);
        params.distinguished_name = rcgen::DistinguishedName::new();
        for Attribute { oid, value } in &subject.0 {
            params.distinguished_name.push(DnType::from_oid(oid), value.as_str());
        }
        let issuer = CertifiedIssuer::signed_by(params, KeyPair::generate()?, &self.issuer)?;
        Ok(Self { id: new.id, issuer, above: self.chain(), book: Mutex::default(), below: Mutex::default() })
    }

    /// Its certificate, then those above it; DER.
    fn chain(&self) -> Vec<Vec<u8>> {
        std::iter::once(self.issuer.der().to_vec()).chain(self.above.iter().cloned()).collect()
    }

    /// How many CAs are below it.
    pub fn below(&self) -> usize {
        self.below.lock().unwrap().len()
    }

    /// What it says from now on of when to renew whatever it has issued; nothing, and it is out of order for that.
    pub fn suggest(&self, window: Option<RenewalWindow>) {
        self.book.lock().unwrap().window = window;
    }

    /// How often it was asked when to renew something.
    pub fn asked(&self) -> u64 {
        self.book.lock().unwrap().asked
    }

    /// The certificates that others were issued in place of; DER.
    pub fn replaced(&self) -> Vec<Vec<u8>> {
        self.book.lock().unwrap().replaced.clone()
    }

    /// How often something was signed.
    pub fn signed(&self) -> u64 {
        self.book.lock().unwrap().signed
    }

    /// The root's certificate.
    pub fn root(&self) -> Vec<u8> {
        self.above.last().cloned().unwrap_or_default()
    }

    /// The certificate of the CA below the root, which signs.
    pub fn intermediate(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// Signs a certificate for this key, whatever it is for.
    ///
    /// # Errors
    /// When that isn't possible.
    pub fn sign(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
        how: Signing,
        from: DateTime<Utc>,
    ) -> Result<Issued, rcgen::Error> {
        params.is_ca = if how.is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if how.is_ca {
            params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(SerialNumber::from(how.serial));
        params.not_before = time_of(from);
        params.not_after = time_of(from + TimeDelta::days(30));
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, &self.issuer)?;
        self.book.lock().unwrap().signed += 1;
        let chain = self.chain();
        let intermediates = chain.split_last().map(|(_, between)| between.to_vec()).unwrap_or_default();
        Ok(Issued { certificate: certificate.der().to_vec(), intermediates })
    }

    fn grant(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        let read = match read_request(&request.csr) {
            Ok(read) => read,
            Err(reason) => return Ok(Issuance::rejected(reason)),
        };
        let key = (request.id, said(&request.csr));
        if let Some(issued) = self.book.lock().unwrap().issued.get(&key) {
            return Ok(Issuance::Issued(issued.clone()));
        }
        let is_known = |name: &SanType| matches!(name, SanType::DnsName(name) if name.as_str().ends_with(DOMAIN));
        if !read.params.subject_alt_names.iter().all(is_known) {
            return Ok(Issuance::rejected("The CA grants only names below example.test"));
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = read.params.distinguished_name;
        params.subject_alt_names = read.params.subject_alt_names;
        let issued = self
            .sign(params, &read.public_key, Signing::proper(), request.requested_at)
            .map_err(|error| CaError::new(CaErrorKind::Internal, "sign certificate", "").with_source(error))?;
        let mut book = self.book.lock().unwrap();
        book.issued.insert(key, issued.clone());
        book.replaced.extend(request.replaces.clone());
        drop(book);
        Ok(Issuance::Issued(issued))
    }
}

/// Reads a request whose signature is its key's.
pub(crate) fn read_request(csr: &[u8]) -> Result<CertificateSigningRequestParams, String> {
    use x509_parser::prelude::FromDer as _;
    let parsed = x509_parser::certification_request::X509CertificationRequest::from_der(csr);
    let (rest, _) = parsed.map_err(|_| "This is no certification request")?;
    if !rest.is_empty() {
        return Err("There are bytes behind the certification request".to_owned());
    }
    CertificateSigningRequestParams::from_der(&csr.into()).map_err(|error| error.to_string())
}

/// What a request says, without its signature.
fn said(csr: &[u8]) -> Vec<u8> {
    use x509_parser::prelude::FromDer as _;
    x509_parser::certification_request::X509CertificationRequest::from_der(csr)
        .map(|(_, parsed)| parsed.certification_request_info.raw.to_vec())
        .unwrap_or_default()
}

/// One process's view of a [`MemoryAuthority`].
pub struct MemoryCa {
    descriptor: CaDescriptor,
    authority: Arc<MemoryAuthority>,
    steps: u32,
}

impl MemoryCa {
    /// A view that grants a request after so many polls.
    pub fn new(authority: Arc<MemoryAuthority>, steps: u32) -> Self {
        Self::named(authority, steps, "memory")
    }

    /// The same, under a name.
    pub fn named(authority: Arc<MemoryAuthority>, steps: u32, name: &str) -> Self {
        let profile = ProfileDescriptor { name: "server".into(), description: "TLS servers".into() };
        let descriptor = CaDescriptor {
            id: authority.id,
            name: name.into(),
            kind: "memory".into(),
            profiles: vec![profile],
            tells_chain: true,
            revokes: true,
            leaves_traces: true,
        };
        Self { descriptor, authority, steps }
    }

    fn at_step(&self, request: &IssuanceRequest, step: u32) -> Result<Issuance, CaError> {
        if self.descriptor.profile(request.profile.as_deref()).is_none() {
            return Ok(Issuance::rejected("There is no such profile"));
        }
        if step >= self.steps {
            return self.authority.grant(request);
        }
        Ok(Issuance::Pending(Pending {
            state: IssuanceState(format!("step {}", step + 1)),
            retry_after: Duration::ZERO,
            waits_for: "another step".into(),
        }))
    }
}

#[async_trait]
impl CertificateAuthority for MemoryCa {
    fn descriptor(&self) -> &CaDescriptor {
        &self.descriptor
    }

    async fn issue(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        self.at_step(request, 0)
    }

    async fn poll(&self, request: &IssuanceRequest, state: &IssuanceState) -> Result<Issuance, CaError> {
        let step = state.0.strip_prefix("step ").and_then(|step| step.parse().ok());
        let corrupt = || CaError::new(CaErrorKind::Corrupt, "poll", "the state is no step");
        self.at_step(request, step.ok_or_else(corrupt)?)
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, CaError> {
        let not_found = || CaError::new(CaErrorKind::NotFound, "revoke", "this CA didn't issue it");
        let (_, parsed) = parse_x509_certificate(&revocation.certificate).map_err(|_| not_found())?;
        let mut book = self.authority.book.lock().unwrap();
        if !book.issued.values().any(|issued| issued.certificate == revocation.certificate) {
            return Err(not_found());
        }
        let entry = (revocation.reason, Utc::now().trunc_subsecs(0));
        let serial = parsed.raw_serial().to_vec();
        let was_valid = !book.revoked.contains_key(&serial);
        book.revoked.entry(serial).or_insert(entry);
        Ok(was_valid)
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        Ok(self.authority.chain())
    }

    async fn health(&self) -> Result<(), CaError> {
        Ok(())
    }

    fn revocation_lists(&self) -> Option<&dyn RevocationLists> {
        Some(self)
    }

    fn renewal(&self) -> Option<&dyn Renewal> {
        Some(self)
    }

    fn sub_authorities(&self) -> Option<&dyn SubAuthorities> {
        Some(self)
    }
}

#[async_trait]
impl Renewal for MemoryCa {
    async fn renewal_window(&self, _: &[u8]) -> Result<RenewalWindow, CaError> {
        let mut book = self.authority.book.lock().unwrap();
        book.asked += 1;
        book.window.ok_or_else(|| CaError::new(CaErrorKind::Unavailable, "ask when to renew", "it is out of order"))
    }
}

/// Opens [`MemoryCa`]s over one authority.
pub struct MemoryCaFixture {
    authority: Arc<MemoryAuthority>,
    steps: u32,
}

impl MemoryCaFixture {
    /// A fresh authority that grants after so many polls.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(steps: u32) -> Result<Self> {
        Ok(Self { authority: Arc::new(MemoryAuthority::new()?), steps })
    }
}

#[async_trait]
impl CaFixture for MemoryCaFixture {
    async fn instance(&self) -> Result<Arc<dyn CertificateAuthority>> {
        Ok(Arc::new(MemoryCa::new(Arc::clone(&self.authority), self.steps)))
    }

    fn name(&self) -> String {
        names()
    }

    async fn root(&self) -> Result<Vec<u8>> {
        Ok(self.authority.root())
    }

    async fn issued(&self) -> Result<u64> {
        Ok(self.authority.signed())
    }
}
