//! What of EJBCA's REST interface is used: `v1/certificate` and `v1/ca`.

use bailey_core::ca::RevocationReason;
use bailey_core::sensitive::SecretText;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::{Answer, Client};
use super::error::Trouble;

/// Most hits of a search: an order's end entity has one certificate.
const HITS: u32 = 20;
/// What DER of a certificate begins with; in base64, that is an M.
const SEQUENCE: u8 = 0x30;

/// Whom EJBCA is to enrol, and for what.
pub(super) struct Enrolment<'a> {
    pub(super) csr: &'a [u8],
    pub(super) username: &'a str,
    pub(super) code: &'a SecretText,
    pub(super) authority: &'a str,
    pub(super) certificate_profile: &'a str,
    pub(super) end_entity_profile: &'a str,
}

/// What came of asking for a certificate.
pub(super) enum Enrolled {
    /// The certificate, DER.
    Issued(Vec<u8>),
    /// An administrator has to approve it; EJBCA's number of that request, if it says so.
    Waiting(Option<i64>),
}

/// A CA as EJBCA lists it.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) subject_dn: String,
}

impl Client {
    /// `pkcs10enroll`: adds the end entity, or edits it, and has its certificate issued.
    pub(super) async fn enrol(&self, enrolment: &Enrolment<'_>) -> Result<Enrolled, Trouble> {
        #[derive(Serialize)]
        struct Body<'a> {
            certificate_request: &'a str,
            certificate_profile_name: &'a str,
            end_entity_profile_name: &'a str,
            certificate_authority_name: &'a str,
            username: &'a str,
            password: &'a str,
            include_chain: bool,
            response_format: &'a str,
        }
        let body = body(&Body {
            certificate_request: &pem(enrolment.csr),
            certificate_profile_name: enrolment.certificate_profile,
            end_entity_profile_name: enrolment.end_entity_profile,
            certificate_authority_name: enrolment.authority,
            username: enrolment.username,
            password: enrolment.code.expose(),
            include_chain: false,
            response_format: "DER",
        })?;
        enrolled(&self.post(&["v1", "certificate", "pkcs10enroll"], body).await?)
    }

    /// `certificaterequest`: has the certificate of an end entity that is there issued, which EJBCA does once.
    pub(super) async fn request_certificate(&self, enrolment: &Enrolment<'_>) -> Result<Enrolled, Trouble> {
        #[derive(Serialize)]
        struct Body<'a> {
            certificate_request: &'a str,
            certificate_request_type: &'a str,
            certificate_authority_name: &'a str,
            username: &'a str,
            password: &'a str,
            include_chain: bool,
        }
        let body = body(&Body {
            certificate_request: &pem(enrolment.csr),
            certificate_request_type: "PKCS10",
            certificate_authority_name: enrolment.authority,
            username: enrolment.username,
            password: enrolment.code.expose(),
            include_chain: false,
        })?;
        enrolled(&self.post(&["v1", "certificate", "certificaterequest"], body).await?)
    }

    /// `finalize`: has the certificate of an enrolment that was approved issued, which EJBCA does once.
    pub(super) async fn finalize(&self, request: i64, code: &SecretText) -> Result<Enrolled, Trouble> {
        #[derive(Serialize)]
        struct Body<'a> {
            password: &'a str,
            response_format: &'a str,
        }
        let body = body(&Body { password: code.expose(), response_format: "DER" })?;
        enrolled(&self.post(&["v1", "certificate", &request.to_string(), "finalize"], body).await?)
    }

    /// `search`: the certificates of an end entity, DER; revoked ones, too.
    pub(super) async fn search(&self, username: &str, authority: &str) -> Result<Vec<Vec<u8>>, Trouble> {
        #[derive(Deserialize)]
        struct Found {
            certificates: Vec<Hit>,
        }
        #[derive(Deserialize)]
        struct Hit {
            certificate: String,
        }
        let criterion =
            |property: &str, value: &str| json!({ "property": property, "value": value, "operation": "EQUAL" });
        let criteria = [criterion("QUERY", username), criterion("CA", authority)];
        let body = json!({ "max_number_of_results": HITS, "criteria": criteria }).to_string();
        let found: Found = self.look_up(&["v1", "certificate", "search"], &body).await?.json()?;
        found.certificates.iter().map(|hit| der(&hit.certificate)).collect()
    }

    /// The CAs that Bailey may see.
    pub(super) async fn authorities(&self) -> Result<Vec<Listed>, Trouble> {
        #[derive(Deserialize)]
        struct List {
            certificate_authorities: Vec<Listed>,
        }
        self.get(&["v1", "ca"]).await?.json().map(|list: List| list.certificate_authorities)
    }

    /// A CA's certificate and those above it, DER.
    pub(super) async fn chain(&self, subject_dn: &str) -> Result<Vec<Vec<u8>>, Trouble> {
        let answer = self.get(&["v1", "ca", subject_dn, "certificate", "download"]).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let parts = text.split("-----BEGIN CERTIFICATE-----").skip(1);
        let chain: Vec<_> =
            parts.map(|part| der(part.split("-----END").next().unwrap_or_default())).collect::<Result<_, _>>()?;
        if chain.is_empty() { Err(Trouble::Lost("it has no certificate in it".to_owned())) } else { Ok(chain) }
    }

    /// Whether a certificate is revoked.
    pub(super) async fn is_revoked(&self, issuer_dn: &str, serial: &str) -> Result<bool, Trouble> {
        #[derive(Deserialize)]
        struct Status {
            revoked: bool,
        }
        let answer = self.get(&["v1", "certificate", issuer_dn, serial, "revocationstatus"]).await?;
        answer.json().map(|status: Status| status.revoked)
    }

    /// Revokes a certificate; whether that is done, and doesn't have to be approved first.
    pub(super) async fn revoke(
        &self,
        issuer_dn: &str,
        serial: &str,
        reason: RevocationReason,
    ) -> Result<bool, Trouble> {
        let path = ["v1", "certificate", issuer_dn, serial, "revoke"];
        self.put(&path, ("reason", name(reason))).await.map(|answer| answer.status != StatusCode::ACCEPTED)
    }
}

