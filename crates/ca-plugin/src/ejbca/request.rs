//! What a request and a certificate say, as far as EJBCA's client has to know.

use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use crate::request::{UNSIGNED, parse};

/// A request that its own key has signed.
pub(super) struct Read {
    /// The public key, as certificates have it.
    pub(super) key: Vec<u8>,
    /// The first common name of the subject; blank if it has none.
    pub(super) cn: String,
    /// The first host among the alternative names; blank if there is none.
    pub(super) dns: String,
}

impl Read {
    /// Reads a request.
    ///
    /// # Errors
    /// What is wrong with it, fit for the client.
    pub(super) fn new(csr: &[u8]) -> Result<Self, &'static str> {
        let request = parse(csr)?;
        match request.verify_signature() {
            // EJBCA knows more algorithms and verifies, too.
            Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => {}
            Err(_) => return Err(UNSIGNED),
        }
        let said = &request.certification_request_info;
        let cn = said.subject.iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
        let dns = request.requested_extensions().into_iter().flatten().find_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => names.general_names.iter().find_map(host),
            _ => None,
        });
        Ok(Self { key: said.subject_pki.raw.to_vec(), cn: cn.to_owned(), dns: dns.unwrap_or_default() })
    }
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(host) => Some((*host).to_owned()),
        _ => None,
    }
}

/// A certificate with nothing behind it.
pub(super) fn certificate(der: &[u8]) -> Option<X509Certificate<'_>> {
    x509_parser::parse_x509_certificate(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, read)| read)
}

/// Whether a certificate was signed by a CA with this certificate.
pub(super) fn is_issued_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    let is_signed = match certificate.verify_signature(Some(issuer.public_key())) {
        Ok(()) => true,
        // Then the name has to do.
        Err(X509Error::SignatureUnsupportedAlgorithm) => true,
        Err(_) => false,
    };
    is_signed && certificate.issuer().as_raw() == issuer.subject().as_raw()
}
