//! The forms in which clients read key pairs: PKCS#8 (RFC 5208), encrypted by PBES2 (RFC 8018), and
//! SubjectPublicKeyInfo (RFC 5280), as PEM (RFC 7468) or DER.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, AES_256_KEY_LEN, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::{FixedLength, IV_LEN_128_BIT};
use aws_lc_rs::{pbkdf2, rand};
use bailey_core::failure::Failure;
use bailey_core::sensitive::SecretBytes;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::Encode as _;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::pem::{self, LineEnding};
use pkcs8::pkcs5::pbes2::Parameters;
use zeroize::Zeroizing;

use super::KeyPair;
use super::pair::{Der, broken};

/// Above this neither OpenSSL's command line nor Python's cryptography takes a passphrase.
pub const LONGEST_PASSPHRASE: usize = 1023;
/// What OWASP asks of PBKDF2-HMAC-SHA256 (Password Storage Cheat Sheet, 2023).
const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();
const SALT: usize = 16;

/// A key pair in DER.
pub fn der(pair: Der, passphrase: Option<&SecretBytes>) -> Result<KeyPair, Failure> {
    let private = match passphrase {
        Some(passphrase) => encrypted(&pair.private, passphrase)?,
        None => pair.private,
    };
    Ok(KeyPair { private: secret(private), public: pair.public.into() })
}

/// A key pair in PEM.
pub fn pem(pair: &Der, passphrase: Option<&SecretBytes>) -> Result<KeyPair, Failure> {
    let private = match passphrase {
        Some(passphrase) => armored("ENCRYPTED PRIVATE KEY", &encrypted(&pair.private, passphrase)?)?,
        None => armored("PRIVATE KEY", &pair.private)?,
    };
    Ok(KeyPair { private: secret(private), public: secret(armored("PUBLIC KEY", &pair.public)?) })
}

fn secret(mut bytes: Zeroizing<Vec<u8>>) -> SecretBytes {
    SecretBytes::new(std::mem::take(&mut *bytes))
}

fn armored(label: &str, der: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let text = pem::encode_string(label, LineEnding::LF, der).map_err(broken("encode PEM"))?;
    Ok(Zeroizing::new(text.into_bytes()))
}

/// PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC, which OpenSSL and Python's cryptography read.
fn encrypted(private: &[u8], passphrase: &SecretBytes) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut salt = [0; SALT];
    let mut iv = [0; IV_LEN_128_BIT];
    rand::fill(&mut salt).and_then(|()| rand::fill(&mut iv)).map_err(broken("draw salt"))?;
    let mut key = Zeroizing::new([0; AES_256_KEY_LEN]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt, passphrase.expose(), key.as_mut_slice());

    // With room for the padding: a buffer that grows would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(private.len() + IV_LEN_128_BIT));
    bytes.extend_from_slice(private);
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    UnboundCipherKey::new(&AES_256, key.as_slice())
        .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
        .and_then(|key| key.less_safe_encrypt(&mut *bytes, context))
        .map_err(broken("encrypt private key"))?;

    let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS.get(), &salt, iv);
    let info = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: parameters.map_err(broken("encode PBES2 parameters"))?.into(),
        encrypted_data: OctetStringRef::new(&bytes).map_err(broken("encode encrypted key"))?,
    };
    info.to_der().map(Zeroizing::new).map_err(broken("encode encrypted key"))
}
