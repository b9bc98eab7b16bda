//! What certificates are ordered for: subjects, names, and where the key comes from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{CaId, ContainerId, SecretId};
use crate::spec::{Spec, Unknown};

/// Most hours before its end that a certificate is renewed: ten years.
pub const LONGEST_RENEW_BEFORE: u32 = 10 * 366 * 24;

/// A certificate that is ordered. Holds nothing secret: it is kept with the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateOrder {
    /// The CA; the project's preferred one, if none is named.
    pub ca: Option<CaId>,
    /// The CA's profile; its first, if none is named.
    pub profile: Option<String>,
    /// What the certificate is for.
    pub key: KeySource,
    /// How many hours before it ends it is renewed, 0 for never; as the CA is configured, if nothing is said.
    #[serde(default)]
    pub renew_before_hours: Option<u32>,
    /// The container whose certificate it takes the place of; never what a client asks for.
    #[serde(default)]
    pub renews: Option<ContainerId>,
}

/// Which key a certificate is for, and what it says beside the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySource {
    /// The client's own: this request (PKCS#10, DER) is signed with it. `simple-cmc`.
    Request(Vec<u8>),
    /// The private key in a container. `stored-key`.
    Stored {
        /// Which container.
        container: ContainerId,
        /// What the certificate says.
        subject: Subject,
        /// What of the container it is, since the order was taken; orders of before look for it at each attempt.
        #[serde(default)]
        key: Option<StoredKey>,
    },
    /// A key pair made for it. `custom`.
    Made {
        /// Which sort of key.
        spec: Spec,
        /// What the certificate says.
        subject: Subject,
    },
}

impl KeySource {
    /// How orders name it.
    #[must_use]
    pub const fn request_type(&self) -> RequestType {
        match self {
            Self::Request(_) => RequestType::SimpleCmc,
            Self::Stored { .. } => RequestType::StoredKey,
            Self::Made { .. } => RequestType::Custom,
        }
    }
}

/// A private key that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    /// The key.
    pub private: SecretId,
    /// What opens it, if it is encrypted.
    pub passphrase: Option<SecretId>,
}

/// How a certificate is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestType {
    /// With a key that is made for it.
    Custom,
    /// With a PKCS#10 request.
    SimpleCmc,
    /// With a key that is kept already.
    StoredKey,
}

impl RequestType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Custom, Self::SimpleCmc, Self::StoredKey];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::SimpleCmc => "simple-cmc",
            Self::StoredKey => "stored-key",
        }
    }
}

impl FromStr for RequestType {
    type Err = Unknown;
    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(Unknown("request type"))
    }
}

/// What a certificate says of whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its distinguished name; blank where the names say enough.
    pub name: DistinguishedName,
    /// Its alternative names.
    pub alt_names: Vec<AltName>,
}

/// An alternative name (RFC 5280, section 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AltName {
    /// A host.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A mailbox.
    Email(String),
    /// A URI, such as a SPIFFE id.
    Uri(String),
}

impl FromStr for AltName {
    type Err = Unknown;

    /// Reads `DNS:host`, `IP:address`, `email:mailbox` or `URI:uri`, as OpenSSL writes them; what has no prefix is
    /// an address if it reads like one, and a host otherwise.
    fn from_str(text: &str) -> Result<Self, Unknown> {
        let unknown = Unknown("alternative name");
        let is_ia5 = |text: &str| !text.is_empty() && text.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        let checked = |text: &str| if is_ia5(text) { Ok(text.to_owned()) } else { Err(unknown) };
        match text.split_once(':') {
            Some(("DNS", host)) => checked(host).map(Self::Dns),
            Some(("IP", address)) => address.parse().map(Self::Ip).map_err(|_| unknown),
            Some(("email", mailbox)) => checked(mailbox).map(Self::Email),
            Some(("URI", uri)) => checked(uri).map(Self::Uri),
            _ => match text.parse() {
                Ok(address) => Ok(Self::Ip(address)),
                Err(_) if text.contains(':') => Err(unknown),
                Err(_) => checked(text).map(Self::Dns),
            },
        }
    }
}

