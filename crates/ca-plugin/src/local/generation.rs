//! One certificate of the CA's with its key.

use std::sync::Arc;

use bailey_core::ca::{CaError, CaErrorKind, CaKey, Generation, Issued};
use bailey_core::ids::IssuanceId;
use bailey_core::sensitive::SecretBytes;
use chrono::{DateTime, Utc};
use rcgen::{CertificateParams, Issuer, SerialNumber};
use x509_parser::parse_x509_certificate;

use super::serial::Serials;
use super::signing::{Blank, Draft, refused};
use super::{OwnCertificate, authority};
use crate::request::Read;

/// A generation whose key is at hand.
pub(super) struct Opened {
    pub(super) number: u32,
    /// Its certificate, then its issuer's, up to the root; DER.
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) ends_at: DateTime<Utc>,
    pub(super) key: Arc<dyn CaKey>,
    pub(super) issuer: Issuer<'static, Blank>,
    /// Its subject, as certificates below it name it; DER.
    pub(super) subject: Vec<u8>,
    /// Its public key's own bits.
    pub(super) key_bits: Vec<u8>,
    /// How its key signs; DER.
    algorithm: Vec<u8>,
    serials: Serials,
}

impl Opened {
    /// # Errors
    /// `Corrupt` for a certificate that isn't the key's.
    pub(super) fn new(generation: Generation, key: Arc<dyn CaKey>, secret: &SecretBytes) -> Result<Self, CaError> {
        let corrupt = |what: &str| CaError::new(CaErrorKind::Corrupt, "open local CA", what);
        let Generation { number, chain, created_at } = generation;
        let own = chain.first().ok_or_else(|| corrupt("the chain is empty"))?;
        let ends_at = authority::check(own, key.public_key()).map_err(corrupt)?;
        let issuer = Issuer::from_ca_cert_der(&own.as_slice().into(), Blank::of(key.public_key()).map_err(refused)?)
            .map_err(|error| corrupt("the certificate can't be read").with_source(error))?;
        let (_, parsed) = parse_x509_certificate(own).map_err(|_| corrupt("the certificate can't be read"))?;
        let (subject, key_bits) =
            (parsed.subject().as_raw().to_vec(), parsed.public_key().subject_public_key.data.to_vec());
        let Draft { algorithm, .. } =
            Draft::read(CertificateParams::default().self_signed(issuer.key()).map_err(refused)?.der())?;
        let serials = Serials::new(secret, own);
        Ok(Self { number, chain, created_at, ends_at, key, issuer, subject, key_bits, algorithm, serials })
    }

    /// As operators see it.
    pub(super) fn told(&self) -> OwnCertificate {
        let Self { number, chain, created_at, ends_at, .. } = self;
        let subject = parse_x509_certificate(self.own()).map(|(_, own)| own.subject().to_string()).unwrap_or_default();
        OwnCertificate { number: *number, chain: chain.clone(), subject, created_at: *created_at, ends_at: *ends_at }
    }

    /// Its certificate.
    pub(super) fn own(&self) -> &[u8] {
        self.chain.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// Signs what was granted.
    ///
    /// # Errors
    /// The key's.
    pub(super) async fn issue(
        &self,
        id: IssuanceId,
        read: &Read,
        mut params: CertificateParams,
    ) -> Result<Issued, CaError> {
        // Over everything that is signed but the number itself: if any of it were another, so would be the number.
        params.serial_number = Some(SerialNumber::from(1));
        let unnumbered = self.draft(&params, read)?;
        params.serial_number = Some(SerialNumber::from(self.serials.of(id, &read.said, &unnumbered.said)));
        let certificate = self.draft(&params, read)?.signed(self.key.as_ref()).await?;
        let intermediates = self.chain.split_last().map(|(_, between)| between.to_vec()).unwrap_or_default();
        Ok(Issued { certificate, intermediates })
    }

    /// Signs anything that is to be signed as certificates are.
    ///
    /// # Errors
    /// The key's.
    pub(super) async fn sign(&self, said: Vec<u8>) -> Result<Vec<u8>, CaError> {
        Draft { said, algorithm: self.algorithm.clone() }.signed(self.key.as_ref()).await
    }

    fn draft(&self, params: &CertificateParams, read: &Read) -> Result<Draft, CaError> {
        Draft::read(params.signed_by(&read.key, &self.issuer).map_err(refused)?.der())
    }
}
