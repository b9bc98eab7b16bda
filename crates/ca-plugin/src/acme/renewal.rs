//! When the CA would have a certificate renewed (RFC 9773).

use async_trait::async_trait;
use bailey_core::ca::{CaError, CaErrorKind, Renewal, RenewalWindow};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use x509_parser::extensions::ParsedExtension;
use x509_parser::parse_x509_certificate;

use super::AcmeCa;
use super::jws::encode;
use super::problem::Trouble;

const OPERATION: &str = "ask when to renew";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenewalInfo {
    suggested_window: Window,
}

#[derive(Deserialize)]
struct Window {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

#[async_trait]
impl Renewal for AcmeCa {
    /// `Unsupported` where the server has no opinion.
    async fn renewal_window(&self, certificate: &[u8]) -> Result<RenewalWindow, CaError> {
        let unknown = || CaError::new(CaErrorKind::NotFound, OPERATION, "the certificate tells no issuer");
        let name = name(certificate).ok_or_else(unknown)?;
        let unsupported = || CaError::new(CaErrorKind::Unsupported, OPERATION, "the server has no opinion");
        let directory = self.client.directory().await.map_err(|trouble| trouble.into_error(OPERATION))?;
        let base = directory.renewal_info.ok_or_else(unsupported)?;
        let url = format!("{}/{name}", base.trim_end_matches('/'));
        let answer = match self.client.get(&url, OPERATION).await {
            Ok(answer) => answer,
            Err(Trouble::Refused(problem)) if matches!(problem.status, Some(400..=404)) => {
                return Err(CaError::new(CaErrorKind::NotFound, OPERATION, problem.to_string()));
            }
            Err(trouble) => return Err(trouble.sorted(OPERATION).into_error(OPERATION)),
        };
        let info: RenewalInfo = answer.json(OPERATION)?;
        let Window { start, end } = info.suggested_window;
        if end <= start {
            return Err(CaError::new(CaErrorKind::Unavailable, OPERATION, "the server suggests no time at all"));
        }
        Ok(RenewalWindow { start, end, ask_again: answer.retry_after })
    }
}

/// How a certificate is named (RFC 9773, section 4.1): the key of its issuer and its serial number.
pub(super) fn name(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let issuer = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(issuer) => issuer.key_identifier.as_ref().map(|key| encode(key.0)),
        _ => None,
    });
    Some(format!("{}.{}", issuer?, encode(parsed.raw_serial())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyIdMethod, KeyPair, SerialNumber};

    use super::*;

    #[test]
    fn a_certificate_is_named_by_its_issuers_key_and_its_number() {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        ca.key_identifier_method = KeyIdMethod::PreSpecified(vec![0xc0, 0xff, 0xee]);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let mut leaf = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        leaf.serial_number = Some(SerialNumber::from_slice(&[0xca, 0xfe]));
        leaf.use_authority_key_identifier_extension = true;
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &ca).unwrap();
        // The number is written as DER has it, with the zero that makes it positive.
        assert_eq!(name(leaf.der()).unwrap(), "wP_u.AMr-");
        let without = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let without = without.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(name(without.der()), None);
    }
}
