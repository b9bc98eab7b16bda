//! Making CAs: a root, or one below another.

use std::time::Duration;

use bailey_core::certificate::{Attribute, DistinguishedName};
use bailey_core::sensitive::SecretBytes;
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize, SerialNumber, SigningKey, date_time_ymd,
};
use x509_parser::parse_x509_certificate;

/// The sort of a CA's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA over P-256.
    EcP256,
    /// ECDSA over P-384.
    EcP384,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
}

impl KeyType {
    /// A fresh key.
    ///
    /// # Errors
    /// When none can be made.
    pub fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::EcP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::EcP384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Self::Rsa3072 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
            Self::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        }
    }
}

/// A CA to be made.
#[derive(Debug, Clone)]
pub struct NewAuthority {
    /// Its subject.
    pub subject: DistinguishedName,
    /// How many CAs may be below it, one below the other; any number, if nothing is said.
    pub path_length: Option<u8>,
    /// For how many days it is good.
    pub valid_days: u32,
    /// From when on.
    pub begins_at: DateTime<Utc>,
}

/// A CA that was made.
#[derive(Debug)]
pub struct Authority {
    /// Its certificate, then its issuer's, up to the root; DER.
    pub chain: Vec<Vec<u8>>,
    /// Its key, PKCS#8 DER.
    pub private_key: SecretBytes,
}

impl NewAuthority {
    /// A root with a fresh key.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn root(&self, key_type: KeyType) -> Result<Authority, rcgen::Error> {
        let key = key_type.generate()?;
        let certificate = self.params()?.self_signed(&key)?;
        Ok(Authority { chain: vec![certificate.der().to_vec()], private_key: key.serialize_der().into() })
    }

    /// A CA with a fresh key below another, which ends when that does at the latest.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn below(
        &self,
        chain: &[Vec<u8>],
        issuer_key: impl SigningKey,
        key_type: KeyType,
    ) -> Result<Authority, rcgen::Error> {
        let above = chain.first().ok_or(rcgen::Error::CouldNotParseCertificate)?;
        let issuer = Issuer::from_ca_cert_der(&above.as_slice().into(), issuer_key)?;
        let key = key_type.generate()?;
        let mut params = self.params()?;
        let (_, parsed) = parse_x509_certificate(above).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        params.not_after = params.not_after.min(parsed.validity().not_after.to_datetime());
        let own = params.signed_by(&key, &issuer)?.der().to_vec();
        let chain = std::iter::once(own).chain(chain.iter().cloned()).collect();
        Ok(Authority { chain, private_key: key.serialize_der().into() })
    }

    fn params(&self) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for Attribute { oid, value } in &self.subject.0 {
            params.distinguished_name.push(DnType::from_oid(oid), value.as_str());
        }
        let constraints = self.path_length.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained);
        params.is_ca = IsCa::Ca(constraints);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(random_serial()?));
        params.not_before = time_of(self.begins_at);
        params.not_after = time_of(self.begins_at + TimeDelta::days(i64::from(self.valid_days)));
        Ok(params)
    }
}

fn random_serial() -> Result<Vec<u8>, rcgen::Error> {
    let mut serial = vec![0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    Ok(serial)
}

/// A time in whole seconds, as certificates have it.
pub(super) fn time_of(time: DateTime<Utc>) -> time::OffsetDateTime {
    date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
}

/// When a CA's certificate ends, if it is one and this key's.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(certificate: &[u8], key: &[u8]) -> Result<DateTime<Utc>, &'static str> {
    let (rest, parsed) = parse_x509_certificate(certificate).map_err(|_| "the certificate can't be read")?;
    if !rest.is_empty() || !parsed.is_ca() {
        return Err("the certificate is no CA's");
    }
    if parsed.public_key().raw != key {
        return Err("the certificate is another key's");
    }
    let ends_at = DateTime::from_timestamp(parsed.validity().not_after.timestamp(), 0);
    ends_at.ok_or("the certificate ends at no time")
}
