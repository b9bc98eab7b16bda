//! Revocations, and the lists that tell of them.

use async_trait::async_trait;
use bailey_core::ca::{CaError, CaErrorKind, Revocation, RevocationList, RevocationLists, RevocationReason, Revoked};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use x509_parser::parse_x509_certificate;

use super::LocalCa;
use super::authority::time_of;
use super::signing::{Draft, refused};

/// What a revocation enters into the ledger; nothing, if the CA of this certificate didn't sign the one that is revoked.
///
/// # Errors
/// `NotFound` for what is no certificate; `Corrupt` if the CA's own is none.
pub(super) fn entry(revocation: &Revocation, own: &[u8], now: DateTime<Utc>) -> Result<Option<Revoked>, CaError> {
    let not_found = || CaError::new(CaErrorKind::NotFound, "revoke", "it is no certificate");
    let corrupt = |_| CaError::new(CaErrorKind::Corrupt, "revoke", "the CA's certificate can't be read");
    let (_, certificate) = parse_x509_certificate(&revocation.certificate).map_err(|_| not_found())?;
    let (_, own) = parse_x509_certificate(own).map_err(corrupt)?;
    if certificate.issuer().as_raw() != own.subject().as_raw() {
        return Ok(None);
    }
    if certificate.verify_signature(Some(own.public_key())).is_err() {
        return Ok(None);
    }
    let expires_at = DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0);
    Ok(Some(Revoked {
        serial: plain(certificate.raw_serial()),
        reason: revocation.reason,
        revoked_at: now,
        expires_at: expires_at.ok_or_else(not_found)?,
    }))
}

/// A serial number without leading zeros.
pub(super) fn plain(serial: &[u8]) -> Vec<u8> {
    serial.iter().copied().skip_while(|byte| *byte == 0).collect()
}

#[async_trait]
impl RevocationLists for LocalCa {
    async fn revocation_list(&self, generation: Option<u32>) -> Result<RevocationList, CaError> {
        let now = self.parts.clock.now();
        let generations = self.generations().await?;
        let opened = match generation {
            None => generations.last(),
            Some(number) => generations.iter().find(|opened| opened.number == number),
        };
        let unknown = || CaError::new(CaErrorKind::NotFound, "list revocations", "there is no such generation");
        let opened = opened.ok_or_else(unknown)?;
        let period = TimeDelta::days(i64::from(self.config.crl_days));
        // What has ended stays for a period: whoever has a list of before asks for another one within that (RFC 5280,
        // section 3.3).
        let (number, revoked) = self.parts.ledger.next_list(self.descriptor.id, opened.number, now - period).await?;
        let next_update = now + period;
        let params = CertificateRevocationListParams {
            this_update: time_of(now),
            next_update: time_of(next_update),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.into_iter().map(listed).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let draft = Draft::read(params.signed_by(&opened.issuer).map_err(refused)?.der())?;
        let der = draft.signed(opened.key.as_ref()).await?;
        Ok(RevocationList { der, number, next_update })
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