/// A distinguished name: one value for each attribute, in the order of the certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistinguishedName(pub Vec<Attribute>);

/// An attribute of a distinguished name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its type's object identifier.
    pub oid: Vec<u64>,
    /// Its value.
    pub value: String,
}

/// Names of attribute types (RFC 4514, section 3, RFC 4519 and PKCS#9) with their object identifiers.
const ATTRIBUTES: [(&str, &[u64]); 13] = [
    ("CN", &[2, 5, 4, 3]),
    ("SN", &[2, 5, 4, 4]),
    ("SERIALNUMBER", &[2, 5, 4, 5]),
    ("C", &[2, 5, 4, 6]),
    ("L", &[2, 5, 4, 7]),
    ("ST", &[2, 5, 4, 8]),
    ("STREET", &[2, 5, 4, 9]),
    ("O", &[2, 5, 4, 10]),
    ("OU", &[2, 5, 4, 11]),
    ("TITLE", &[2, 5, 4, 12]),
    ("GN", &[2, 5, 4, 42]),
    ("UID", &[0, 9, 2_342, 19_200_300, 100, 1, 1]),
    ("EMAILADDRESS", &[1, 2, 840, 113_549, 1, 9, 1]),
];

/// The object identifier of an attribute type: by its short name in any case, or dotted.
#[must_use]
pub fn attribute_oid(name: &str) -> Option<Vec<u64>> {
    let known = ATTRIBUTES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    known.map(|(_, oid)| oid.to_vec()).or_else(|| {
        let parts: Option<Vec<u64>> = name.split('.').map(|part| part.parse().ok()).collect();
        parts.filter(|parts| parts.len() > 2 && parts.first().is_some_and(|first| *first < 3))
    })
}

/// Longest value of an attribute, in characters; RFC 5280 sets 64 for most, and others grant more.
const LONGEST_VALUE: usize = 255;

impl FromStr for DistinguishedName {
    type Err = InvalidName;

    /// Reads a name as RFC 4514 writes it: the last attribute of the certificate comes first.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let mut attributes: Vec<Attribute> = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=').ok_or(InvalidName("has an attribute without a value"))?;
            let oid = attribute_oid(name.trim()).ok_or(InvalidName("has an attribute of an unknown type"))?;
            let (value, end) = value(after)?;
            if value.is_empty() || value.chars().count() > LONGEST_VALUE {
                return Err(InvalidName("has an attribute whose value is blank or too long"));
            }
            if attributes.iter().any(|known| known.oid == oid) {
                return Err(InvalidName("has two attributes of one type"));
            }
            attributes.push(Attribute { oid, value });
            rest = match end {
                None => "",
                Some(rest) if rest.trim().is_empty() => return Err(InvalidName("ends with a comma")),
                Some(rest) => rest.trim_start(),
            };
        }
        attributes.reverse();
        Ok(Self(attributes))
    }
}

/// Why a text is no distinguished name that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(&'static str);

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Attribute { oid, value }) in self.0.iter().rev().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match ATTRIBUTES.into_iter().find(|(_, known)| *known == oid.as_slice()) {
                Some((name, _)) => write!(f, "{comma}{name}=")?,
                None => {
                    let dotted: Vec<String> = oid.iter().map(u64::to_string).collect();
                    write!(f, "{comma}{}=", dotted.join("."))?;
                }
            }
            escape(value, f)?;
        }
        Ok(())
    }
}

fn escape(value: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        let is_edge = (index == 0 && matches!(character, ' ' | '#')) || (index == last && character == ' ');
        if is_edge || matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            f.write_str("\\")?;
        }
        write!(f, "{character}")?;
    }
    Ok(())
}

