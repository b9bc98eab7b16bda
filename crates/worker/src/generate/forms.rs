//! The forms in which clients read key pairs: PKCS#8 (RFC 5208), encrypted by PBES2 (RFC 8018), and
//! SubjectPublicKeyInfo (RFC 5280), as PEM (RFC 7468) or DER.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, AES_256_KEY_LEN, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::{FixedLength, IV_LEN_128_BIT};
use aws_lc_rs::{pbkdf2, rand};
use bailey_core::failure::Failure;
use bailey_core::sensitive::SecretBytes;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::pem::{self, LineEnding};
use pkcs8::der::{Decode as _, Encode as _};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{EncryptionScheme as Cipher, Kdf, Parameters, Pbkdf2Prf};
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

/// Longest PBKDF2 that a key may ask for: whoever stores one must not have Bailey count for hours.
const MOST_ITERATIONS: u32 = 10_000_000;

/// The PKCS#8 in an encrypted private key, PEM or DER, as [`encrypted`] makes it and OpenSSL does by default.
///
/// # Errors
/// What is wrong, fit for the client.
pub(super) fn decrypted(private: &SecretBytes, passphrase: &SecretBytes) -> Result<SecretBytes, &'static str> {
    const UNKNOWN: &str = "The private key is not encrypted in a way that is known here";
    const WRONG: &str = "The passphrase does not open the private key";
    let der = match pem::decode_vec(private.expose()) {
        Ok((_, der)) => Zeroizing::new(der),
        Err(_) => Zeroizing::new(private.expose().to_vec()),
    };
    let info = EncryptedPrivateKeyInfoRef::from_der(&der).map_err(|_| UNKNOWN)?;
    let EncryptionScheme::Pbes2(Parameters { kdf: Kdf::Pbkdf2(kdf), encryption: Cipher::Aes256Cbc { iv } }) =
        info.encryption_algorithm
    else {
        return Err(UNKNOWN);
    };
    let algorithm = match kdf.prf {
        Pbkdf2Prf::HmacWithSha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        Pbkdf2Prf::HmacWithSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Pbkdf2Prf::HmacWithSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
        Pbkdf2Prf::HmacWithSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(UNKNOWN),
    };
    let iterations = NonZeroU32::new(kdf.iteration_count).filter(|count| count.get() <= MOST_ITERATIONS);
    let mut key = Zeroizing::new([0; AES_256_KEY_LEN]);
    let salt = kdf.salt.as_bytes();
    pbkdf2::derive(algorithm, iterations.ok_or(UNKNOWN)?, salt, passphrase.expose(), key.as_mut_slice());
    let mut bytes = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let plain = UnboundCipherKey::new(&AES_256, key.as_slice())
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .and_then(|key| {
            key.decrypt(&mut bytes, DecryptionContext::Iv128(FixedLength::from(iv))).map(|plain| plain.to_vec())
        })
        .map_err(|_| WRONG)?;
    Ok(SecretBytes::new(plain))
}
