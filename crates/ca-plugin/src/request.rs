//! What a certification request says.

use std::net::IpAddr;

use bailey_core::certificate::{AltName, Attribute};
use rcgen::SubjectPublicKeyInfo;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const CURVES: [(&str, &str); 3] =
    [("1.2.840.10045.3.1.7", "ec-p256"), ("1.3.132.0.34", "ec-p384"), ("1.3.132.0.35", "ec-p521")];
const ED25519: &str = "1.3.101.112";

/// Most alternative names of one certificate; public CAs stop there, too.
const MOST_NAMES: usize = 100;

/// What is wrong with a request that somebody changed.
pub(crate) const UNSIGNED: &str = "The certification request is not signed by its key";

/// A request that its own key has signed. Usages and constraints that it asks for are not even read.
pub(crate) struct Read {
    /// What is signed of it.
    pub(crate) said: Vec<u8>,
    pub(crate) key: SubjectPublicKeyInfo,
    /// `ec-p256`, `rsa-2048`.
    pub(crate) key_type: String,
    pub(crate) subject: Vec<Attribute>,
    pub(crate) alt_names: Vec<AltName>,
}

impl Read {
    /// Reads a request.
    ///
    /// # Errors
    /// What is wrong with it, fit for the client.
    pub(crate) fn new(csr: &[u8]) -> Result<Self, String> {
        let request = parse(csr)?;
        request.verify_signature().map_err(|_| UNSIGNED)?;
        let said = &request.certification_request_info;
        let key = SubjectPublicKeyInfo::from_der(said.subject_pki.raw)
            .map_err(|_| "The key is of a sort that is not known here".to_owned())?;
        let mut subject: Vec<Attribute> = Vec::new();
        for attribute in said.subject.iter_attributes() {
            let oid: Vec<u64> = attribute.attr_type().iter().map(Iterator::collect).unwrap_or_default();
            let value = attribute.as_str().map_err(|_| "The subject has a value that is no text".to_owned())?;
            if subject.iter().any(|known| known.oid == oid) {
                return Err("The subject has two attributes of one type".to_owned());
            }
            subject.push(Attribute { oid, value: value.to_owned() });
        }
        let mut alt_names = Vec::new();
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                if names.general_names.len() + alt_names.len() > MOST_NAMES {
                    return Err(format!("The certification request has more than {MOST_NAMES} names"));
                }
                for name in &names.general_names {
                    alt_names.push(alt_name(name)?);
                }
            }
        }
        if subject.is_empty() && alt_names.is_empty() {
            return Err("The certification request names nobody".to_owned());
        }
        let key_type = key_type(&said.subject_pki);
        Ok(Self { said: said.raw.to_vec(), key, key_type, subject, alt_names })
    }
}

/// A request with nothing behind it, whose signature is not verified yet.
///
/// # Errors
/// What is wrong with it, fit for the client.
pub(crate) fn parse(csr: &[u8]) -> Result<X509CertificationRequest<'_>, &'static str> {
    let (rest, request) =
        X509CertificationRequest::from_der(csr).map_err(|_| "It is no PKCS#10 certification request")?;
    if rest.is_empty() { Ok(request) } else { Err("There are bytes behind the certification request") }
}

fn alt_name(name: &GeneralName<'_>) -> Result<AltName, String> {
    let printable = |text: &str| {
        let is_plain = !text.is_empty() && text.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        if is_plain {
            Ok(text.to_owned())
        } else {
            Err("An alternative name has characters that don't belong there".to_owned())
        }
    };
    match name {
        // Names of hosts mean the same in any case.
        GeneralName::DNSName(host) => printable(host).map(|host| AltName::Dns(host.to_ascii_lowercase())),
        GeneralName::RFC822Name(mailbox) => printable(mailbox).map(AltName::Email),
        GeneralName::URI(uri) => printable(uri).map(AltName::Uri),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.map(AltName::Ip).map_err(|_| "An alternative name is no address".to_owned())
        }
        _ => Err("An alternative name is of a sort that is not granted here".to_owned()),
    }
}

/// What profiles call a sort of key; blank for one that they have no name for.
fn key_type(key: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> String {
    let algorithm = key.algorithm.algorithm.to_id_string();
    match algorithm.as_str() {
        RSA => match key.parsed() {
            Ok(PublicKey::RSA(rsa)) => format!("rsa-{}", rsa.key_size()),
            _ => String::new(),
        },
        EC => {
            let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
            let curve = curve.map(|curve| curve.to_id_string()).unwrap_or_default();
            CURVES.into_iter().find(|(oid, _)| *oid == curve).map(|(_, name)| name.to_owned()).unwrap_or_default()
        }
        ED25519 => "ed25519".to_owned(),
        _ => String::new(),
    }
}
