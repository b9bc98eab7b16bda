//! Making CAs: a root, or one below another.

use std::time::Duration;

use bailey_core::ca::{CaError, CaErrorKind, CaKey, CaKeyType};
use bailey_core::certificate::{Attribute, DistinguishedName};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, KeyUsagePurpose, SerialNumber, SubjectPublicKeyInfo,
    date_time_ymd,
};
use x509_parser::parse_x509_certificate;

use super::generation::Opened;
use super::signing::{Blank, Draft, refused};

const OPERATION: &str = "make CA";

/// A CA to be made.
#[derive(Debug, Clone)]
pub struct NewAuthority {
    /// Its subject.
    pub subject: DistinguishedName,
    /// The sort of its key.
    pub key_type: CaKeyType,
    /// How many CAs may be below it, one below the other.
    pub path_length: u8,
    /// For how many days it is good.
    pub valid_days: u32,
    /// From when on.
    pub begins_at: DateTime<Utc>,
}

impl NewAuthority {
    /// The certificate of a root with this key, as a chain.
    pub(super) async fn root(&self, key: &dyn CaKey) -> Result<Vec<Vec<u8>>, CaError> {
        let blank = Blank::of(key.public_key()).map_err(refused)?;
        let draft = Draft::read(self.params()?.self_signed(&blank).map_err(refused)?.der())?;
        Ok(vec![draft.signed(key).await?])
    }

    /// The same with no more CAs below it than all of `chain`, the CAs above, leave room for.
    pub(super) fn fitted(&self, chain: &[Vec<u8>]) -> Result<Self, CaError> {
        let full = || CaError::new(CaErrorKind::Unsupported, OPERATION, "the CAs above leave no room for one below");
        let Some(room) = room(chain)? else { return Ok(self.clone()) };
        let below = room.checked_sub(1).ok_or_else(full)?;
        Ok(Self { path_length: self.path_length.min(u8::try_from(below).unwrap_or(u8::MAX)), ..self.clone() })
    }

    /// The certificate of a CA that is [`fitted`](Self::fitted) below another, and what leads from there to the root. It
    /// ends when the one above does at the latest, and says what `point_out` adds.
    pub(super) async fn below(
        &self,
        above: &Opened,
        public_key: &[u8],
        point_out: impl FnOnce(&mut CertificateParams),
    ) -> Result<Vec<Vec<u8>>, CaError> {
        let mut params = self.params()?;
        params.not_after = params.not_after.min(time_of(above.ends_at));
        point_out(&mut params);
        let key = SubjectPublicKeyInfo::from_der(public_key).map_err(refused)?;
        let draft = Draft::read(params.signed_by(&key, &above.issuer).map_err(refused)?.der())?;
        let certificate = draft.signed(above.key.as_ref()).await?;
        Ok(std::iter::once(certificate).chain(above.chain.iter().cloned()).collect())
    }

    fn params(&self) -> Result<CertificateParams, CaError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for Attribute { oid, value } in &self.subject.0 {
            params.distinguished_name.push(DnType::from_oid(oid), value.as_str());
        }
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(self.path_length));
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(random_serial()?));
        params.not_before = time_of(self.begins_at);
        params.not_after = time_of(self.begins_at + TimeDelta::days(i64::from(self.valid_days)));
        Ok(params)
    }
}

fn corrupt() -> CaError {
    CaError::new(CaErrorKind::Corrupt, OPERATION, "the certificate above can't be read")
}

/// How many CAs, one below the other, may be below the first of a chain, by every certificate of it (RFC 5280, section
/// 6.1.4); `None` for any number.
fn room(chain: &[Vec<u8>]) -> Result<Option<u32>, CaError> {
    let mut least = None;
    for (between, certificate) in (0..).zip(chain) {
        let (_, parsed) = parse_x509_certificate(certificate).map_err(|_| corrupt())?;
        let constraints = parsed.basic_constraints().map_err(|_| corrupt())?;
        if let Some(most) = constraints.and_then(|found| found.value.path_len_constraint) {
            let left = most.saturating_sub(between);
            least = Some(least.map_or(left, |least: u32| least.min(left)));
        }
    }
    Ok(least)
}

fn random_serial() -> Result<Vec<u8>, CaError> {
    let mut serial = vec![0; 16];
    let failed = |_| CaError::new(CaErrorKind::Internal, OPERATION, "there are no random numbers");
    aws_lc_rs::rand::fill(&mut serial).map_err(failed)?;
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
