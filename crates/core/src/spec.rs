//! What a client says about a payload: its type, its spec and its content type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Algorithm, bit length and mode. Labels: Bailey stores and returns them unchecked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spec {
    /// Algorithm, at most 255 characters.
    pub algorithm: Option<String>,
    /// Size in bits, 1 to 32767.
    pub bit_length: Option<i32>,
    /// Mode, at most 255 characters.
    pub mode: Option<String>,
}

impl Spec {
    /// Whether keys of this size can be ordered: whole bytes, and P-521, the one curve that isn't.
    #[must_use]
    pub fn has_orderable_size(&self) -> bool {
        let is_ec = self.algorithm.as_ref().is_some_and(|algorithm| algorithm.eq_ignore_ascii_case("ec"));
        self.bit_length.is_some_and(|bits| bits > 0 && (bits % 8 == 0 || (is_ec && bits == 521)))
    }

    /// Whether the algorithm is DES or triple DES, whose keys have a parity bit in each byte.
    #[must_use]
    pub fn is_des(&self) -> bool {
        let names = ["des", "3des", "desede"];
        self.algorithm.as_ref().is_some_and(|algorithm| names.iter().any(|name| algorithm.eq_ignore_ascii_case(name)))
    }
}

/// The text names none of the known values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown {0}")]
pub struct Unknown(pub &'static str);

/// What kind of thing a payload is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretType {
    /// A symmetric key.
    Symmetric,
    /// A passphrase.
    Passphrase,
    /// The private key of a pair.
    Private,
    /// The public key of a pair.
    Public,
    /// A certificate.
    Certificate,
    /// Anything.
    #[default]
    Opaque,
}

impl SecretType {
    /// Every type, in the order in which the API documents them.
    pub const ALL: [Self; 6] =
        [Self::Symmetric, Self::Passphrase, Self::Private, Self::Public, Self::Certificate, Self::Opaque];

    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Symmetric => "symmetric",
            Self::Passphrase => "passphrase",
            Self::Private => "private",
            Self::Public => "public",
            Self::Certificate => "certificate",
            Self::Opaque => "opaque",
        }
    }
}

impl fmt::Display for SecretType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SecretType {
    type Err = Unknown;
    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(Unknown("secret type"))
    }
}

/// The normalised content type of a stored payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ContentType {
    /// `text/plain`, always UTF-8.
    #[serde(rename = "text/plain")]
    TextPlain,
    /// `application/octet-stream`.
    #[serde(rename = "application/octet-stream")]
    OctetStream,
    /// `application/pkcs8`.
    #[serde(rename = "application/pkcs8")]
    Pkcs8,
}

impl ContentType {
    /// Every content type.
    pub const ALL: [Self; 3] = [Self::TextPlain, Self::OctetStream, Self::Pkcs8];

    /// The content type that a client means, or `None` if payloads can't have it.
    ///
    /// Case doesn't matter; the first parameter, whatever its name, may only have the value `utf-8`;
    /// later ones are ignored.
    #[must_use]
    pub fn normalise(given: &str) -> Option<Self> {
        let mut parts = given.split(';').map(str::trim);
        let media_type = parts.next()?.to_ascii_lowercase();
        if let Some(parameter) = parts.next() {
            let (_, charset) = parameter.split_once('=')?;
            charset.trim().eq_ignore_ascii_case("utf-8").then_some(())?;
        }
        media_type.parse().ok()
    }

    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TextPlain => "text/plain",
            Self::OctetStream => "application/octet-stream",
            Self::Pkcs8 => "application/pkcs8",
        }
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ContentType {
    type Err = Unknown;
    /// Reads the normalised form only.
    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(Unknown("content type"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_normalised_as_the_contract_says() {
        let (text, octets, pkcs8) =
            (Some(ContentType::TextPlain), Some(ContentType::OctetStream), Some(ContentType::Pkcs8));
        let cases = [
            ("text/plain", text),
            ("TEXT/Plain", text),
            ("text/plain;charset=utf-8", text),
            ("text/plain ; charset = UTF-8", text),
            ("text/plain; charset=utf-8; format=flowed", text),
            ("application/octet-stream", octets),
            ("Application/Octet-Stream;charset=utf-8", octets),
            ("application/pkcs8", pkcs8),
            ("text/plain;charset=utf-88", None),
            ("text/plain; charset=latin-1", None),
            ("text/plain; charset", None),
            ("text/plain;", None),
            ("application/aes", None),
            ("text", None),
            ("text/", None),
            ("", None),
        ];
        for (given, expected) in cases {
            assert_eq!(ContentType::normalise(given), expected, "{given}");
        }
    }
}