/// Unescapes a value up to the comma that ends it; what comes after the comma.
fn value(text: &str) -> Result<(String, Option<&str>), InvalidName> {
    let text = text.trim_start();
    if text.starts_with('#') {
        return Err(InvalidName("has a value in hexadecimal BER, which is not supported"));
    }
    let (mut bytes, mut keep) = (Vec::new(), 0);
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            ',' => return Ok((finish(bytes, keep)?, text.get(at + 1..))),
            '+' => return Err(InvalidName("has several values in one part, which is not supported")),
            '"' | ';' | '<' | '>' | '\0' => return Err(InvalidName("has a character that must be escaped")),
            '\\' => {
                bytes.extend(escaped(&mut characters)?);
                keep = bytes.len();
            }
            other => {
                bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                if other != ' ' {
                    keep = bytes.len();
                }
            }
        }
    }
    Ok((finish(bytes, keep)?, None))
}

/// What follows a backslash: a character that means something, or a byte in hexadecimal.
fn escaped(characters: &mut std::str::CharIndices<'_>) -> Result<Vec<u8>, InvalidName> {
    const WRONG: InvalidName = InvalidName("has a backslash before nothing that can be escaped");
    let (_, first) = characters.next().ok_or(WRONG)?;
    if matches!(first, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | ' ' | '#' | '=') {
        return Ok(first.to_string().into_bytes());
    }
    let (_, second) = characters.next().ok_or(WRONG)?;
    let digits = first.to_digit(16).zip(second.to_digit(16)).ok_or(WRONG)?;
    let byte = u8::try_from(digits.0 * 16 + digits.1).map_err(|_| WRONG)?;
    if byte == 0 { Err(WRONG) } else { Ok(vec![byte]) }
}

/// Spaces at the end that nobody escaped don't count.
fn finish(mut bytes: Vec<u8>, keep: usize) -> Result<String, InvalidName> {
    bytes.truncate(keep);
    String::from_utf8(bytes).map_err(|_| InvalidName("has a value that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Vec<(Vec<u64>, String)> {
        let name: DistinguishedName = text.parse().unwrap();
        name.0.into_iter().map(|attribute| (attribute.oid, attribute.value)).collect()
    }

    #[test]
    fn a_name_is_read_backwards() {
        let (cn, o) = (vec![2, 5, 4, 3], vec![2, 5, 4, 10]);
        assert_eq!(
            read("CN=a.example, O=Päron\\, Inc."),
            [(o.clone(), "Päron, Inc.".into()), (cn.clone(), "a.example".into())]
        );
        assert_eq!(read("cn=x  ,2.5.4.10=\\C3\\A4\\ "), [(o, "ä ".into()), (cn, "x".into())]);
        assert_eq!(read(" "), []);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["CN=a,O=b", "CN=\\ \\#a\\, b\\ ,UID=7", "1.2.3=x"] {
            let name: DistinguishedName = text.parse().unwrap();
            assert_eq!(name.to_string().parse::<DistinguishedName>().unwrap(), name, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "CN",
            "CN=",
            "CN=a,",
            "CN=a,CN=b",
            "X=a",
            "CN=a+O=b",
            "CN=#0401",
            "CN=a\\",
            "CN=a\\zz",
            "CN=\"a\"",
            ",",
            "CN=\\FF",
        ] {
            assert!(text.parse::<DistinguishedName>().is_err(), "{text}");
        }
        assert!(format!("CN={}", "a".repeat(256)).parse::<DistinguishedName>().is_err());
    }

    #[test]
    fn alternative_names_are_read_as_openssl_writes_them() {
        let dns = |host: &str| AltName::Dns(host.into());
        for (text, expected) in [
            ("a.example", dns("a.example")),
            ("DNS:*.a.example", dns("*.a.example")),
            ("127.0.0.1", AltName::Ip([127, 0, 0, 1].into())),
            ("::1", AltName::Ip("::1".parse().unwrap())),
            ("IP:::1", AltName::Ip("::1".parse().unwrap())),
            ("email:a@b.example", AltName::Email("a@b.example".into())),
            ("URI:spiffe://a.example/b", AltName::Uri("spiffe://a.example/b".into())),
        ] {
            assert_eq!(text.parse::<AltName>().unwrap(), expected, "{text}");
        }
        for text in ["", "DNS:", "IP:a", "päron.example", "dns:a", "a b", "https://a.example"] {
            assert!(text.parse::<AltName>().is_err(), "{text}");
        }
    }
}
