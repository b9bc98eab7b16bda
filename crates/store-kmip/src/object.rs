//! How payloads become objects of KMIP, and again what they were.
//!
//! A typed object is made only of a payload that is of its type, and from which exactly the same bytes can be made
//! again; anything else becomes an opaque object.

mod der;
mod wire;

use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use pkcs8::der::pem::{self, LineEnding};
use zeroize::Zeroizing;

pub(crate) use der::is_rsa_pair;
pub(crate) use wire::{object_type, read, usage, write};

/// Types of objects. The numbers are in references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Anything.
    Opaque = 0,
    /// A symmetric key.
    Symmetric = 1,
    /// A passphrase.
    Password = 2,
    /// An X.509 certificate.
    Certificate = 3,
    /// A public key.
    Public = 4,
    /// A private key.
    Private = 5,
}

/// What is around an object's bytes in the payload. The numbers are in references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Outer {
    /// Nothing.
    Nothing = 0,
    /// PEM as RFC 7468 has it: lines of 64, each ended by a line feed.
    Pem = 1,
    /// The same around a key that the server drew: PKCS#8 or SubjectPublicKeyInfo, whichever way it keeps them.
    Drawn = 2,
}

/// What an object is and what was around its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What it is.
    pub kind: Kind,
    /// What was around it.
    pub outer: Outer,
}

impl Shape {
    /// An opaque object.
    pub const OPAQUE: Self = Self { kind: Kind::Opaque, outer: Outer::Nothing };
    /// A symmetric key.
    pub(crate) const SYMMETRIC: Self = Self { kind: Kind::Symmetric, outer: Outer::Nothing };

    pub(crate) const fn to_bytes(self) -> [u8; 2] {
        [self.kind as u8, self.outer as u8]
    }

    pub(crate) const fn from_bytes([kind, outer]: [u8; 2]) -> Option<Self> {
        let kind = match kind {
            0 => Kind::Opaque,
            1 => Kind::Symmetric,
            2 => Kind::Password,
            3 => Kind::Certificate,
            4 => Kind::Public,
            5 => Kind::Private,
            _ => return None,
        };
        match (kind, outer) {
            (kind, 0) => Some(Self { kind, outer: Outer::Nothing }),
            (Kind::Certificate | Kind::Public | Kind::Private, 1) => Some(Self { kind, outer: Outer::Pem }),
            (Kind::Public | Kind::Private, 2) => Some(Self { kind, outer: Outer::Drawn }),
            _ => None,
        }
    }

    const fn label(self) -> Option<&'static str> {
        match (self.outer, self.kind) {
            (Outer::Pem, Kind::Certificate) => Some("CERTIFICATE"),
            (Outer::Pem | Outer::Drawn, Kind::Public) => Some("PUBLIC KEY"),
            (Outer::Pem | Outer::Drawn, Kind::Private) => Some("PRIVATE KEY"),
            _ => None,
        }
    }

    /// The payload that an object's bytes are from, if they can be from any.
    #[must_use]
    pub fn payload(self, value: SecretBytes) -> Option<SecretBytes> {
        match self.label() {
            None => Some(value),
            Some(label) => armored(label, value.expose()),
        }
    }
}

/// What a server is told of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeySpec {
    /// As KMIP numbers algorithms (1.4, section 9.1.3.2.13).
    pub(crate) algorithm: u32,
    pub(crate) bits: i32,
}

/// Numbers of algorithms.
pub(crate) mod algorithm {
    pub(crate) const DES: u32 = 0x01;
    pub(crate) const TRIPLE_DES: u32 = 0x02;
    pub(crate) const AES: u32 = 0x03;
    pub(crate) const RSA: u32 = 0x04;
    pub(crate) const ECDSA: u32 = 0x06;
    pub(crate) const HMAC_SHA1: u32 = 0x07;
    pub(crate) const HMAC_SHA256: u32 = 0x09;
    pub(crate) const HMAC_SHA384: u32 = 0x0A;
    pub(crate) const HMAC_SHA512: u32 = 0x0B;
}

