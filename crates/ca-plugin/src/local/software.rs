//! Keys that are payloads in a secret store, and sign in this process.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use bailey_core::ca::{CaError, CaErrorKind, CaKey, CaKeyType, Keys, SigningKeys};
use bailey_core::sensitive::SecretBytes;

/// Signing keys among the keys of a CA.
pub struct SoftwareKeys(pub Arc<dyn Keys>);

#[async_trait]
impl SigningKeys for SoftwareKeys {
    async fn make(&self, name: &str, key_type: CaKeyType) -> Result<Arc<dyn CaKey>, CaError> {
        if self.0.load(name).await?.is_none() {
            self.0.keep(name, &generate(key_type)?).await?;
        }
        self.find(name).await
    }

    async fn find(&self, name: &str) -> Result<Arc<dyn CaKey>, CaError> {
        let missing = || CaError::new(CaErrorKind::NotFound, "find CA key", format!("there is no {name}"));
        Ok(Arc::new(SoftwareKey::read(&self.0.load(name).await?.ok_or_else(missing)?)?))
    }

    async fn destroy(&self, name: &str) -> Result<(), CaError> {
        self.0.forget(name).await
    }
}

/// A fresh key, PKCS#8 DER.
fn generate(key_type: CaKeyType) -> Result<SecretBytes, CaError> {
    let failed = |_| CaError::new(CaErrorKind::Internal, "make CA key", "");
    let ec = |algorithm| -> Result<SecretBytes, CaError> {
        let key = EcdsaKeyPair::generate(algorithm).map_err(failed)?;
        Ok(SecretBytes::new(key.to_pkcs8v1().map_err(failed)?.as_ref().to_vec()))
    };
    let rsa = |size| -> Result<SecretBytes, CaError> {
        let key = RsaKeyPair::generate(size).map_err(failed)?;
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
        Ok(SecretBytes::new(der.as_ref().to_vec()))
    };
    match key_type {
        CaKeyType::EcP256 => ec(&ECDSA_P256_SHA256_ASN1_SIGNING),
        CaKeyType::EcP384 => ec(&ECDSA_P384_SHA384_ASN1_SIGNING),
        CaKeyType::Rsa3072 => rsa(KeySize::Rsa3072),
        CaKeyType::Rsa4096 => rsa(KeySize::Rsa4096),
    }
}

struct SoftwareKey {
    public: Vec<u8>,
    pair: Pair,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl SoftwareKey {
    fn read(pkcs8: &SecretBytes) -> Result<Self, CaError> {
        let failed = |_| CaError::new(CaErrorKind::Internal, "read CA key", "");
        for algorithm in [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING] {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.expose()) {
                let public = pair.public_key().as_der().map_err(failed)?.as_ref().to_vec();
                return Ok(Self { public, pair: Pair::Ec(pair) });
            }
        }
        let corrupt = |_| CaError::new(CaErrorKind::Corrupt, "read CA key", "it is no key of a sort that CAs have");
        let pair = RsaKeyPair::from_pkcs8(pkcs8.expose()).map_err(corrupt)?;
        let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
        Ok(Self { public: public.as_ref().to_vec(), pair: Pair::Rsa(pair) })
    }
}

#[async_trait]
impl CaKey for SoftwareKey {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError> {
        let failed = |_| CaError::new(CaErrorKind::Internal, "sign", "");
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ec(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}