fn body(body: &impl Serialize) -> Result<String, Trouble> {
    serde_json::to_string(body).map_err(|error| Trouble::Unsent(error.to_string()))
}

fn enrolled(answer: &Answer) -> Result<Enrolled, Trouble> {
    #[derive(Deserialize)]
    struct Issued {
        certificate: String,
    }
    #[derive(Deserialize)]
    struct Waiting {
        request_id: Option<i64>,
        link: Option<String>,
    }
    if answer.status != StatusCode::ACCEPTED {
        return answer.json().and_then(|issued: Issued| der(&issued.certificate)).map(Enrolled::Issued);
    }
    let waiting: Waiting = answer.json()?;
    // Older ones tell the number in the link only: .../{request_id}/finalize
    let in_link = |link: &str| link.strip_suffix("/finalize")?.rsplit('/').next()?.parse().ok();
    Ok(Enrolled::Waiting(waiting.request_id.or_else(|| waiting.link.as_deref().and_then(in_link))))
}

/// A certificate in base64; encoded once more by searches, and by older EJBCAs everywhere.
fn der(text: &str) -> Result<Vec<u8>, Trouble> {
    let lost = || Trouble::Lost("it has a certificate in it that can't be read".to_owned());
    let decode = |text: &[u8]| {
        let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        STANDARD.decode(text).map_err(|_| lost())
    };
    let is_der = |bytes: &[u8]| bytes.first() == Some(&SEQUENCE);
    let once = decode(text.as_bytes())?;
    let bytes = if is_der(&once) { once } else { decode(&once)? };
    if is_der(&bytes) { Ok(bytes) } else { Err(lost()) }
}

fn pem(csr: &[u8]) -> String {
    let body = STANDARD.encode(csr);
    let lines: Vec<&str> = body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", lines.join("\n"))
}

const fn name(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::Unspecified => "UNSPECIFIED",
        RevocationReason::KeyCompromise => "KEY_COMPROMISE",
        RevocationReason::CaCompromise => "CA_COMPROMISE",
        RevocationReason::AffiliationChanged => "AFFILIATION_CHANGED",
        RevocationReason::Superseded => "SUPERSEDED",
        RevocationReason::CessationOfOperation => "CESSATION_OF_OPERATION",
        RevocationReason::PrivilegeWithdrawn => "PRIVILEGES_WITHDRAWN",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn told(status: StatusCode, body: &str) -> Option<Enrolled> {
        enrolled(&Answer { status, body: body.as_bytes().to_vec() }).ok()
    }

    #[test]
    fn certificates_are_read_however_often_they_are_encoded() {
        let certificate = [0x30, 0x82, 0x01, 0x00, 0xff];
        let once = STANDARD.encode(certificate);
        for text in [once.clone(), STANDARD.encode(&once), format!("\n{once}\n")] {
            let body = json!({ "certificate": text }).to_string();
            assert!(matches!(told(StatusCode::CREATED, &body), Some(Enrolled::Issued(der)) if der == certificate));
        }
        for text in ["", "@", "aGFsbG8="] {
            assert!(told(StatusCode::CREATED, &json!({ "certificate": text }).to_string()).is_none(), "{text}");
        }
    }

    #[test]
    fn the_number_of_a_request_for_approval_is_found() {
        for (body, number) in [
            (json!({ "request_id": 7 }), Some(7)),
            (json!({ "request_id": null, "link": "https://a/v1/certificate/1836/finalize" }), Some(1836)),
            (json!({ "link": "https://a/v1" }), None),
            (json!({}), None),
        ] {
            let told = told(StatusCode::ACCEPTED, &body.to_string());
            assert!(matches!(told, Some(Enrolled::Waiting(found)) if found == number), "{body}");
        }
    }
}