/// What is registered.
pub struct Object {
    /// What it is.
    pub shape: Shape,
    /// Its bytes.
    pub value: SecretBytes,
    pub(crate) key: Option<KeySpec>,
}

impl Object {
    /// The object for a payload.
    #[must_use]
    pub fn of(secret_type: SecretType, spec: &Spec, payload: &SecretBytes) -> Self {
        let typed = match secret_type {
            SecretType::Symmetric => symmetric(spec, payload),
            SecretType::Passphrase => {
                let shape = Shape { kind: Kind::Password, outer: Outer::Nothing };
                Some(Self { shape, value: copy(payload), key: None })
            }
            SecretType::Certificate => encoded(Kind::Certificate, payload),
            SecretType::Public => encoded(Kind::Public, payload),
            SecretType::Private => encoded(Kind::Private, payload),
            SecretType::Opaque => None,
        };
        typed.unwrap_or_else(|| Self::opaque(payload))
    }

    /// The object for a payload of which nothing is known.
    pub(crate) fn opaque(payload: &SecretBytes) -> Self {
        Self { shape: Shape::OPAQUE, value: copy(payload), key: None }
    }
}

fn copy(payload: &SecretBytes) -> SecretBytes {
    SecretBytes::new(payload.expose().to_vec())
}

/// A symmetric key of a known algorithm, if its size fits both that and what the client says.
fn symmetric(spec: &Spec, payload: &SecretBytes) -> Option<Object> {
    let bits = i32::try_from(payload.len().checked_mul(8)?).ok()?;
    if spec.bit_length.is_some_and(|said| said != bits) {
        return None;
    }
    let algorithm = match (spec.algorithm.as_ref()?.to_ascii_lowercase().as_str(), bits) {
        ("aes", 128 | 192 | 256) => algorithm::AES,
        ("des", 64) => algorithm::DES,
        ("3des" | "desede", 192) => algorithm::TRIPLE_DES,
        ("hmacsha1", _) => algorithm::HMAC_SHA1,
        ("hmacsha256", _) => algorithm::HMAC_SHA256,
        ("hmacsha384", _) => algorithm::HMAC_SHA384,
        ("hmacsha512", _) => algorithm::HMAC_SHA512,
        _ => return None,
    };
    let key = Some(KeySpec { algorithm, bits });
    Some(Object { shape: Shape::SYMMETRIC, value: copy(payload), key })
}

/// Something in DER, perhaps in PEM.
fn encoded(kind: Kind, payload: &SecretBytes) -> Option<Object> {
    let plain = Shape { kind, outer: Outer::Nothing };
    if let Some(parsed) = parsed(kind, payload.expose()) {
        return Some(Object { shape: plain, value: copy(payload), key: parsed });
    }
    let shape = Shape { kind, outer: Outer::Pem };
    let (label, der) = pem::decode_vec(payload.expose()).ok()?;
    let der = SecretBytes::new(der);
    let key = parsed(kind, der.expose()).filter(|_| Some(label) == shape.label())?;
    let again = armored(label, der.expose())?;
    (again.expose() == payload.expose()).then_some(Object { shape, value: der, key })
}

/// Whether the bytes are what the kind says; for keys, with what a server is told of them.
fn parsed(kind: Kind, bytes: &[u8]) -> Option<Option<KeySpec>> {
    match kind {
        Kind::Certificate => der::is_certificate(bytes).then_some(None),
        Kind::Public => der::public_key(bytes).map(Some),
        Kind::Private => der::private_key(bytes).map(Some),
        Kind::Opaque | Kind::Symmetric | Kind::Password => None,
    }
}

fn armored(label: &str, der: &[u8]) -> Option<SecretBytes> {
    let text = Zeroizing::new(pem::encode_string(label, LineEnding::LF, der).ok()?);
    Some(SecretBytes::new(text.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests;
