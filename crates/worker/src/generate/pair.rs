//! Makes one key pair, on a thread that may take its time.

mod dsa;
mod weak_rsa;

use std::fmt::Display;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _,
};
use bailey_core::failure::Failure;
use bailey_core::sensitive::SecretBytes;
use zeroize::Zeroizing;

use super::plan::{Curve, KeyPairPlan, RsaSize};
use super::{KeyPair, forms};

/// A key pair in DER: PKCS#8 and SubjectPublicKeyInfo.
pub struct Der {
    pub private: Zeroizing<Vec<u8>>,
    pub public: Vec<u8>,
}

/// Makes a key pair, encrypted if there is a passphrase.
pub fn make(plan: KeyPairPlan, passphrase: Option<&SecretBytes>) -> Result<KeyPair, Failure> {
    match plan {
        KeyPairPlan::Rsa(size) => forms::pem(&rsa(size)?, passphrase),
        KeyPairPlan::Ec(curve) => forms::pem(&ec(curve)?, passphrase),
        KeyPairPlan::Ed25519 => forms::pem(&ed25519()?, passphrase),
        // Barbican gives DSA keys out in DER, unlike RSA.
        KeyPairPlan::Dsa(size) => forms::der(dsa::make(size)?, passphrase),
    }
}

/// A failure of a library that has no reason to fail.
pub fn broken<E: Display>(operation: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| Failure::internal(format!("{operation}: {error}"))
}

fn rsa(size: RsaSize) -> Result<Der, Failure> {
    let size = match size {
        RsaSize::Bits1024 => return weak_rsa::make(),
        RsaSize::Bits2048 => KeySize::Rsa2048,
        RsaSize::Bits3072 => KeySize::Rsa3072,
        RsaSize::Bits4096 => KeySize::Rsa4096,
    };
    let pair = rsa::KeyPair::generate(size).map_err(broken("make RSA key"))?;
    let private: Pkcs8V1Der<'_> = pair.as_der().map_err(broken("encode RSA key"))?;
    encoded(private.as_ref(), pair.public_key())
}

fn ec(curve: Curve) -> Result<Der, Failure> {
    let algorithm = match curve {
        Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
    };
    let pair = EcdsaKeyPair::generate(algorithm).map_err(broken("make EC key"))?;
    let private = pair.to_pkcs8v1().map_err(broken("encode EC key"))?;
    encoded(private.as_ref(), pair.public_key())
}

/// Version 1 of PKCS#8: OpenSSL reads no version 2, which holds the public key too.
fn ed25519() -> Result<Der, Failure> {
    let pair = Ed25519KeyPair::generate().map_err(broken("make Ed25519 key"))?;
    let private = pair.to_pkcs8v1().map_err(broken("encode Ed25519 key"))?;
    encoded(private.as_ref(), pair.public_key())
}

fn encoded(private: &[u8], public: &impl AsDer<PublicKeyX509Der<'static>>) -> Result<Der, Failure> {
    let public = public.as_der().map_err(broken("encode public key"))?;
    Ok(Der { private: Zeroizing::new(private.to_vec()), public: public.as_ref().to_vec() })
}
