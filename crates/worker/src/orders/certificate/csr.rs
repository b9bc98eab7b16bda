//! Certification requests (PKCS#10, RFC 2986): checked when clients bring them, made where Bailey has the key.

use bailey_core::certificate::{AltName, Attribute, Subject};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

/// Whether this is a request that its own key has signed.
///
/// # Errors
/// What is wrong with it, fit for the client.
pub(crate) fn check(csr: &[u8]) -> Result<(), &'static str> {
    let (rest, request) =
        X509CertificationRequest::from_der(csr).map_err(|_| "must be a PKCS#10 certification request")?;
    if !rest.is_empty() {
        return Err("must be nothing but a PKCS#10 certification request");
    }
    request.verify_signature().map_err(|_| "must be signed by its own key, of a sort that is known")
}

/// A request for this subject, signed by its key (PEM of PKCS#8, PKCS#1 or SEC 1; or PKCS#8 DER). What is signed
/// is the same each time; the signature may not be.
///
/// # Errors
/// What is wrong, fit for the client.
pub(super) fn make(subject: &Subject, private_key: &[u8]) -> Result<Vec<u8>, &'static str> {
    const UNREADABLE: &str = "The private key is not in a form that is known here";
    let key = match std::str::from_utf8(private_key) {
        Ok(text) if text.contains("-----BEGIN") => KeyPair::from_pem(text),
        _ => KeyPair::try_from(private_key),
    };
    let key = key.map_err(|_| UNREADABLE)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&subject.name.0);
    params.subject_alt_names = subject
        .alt_names
        .iter()
        .map(alt_name)
        .collect::<Result<_, _>>()
        .map_err(|_| "An alternative name has characters that certificates can't have")?;
    let request = params.serialize_request(&key).map_err(|_| "No request can be signed with the private key")?;
    Ok(request.der().to_vec())
}

fn name(attributes: &[Attribute]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for Attribute { oid, value } in attributes {
        name.push(DnType::from_oid(oid), value.as_str());
    }
    name
}

fn alt_name(name: &AltName) -> Result<SanType, rcgen::Error> {
    Ok(match name {
        AltName::Dns(host) => SanType::DnsName(host.as_str().try_into()?),
        AltName::Ip(address) => SanType::IpAddress(*address),
        AltName::Email(mailbox) => SanType::Rfc822Name(mailbox.as_str().try_into()?),
        AltName::Uri(uri) => SanType::URI(uri.as_str().try_into()?),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn made() -> Vec<u8> {
        let subject = Subject {
            name: "CN=a.example,O=Päron".parse().unwrap(),
            alt_names: vec![
                "a.example".parse().unwrap(),
                "IP:::1".parse().unwrap(),
                "URI:spiffe://a/b".parse().unwrap(),
            ],
        };
        make(&subject, KeyPair::generate().unwrap().serialize_pem().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_made_passes_the_check_and_says_what_was_asked() {
        let csr = made();
        assert_eq!(check(&csr), Ok(()));
        let (_, request) = X509CertificationRequest::from_der(&csr).unwrap();
        assert_eq!(request.certification_request_info.subject.to_string(), "O=Päron, CN=a.example");
        assert!(format!("{:?}", request.requested_extensions().unwrap().collect::<Vec<_>>()).contains("spiffe://a/b"));
    }

    #[test]
    fn what_its_key_did_not_sign_is_refused() {
        let mut csr = made();
        *csr.last_mut().unwrap() ^= 1;
        assert!(check(&csr).unwrap_err().contains("signed"));
        let mut longer = made();
        longer.push(0);
        assert!(check(&longer).is_err());
        assert!(check(b"").is_err());
    }

    #[test]
    fn a_key_of_no_known_form_is_refused() {
        assert!(make(&Subject::default(), b"\xff\xfe").is_err());
        assert!(make(&Subject::default(), b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_err());
    }
}
