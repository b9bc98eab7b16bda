//! What a CA in memory has revoked.

use async_trait::async_trait;
use bailey_core::ca::{CaError, CaErrorKind, RevocationList, RevocationLists, RevocationReason};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};

use super::{MemoryCa, time_of};

#[async_trait]
impl RevocationLists for MemoryCa {
    async fn revocation_list(&self, generation: Option<u32>) -> Result<RevocationList, CaError> {
        if generation.is_some_and(|generation| generation != 1) {
            return Err(CaError::new(CaErrorKind::NotFound, "list revocations", "there is one generation"));
        }
        let (number, revoked) = {
            let mut book = self.authority.book.lock().unwrap();
            book.lists += 1;
            (book.lists, book.revoked.clone())
        };
        let (now, next_update) = (Utc::now(), Utc::now() + TimeDelta::days(1));
        let entry = |(serial, (reason, at)): (Vec<u8>, (RevocationReason, DateTime<Utc>))| RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: time_of(at),
            reason_code: Some(match reason {
                RevocationReason::KeyCompromise => rcgen::RevocationReason::KeyCompromise,
                RevocationReason::Superseded => rcgen::RevocationReason::Superseded,
                _ => rcgen::RevocationReason::Unspecified,
            }),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: time_of(now),
            next_update: time_of(next_update),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.into_iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params
            .signed_by(&self.authority.issuer)
            .map_err(|error| CaError::new(CaErrorKind::Internal, "sign CRL", "").with_source(error))?;
        Ok(RevocationList { der: list.der().to_vec(), number, next_update })
    }
}
