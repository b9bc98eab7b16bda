//! Whether bytes are a key or certificate in DER, and what a server is told of a key.

use bailey_core::sensitive::SecretBytes;
use pkcs8::der::asn1::{AnyRef, BitStringRef, OctetStringRef, UintRef};
use pkcs8::der::{self, Decode as _, Encode as _, Tag, Tagged as _};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};

use super::{KeySpec, Kind, algorithm};

/// rsaEncryption (RFC 8017, appendix C).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-ecPublicKey (RFC 5480, section 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// Curves (RFC 5480, section 2.1.1.1; SEC 2) and their sizes.
const CURVES: [(ObjectIdentifier, i32); 5] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), 256),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), 384),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), 521),
    (ObjectIdentifier::new_unwrap("1.3.132.0.33"), 224),
    (ObjectIdentifier::new_unwrap("1.3.132.0.10"), 256),
];

/// Whether the bytes are a certificate, as far as its frame tells (RFC 5280, section 4.1).
pub(super) fn is_certificate(bytes: &[u8]) -> bool {
    let frame = |certificate: AnyRef<'_>| {
        certificate.sequence(|reader| {
            let body = AnyRef::decode(reader)?;
            AlgorithmIdentifierRef::decode(reader)?;
            BitStringRef::decode(reader)?;
            Ok::<_, der::Error>(body.tag() == Tag::Sequence)
        })
    };
    AnyRef::from_der(bytes).and_then(frame).unwrap_or(false)
}

/// A SubjectPublicKeyInfo of RSA or of a known curve.
pub(super) fn public_key(bytes: &[u8]) -> Option<KeySpec> {
    let info = SubjectPublicKeyInfoRef::from_der(bytes).ok()?;
    key_spec(info.algorithm, || rsa_public_key(info.subject_public_key.as_bytes()?))
}

/// A PrivateKeyInfo of RSA or of a known curve.
pub(super) fn private_key(bytes: &[u8]) -> Option<KeySpec> {
    let info = PrivateKeyInfoRef::from_der(bytes).ok()?;
    key_spec(info.algorithm, || rsa_private_key(info.private_key.as_bytes()))
}

/// Whether a PrivateKeyInfo and a SubjectPublicKeyInfo are the halves of one RSA key of this size.
pub(crate) fn is_rsa_pair(private: &[u8], public: &[u8], bits: i32) -> bool {
    let fits = |key: Option<KeySpec>| key == Some(KeySpec { algorithm: algorithm::RSA, bits });
    let numbers = || {
        let private = PrivateKeyInfoRef::from_der(private).ok()?;
        let public = SubjectPublicKeyInfoRef::from_der(public).ok()?;
        let public = rsa_public_key(public.subject_public_key.as_bytes()?)?;
        Some((rsa_private_key(private.private_key.as_bytes())?, public))
    };
    fits(private_key(private)) && fits(public_key(public)) && numbers().is_some_and(|(one, other)| one == other)
}

/// An RSA key with its algorithm around it: PrivateKeyInfo (RFC 5958, section 2) or SubjectPublicKeyInfo (RFC 5280,
/// section 4.1).
pub(super) fn framed(kind: Kind, key: &[u8]) -> Option<SecretBytes> {
    let algorithm = AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) };
    let framed = match kind {
        Kind::Private => PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(key).ok()?).to_der(),
        Kind::Public => {
            SubjectPublicKeyInfoRef { algorithm, subject_public_key: BitStringRef::from_bytes(key).ok()? }.to_der()
        }
        Kind::Opaque | Kind::Symmetric | Kind::Password | Kind::Certificate => return None,
    };
    framed.ok().map(SecretBytes::new)
}

/// What both halves of an RSA key have.
#[derive(PartialEq, Eq)]
struct Numbers<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// RSAPublicKey (RFC 8017, appendix A.1.1).
fn rsa_public_key(bytes: &[u8]) -> Option<Numbers<'_>> {
    let numbers = AnyRef::from_der(bytes).ok()?.sequence(|reader| {
        Ok::<_, der::Error>(Numbers { modulus: UintRef::decode(reader)?, exponent: UintRef::decode(reader)? })
    });
    numbers.ok()
}

/// RSAPrivateKey (RFC 8017, appendix A.1.2): version, modulus and exponent, then six more numbers.
fn rsa_private_key(bytes: &[u8]) -> Option<Numbers<'_>> {
    let numbers = AnyRef::from_der(bytes).ok()?.sequence(|reader| {
        UintRef::decode(reader)?;
        let numbers = Numbers { modulus: UintRef::decode(reader)?, exponent: UintRef::decode(reader)? };
        for _ in 0..6 {
            UintRef::decode(reader)?;
        }
        Ok::<_, der::Error>(numbers)
    });
    numbers.ok()
}

fn key_spec<'a>(identifier: AlgorithmIdentifierRef<'_>, rsa: impl FnOnce() -> Option<Numbers<'a>>) -> Option<KeySpec> {
    match identifier.oid {
        RSA => Some(KeySpec { algorithm: algorithm::RSA, bits: bits(rsa()?.modulus)? }),
        EC => {
            let curve = identifier.parameters_oid().ok()?;
            let (_, bits) = CURVES.iter().find(|(known, _)| *known == curve)?;
            Some(KeySpec { algorithm: algorithm::ECDSA, bits: *bits })
        }
        _ => None,
    }
}

fn bits(number: UintRef<'_>) -> Option<i32> {
    let bytes = number.as_bytes();
    let leading = bytes.first()?.leading_zeros();
    let all = u32::try_from(bytes.len()).ok()?.checked_mul(8)?;
    i32::try_from(all.checked_sub(leading)?).ok()
}
