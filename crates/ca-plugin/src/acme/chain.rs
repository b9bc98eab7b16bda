//! Certificates as the server hands them out: whether they are what was asked for, and which chain is taken.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bailey_core::ca::Issued;
use chrono::{DateTime, Utc};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;

use super::wire::Identifier;

/// Certificates that belong to one: it comes first.
pub(super) struct Chain(Vec<Vec<u8>>);

impl Chain {
    /// Reads PEM (RFC 8555, section 9.1).
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(pem: &[u8]) -> Result<Self, String> {
        let blocks: Result<Vec<Pem>, _> = Pem::iter_from_buffer(pem).collect();
        let blocks = blocks.map_err(|error| format!("the certificates are no PEM: {error}"))?;
        if blocks.is_empty() || blocks.iter().any(|block| block.label != "CERTIFICATE") {
            return Err("there is something else than certificates".to_owned());
        }
        let chain = Self(blocks.into_iter().map(|block| block.contents).collect());
        for certificate in &chain.0 {
            parsed(certificate)?;
        }
        Ok(chain)
    }

    /// Whether the certificate is for this key (`SubjectPublicKeyInfo`, DER).
    pub(super) fn is_for(&self, key: &[u8]) -> bool {
        self.leaf().is_ok_and(|leaf| leaf.public_key().raw == key)
    }

    /// From when on the certificate is good.
    pub(super) fn begins_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.leaf().ok()?.validity().not_before.timestamp(), 0)
    }

    /// Whether the chain leads to a root of this name: the one that issued the last certificate (RFC 8555 leaves the
    /// root itself out).
    pub(super) fn leads_to(&self, root: &str) -> bool {
        let last = self.0.last().and_then(|last| parsed(last).ok());
        let issuers = last.iter().flat_map(|last| last.issuer().iter_common_name());
        issuers.filter_map(|name| name.as_str().ok()).any(|name| name == root)
    }

    /// Takes it as what was asked for.
    ///
    /// # Errors
    /// Why it isn't.
    pub(super) fn accept(self, names: &BTreeSet<Identifier>) -> Result<Issued, String> {
        let leaf = self.leaf()?;
        if leaf.is_ca() {
            return Err("the certificate is a CA's".to_owned());
        }
        let certified = certified(&leaf)?;
        if let Some(missing) = names.iter().find(|name| !certified.contains(name)) {
            return Err(format!("the certificate isn't for {}", missing.value));
        }
        for (one, above) in self.0.iter().zip(self.0.iter().skip(1)) {
            let (one, above) = (parsed(one)?, parsed(above)?);
            one.verify_signature(Some(above.public_key()))
                .map_err(|_| format!("{} didn't sign {}", above.subject(), one.subject()))?;
        }
        let mut all = self.0.into_iter();
        let certificate = all.next().ok_or("there is no certificate")?;
        let is_root = |der: &Vec<u8>| parsed(der).is_ok_and(|parsed| parsed.subject() == parsed.issuer());
        Ok(Issued { certificate, intermediates: all.filter(|der| !is_root(der)).collect() })
    }

    fn leaf(&self) -> Result<X509Certificate<'_>, String> {
        parsed(self.0.first().ok_or("there is no certificate")?)
    }
}

fn parsed(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err("a certificate can't be read".to_owned()),
    }
}

fn certified(leaf: &X509Certificate<'_>) -> Result<BTreeSet<Identifier>, String> {
    let names = leaf.subject_alternative_name().map_err(|_| "the certificate's names can't be read")?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let identifier = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(host) => Some(Identifier { kind: "dns".into(), value: host.to_ascii_lowercase() }),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()?;
            Some(Identifier { kind: "ip".into(), value: address.to_string() })
        }
        _ => None,
    };
    Ok(names.iter().filter_map(identifier).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData as _};

    use super::*;

    fn ca(name: &str, issuer: Option<&CertifiedIssuer<'static, KeyPair>>) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        match issuer {
            None => CertifiedIssuer::self_signed(params, key).unwrap(),
            Some(issuer) => CertifiedIssuer::signed_by(params, key, issuer).unwrap(),
        }
    }

    fn names(names: &[&str]) -> BTreeSet<Identifier> {
        names.iter().map(|name| Identifier { kind: "dns".into(), value: (*name).to_owned() }).collect()
    }

    #[test]
    fn a_chain_is_what_was_asked_for_or_nothing() {
        let root = ca("root", None);
        let between = ca("between", Some(&root));
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["a.example".to_owned(), "b.example".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &between).unwrap();
        let read = |parts: &[String]| Chain::read(parts.concat().as_bytes());
        let whole = [leaf.pem(), between.pem(), root.pem()];

        let chain = read(&whole).unwrap();
        assert!(chain.is_for(&key.subject_public_key_info()) && chain.leads_to("root"));
        assert!(!chain.is_for(&KeyPair::generate().unwrap().subject_public_key_info()) && !chain.leads_to("between"));
        let issued = chain.accept(&names(&["a.example", "b.example"])).unwrap();
        assert_eq!(issued.certificate, leaf.der().to_vec());
        assert_eq!(issued.intermediates, [between.der().to_vec()], "the root is left out");

        assert!(read(&whole[..2]).unwrap().leads_to("root"));
        let other = read(&whole).unwrap().accept(&names(&["c.example"])).unwrap_err();
        assert_eq!(other, "the certificate isn't for c.example");
        let unsigned = read(&[leaf.pem(), root.pem()]).unwrap().accept(&names(&[])).unwrap_err();
        assert!(unsigned.contains("didn't sign"), "{unsigned}");
        assert_eq!(read(&[between.pem()]).unwrap().accept(&names(&[])).unwrap_err(), "the certificate is a CA's");
        for odd in ["", "dirt", &key.serialize_pem()] {
            assert!(Chain::read(odd.as_bytes()).is_err(), "{odd}");
        }
    }
}
