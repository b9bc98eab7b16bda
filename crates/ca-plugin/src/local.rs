//! A CA of Bailey's own: it signs what a profile grants, and nothing that a request asks for beyond it.

mod authority;
mod config;
mod pattern;
mod profile;
mod request;
mod revocation;
mod serial;

use async_trait::async_trait;
use bailey_core::ca::{
    CaDescriptor, CaError, CaErrorKind, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, Issued, Ledger,
    ProfileDescriptor, Revocation, RevocationLists,
};
use bailey_core::clock::Clock;
use bailey_core::ids::CaId;
use bailey_core::sensitive::SecretBytes;
use rcgen::{CrlDistributionPoint, Issuer, SerialNumber, SigningKey};
use std::sync::Arc;

pub use authority::{Authority, KeyType, NewAuthority};
pub use config::{Config, ProfileConfig, Usage};

use profile::Profile;
use request::Read;
use serial::Serials;

/// A CA whose key is at hand: in memory, or behind whatever else signs.
///
/// It keeps nothing of what it issued, and needs nothing to give the same answer again: serial number and validity
/// follow from the request, its id and the profile. What it revoked its [`Ledger`] keeps.
pub struct LocalCa<S> {
    descriptor: CaDescriptor,
    issuer: Issuer<'static, S>,
    /// Its certificate, then its issuer's, up to the root; DER.
    chain: Vec<Vec<u8>>,
    ends_at: chrono::DateTime<chrono::Utc>,
    profiles: Vec<Profile>,
    serials: Serials,
    crl_urls: Vec<String>,
    crl_days: u32,
    ledger: Arc<dyn Ledger>,
    clock: Clock,
}

impl<S: SigningKey + Send + Sync> LocalCa<S> {
    /// A CA with this chain, whose first certificate is for `key`. `serial_key` is any secret of 32 bytes or more
    /// that stays the same.
    ///
    /// # Errors
    /// `Internal` for a configuration without profiles or with one that can't be read; `Corrupt` for a chain that
    /// isn't the key's.
    pub fn new(
        id: CaId,
        config: &Config,
        chain: Vec<Vec<u8>>,
        key: S,
        serial_key: &SecretBytes,
        ledger: Arc<dyn Ledger>,
        clock: Clock,
    ) -> Result<Self, CaError> {
        const OPERATION: &str = "open local CA";
        let corrupt = |what: &str| CaError::new(CaErrorKind::Corrupt, OPERATION, what);
        let profiles = config.profiles.iter().map(Profile::new).collect::<Result<Vec<_>, _>>();
        let profiles = profiles.map_err(|what| CaError::new(CaErrorKind::Internal, OPERATION, what))?;
        if profiles.is_empty() {
            return Err(CaError::new(CaErrorKind::Internal, OPERATION, "there is no profile"));
        }
        let own = chain.first().ok_or_else(|| corrupt("the chain is empty"))?;
        let ends_at = authority::check(own, &key.subject_public_key_info()).map_err(corrupt)?;
        let issuer = Issuer::from_ca_cert_der(&own.as_slice().into(), key)
            .map_err(|error| corrupt("the certificate can't be read").with_source(error))?;
        let serials = Serials::new(serial_key, own);
        let told = |profile: &ProfileConfig| ProfileDescriptor {
            name: profile.name.clone(),
            description: profile.description.clone(),
        };
        let descriptor = CaDescriptor {
            id,
            name: config.name.clone(),
            kind: "local".into(),
            profiles: config.profiles.iter().map(told).collect(),
            tells_chain: true,
            revokes: true,
        };
        let (crl_urls, crl_days) = (config.crl_url.iter().cloned().collect(), config.crl_days);
        Ok(Self { descriptor, issuer, chain, ends_at, profiles, serials, crl_urls, crl_days, ledger, clock })
    }

    fn sign(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        let name = request.profile.as_deref();
        let profile = match name {
            None => self.profiles.first(),
            Some(name) => self.profiles.iter().find(|profile| profile.name() == name),
        };
        let Some(profile) = profile else { return Ok(Issuance::rejected("The CA has no such profile")) };
        let read = match Read::new(&request.csr) {
            Ok(read) => read,
            Err(reason) => return Ok(Issuance::rejected(reason)),
        };
        let mut params = match profile.grant(&read, request.requested_at, self.ends_at) {
            Ok(params) => params,
            Err(reason) => return Ok(Issuance::rejected(reason)),
        };
        if !self.crl_urls.is_empty() {
            params.crl_distribution_points = vec![CrlDistributionPoint { uris: self.crl_urls.clone() }];
        }
        // Over everything that is signed: if any of it were another, so would be the number.
        let serial = self.serials.of(request.id, &read.said, format!("{params:?}").as_bytes());
        params.serial_number = Some(SerialNumber::from(serial));
        let signed = params
            .signed_by(&read.key, &self.issuer)
            .map_err(|error| CaError::new(CaErrorKind::Internal, "sign certificate", "").with_source(error))?;
        let between = self.chain.split_last().map(|(_, between)| between.to_vec()).unwrap_or_default();
        Ok(Issuance::Issued(Issued { certificate: signed.der().to_vec(), intermediates: between }))
    }
}

#[async_trait]
impl<S: SigningKey + Send + Sync> CertificateAuthority for LocalCa<S> {
    fn descriptor(&self) -> &CaDescriptor {
        &self.descriptor
    }

    async fn issue(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        self.sign(request)
    }

    async fn poll(&self, _: &IssuanceRequest, _: &IssuanceState) -> Result<Issuance, CaError> {
        Err(CaError::new(CaErrorKind::Corrupt, "poll", "a local CA leaves nothing pending"))
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<(), CaError> {
        let own = self.chain.first().map(Vec::as_slice).unwrap_or_default();
        let revoked = revocation::entry(revocation, own, self.clock.now())?;
        self.ledger.revoke(self.descriptor.id, &revoked).await
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        Ok(self.chain.clone())
    }

    async fn health(&self) -> Result<(), CaError> {
        if self.ends_at <= self.clock.now() {
            return Err(CaError::new(CaErrorKind::Unavailable, "check local CA", "its certificate has expired"));
        }
        Ok(())
    }

    fn revocation_lists(&self) -> Option<&dyn RevocationLists> {
        Some(self)
    }
}
