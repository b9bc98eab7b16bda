//! Revocations, and the lists that tell of them.

use async_trait::async_trait;
use bailey_core::ca::{CaError, CaErrorKind, Revocation, RevocationList, RevocationLists, RevocationReason, Revoked};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, SigningKey};
use x509_parser::parse_x509_certificate;

use super::LocalCa;
use super::authority::time_of;

/// What a revocation enters into the ledger.
///
/// # Errors
/// `NotFound` if the CA of this certificate didn't sign the one that is revoked.
pub(super) fn entry(revocation: &Revocation, own: &[u8], now: DateTime<Utc>) -> Result<Revoked, CaError> {
    let not_found = || CaError::new(CaErrorKind::NotFound, "revoke", "this CA didn't issue it");
    let corrupt = |_| CaError::new(CaErrorKind::Corrupt, "revoke", "the CA's certificate can't be read");
    let (_, certificate) = parse_x509_certificate(&revocation.certificate).map_err(|_| not_found())?;
    let (_, own) = parse_x509_certificate(own).map_err(corrupt)?;
    if certificate.issuer().as_raw() != own.subject().as_raw() {
        return Err(not_found());
    }
    certificate.verify_signature(Some(own.public_key())).map_err(|_| not_found())?;
    let serial = certificate.raw_serial();
    let leading = serial.iter().take_while(|byte| **byte == 0).count();
    let expires_at = DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0);
    Ok(Revoked {
        serial: serial.get(leading..).unwrap_or_default().to_vec(),
        reason: revocation.reason,
        revoked_at: now,
        expires_at: expires_at.ok_or_else(not_found)?,
    })
}

#[async_trait]
impl<S: SigningKey + Send + Sync> RevocationLists for LocalCa<S> {
    async fn revocation_list(&self) -> Result<RevocationList, CaError> {
        let now = self.clock.now();
        let (number, revoked) = self.ledger.next_list(self.descriptor.id, now).await?;
        let next_update = now + TimeDelta::days(i64::from(self.crl_days));
        let params = CertificateRevocationListParams {
            this_update: time_of(now),
            next_update: time_of(next_update),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.into_iter().map(listed).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params
            .signed_by(&self.issuer)
            .map_err(|error| CaError::new(CaErrorKind::Internal, "sign CRL", "").with_source(error))?;
        Ok(RevocationList { der: list.der().to_vec(), number, next_update })
    }
}

fn listed(revoked: Revoked) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from(revoked.serial),
        revocation_time: time_of(revoked.revoked_at),
        reason_code: code(revoked.reason),
        invalidity_date: None,
    }
}

/// No reason is better not told than told as none (RFC 5280, section 5.3.1).
fn code(reason: RevocationReason) -> Option<rcgen::RevocationReason> {
    Some(match reason {
        RevocationReason::Unspecified => return None,
        RevocationReason::KeyCompromise => rcgen::RevocationReason::KeyCompromise,
        RevocationReason::CaCompromise => rcgen::RevocationReason::CaCompromise,
        RevocationReason::AffiliationChanged => rcgen::RevocationReason::AffiliationChanged,
        RevocationReason::Superseded => rcgen::RevocationReason::Superseded,
        RevocationReason::CessationOfOperation => rcgen::RevocationReason::CessationOfOperation,
        RevocationReason::PrivilegeWithdrawn => rcgen::RevocationReason::PrivilegeWithdrawn,
    })
}
