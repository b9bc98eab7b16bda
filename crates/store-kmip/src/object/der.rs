//! Whether bytes are a key or certificate in DER, and what a server is told of a key.

use pkcs8::der::asn1::{AnyRef, BitStringRef, UintRef};
use pkcs8::der::{self, Decode as _, Tag, Tagged as _};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};

use super::{KeySpec, algorithm};

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
    key_spec(info.algorithm, || {
        // RSAPublicKey (RFC 8017, appendix A.1.1).
        let key = AnyRef::from_der(info.subject_public_key.as_bytes()?).ok()?;
        let modulus = key.sequence(|reader| {
            let modulus = bits(UintRef::decode(reader)?);
            UintRef::decode(reader)?;
            Ok::<_, der::Error>(modulus)
        });
        modulus.ok()?
    })
}

/// A PrivateKeyInfo of RSA or of a known curve.
pub(super) fn private_key(bytes: &[u8]) -> Option<KeySpec> {
    let info = PrivateKeyInfoRef::from_der(bytes).ok()?;
    key_spec(info.algorithm, || {
        // RSAPrivateKey (RFC 8017, appendix A.1.2): version and modulus, then seven more numbers.
        let key = AnyRef::from_der(info.private_key.as_bytes()).ok()?;
        let modulus = key.sequence(|reader| {
            UintRef::decode(reader)?;
            let modulus = bits(UintRef::decode(reader)?);
            for _ in 0..7 {
                UintRef::decode(reader)?;
            }
            Ok::<_, der::Error>(modulus)
        });
        modulus.ok()?
    })
}

fn key_spec(identifier: AlgorithmIdentifierRef<'_>, rsa_bits: impl FnOnce() -> Option<i32>) -> Option<KeySpec> {
    match identifier.oid {
        RSA => Some(KeySpec { algorithm: algorithm::RSA, bits: rsa_bits()? }),
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
