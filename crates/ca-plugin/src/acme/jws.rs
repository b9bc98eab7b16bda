//! What an account signs: JSON Web Signatures as ACME has them (RFC 8555, section 6.2; RFC 7515).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use bailey_core::ca::{CaError, CaErrorKind};
use bailey_core::sensitive::SecretBytes;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// An account's key: ECDSA over P-256.
pub(super) struct AccountKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    thumbprint: String,
}

/// What stands before a signature: who signs and for which request.
pub(super) struct Protected<'a> {
    /// The account's URL; the key itself where there is no account yet.
    pub(super) account: Option<&'a str>,
    pub(super) nonce: &'a str,
    pub(super) url: &'a str,
}

impl AccountKey {
    /// A fresh one, PKCS#8.
    pub(super) fn generate() -> Result<SecretBytes, CaError> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let made = made.map_err(|_| CaError::new(CaErrorKind::Internal, "make account key", ""))?;
        Ok(SecretBytes::new(made.as_ref().to_vec()))
    }

    pub(super) fn read(pkcs8: &SecretBytes) -> Result<Self, CaError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.expose())
            .map_err(|_| CaError::new(CaErrorKind::Corrupt, "read account key", "it is no ECDSA key over P-256"))?;
        let mut key = Self { pair, random: SystemRandom::new(), thumbprint: String::new() };
        // RFC 7638: the members in the order of their names, without blanks; that is how they are written below.
        key.thumbprint = encode(digest(&SHA256, key.jwk().to_string().as_bytes()).as_ref());
        Ok(key)
    }

    /// The public half (RFC 7517).
    pub(super) fn jwk(&self) -> Value {
        // A point, uncompressed: a byte that says so, then both coordinates.
        let (x, y) = self.pair.public_key().as_ref().get(1..).unwrap_or_default().split_at(32);
        json!({"crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y)})
    }

    /// What proves that a token was given to this account (RFC 8555, section 8.1).
    pub(super) fn authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint)
    }

    /// The body of a signed request; without a payload it is a POST that stands for a GET.
    pub(super) fn sign(&self, protected: &Protected<'_>, payload: Option<&Value>) -> Result<String, CaError> {
        let mut header = json!({"alg": "ES256", "nonce": protected.nonce, "url": protected.url});
        match protected.account {
            Some(account) => header["kid"] = account.into(),
            None => header["jwk"] = self.jwk(),
        }
        let payload = payload.map(Value::to_string).unwrap_or_default();
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload.as_bytes()));
        let signature = self.pair.sign(&self.random, signed.as_bytes());
        let signature = signature.map_err(|_| CaError::new(CaErrorKind::Internal, "sign request", ""))?;
        Ok(flattened(&signed, signature.as_ref()).to_string())
    }
}

/// What binds a new account to one that the CA keeps elsewhere (RFC 8555, section 7.3.4).
pub(super) fn binding(key_id: &str, mac_key: &SecretBytes, url: &str, account: &AccountKey) -> Value {
    let header = json!({"alg": "HS256", "kid": key_id, "url": url});
    let payload = account.jwk().to_string();
    let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload.as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, mac_key.expose());
    flattened(&signed, hmac::sign(&key, signed.as_bytes()).as_ref())
}

/// The value of the record that proves a name (RFC 8555, section 8.4).
pub(super) fn record(authorization: &str) -> String {
    encode(digest(&SHA256, authorization.as_bytes()).as_ref())
}

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn flattened(signed: &str, signature: &[u8]) -> Value {
    let (protected, payload) = signed.split_once('.').unwrap_or_default();
    json!({"protected": protected, "payload": payload, "signature": encode(signature)})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn decoded(text: &Value) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
    }

    fn signed(body: &Value) -> String {
        format!("{}.{}", body["protected"].as_str().unwrap(), body["payload"].as_str().unwrap())
    }

    #[test]
    fn the_thumbprint_is_over_the_members_in_their_order() {
        let key = AccountKey::read(&AccountKey::generate().unwrap()).unwrap();
        let jwk = key.jwk();
        let (x, y) = (jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap());
        let text = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}");
        let expected = encode(digest(&SHA256, text.as_bytes()).as_ref());
        assert_eq!(key.authorization("token"), format!("token.{expected}"));
    }

    #[test]
    fn what_is_signed_verifies() {
        let key = AccountKey::read(&AccountKey::generate().unwrap()).unwrap();
        for (account, named) in [(None, "jwk"), (Some("https://ca/account/1"), "kid")] {
            let protected = Protected { account, nonce: "n", url: "https://ca/order" };
            let body: Value = serde_json::from_str(&key.sign(&protected, Some(&json!({"a": 1}))).unwrap()).unwrap();
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key().as_ref());
            public.verify(signed(&body).as_bytes(), &decoded(&body["signature"])).unwrap();
            let header: Value = serde_json::from_slice(&decoded(&body["protected"])).unwrap();
            assert_eq!((&header["alg"], &header["nonce"]), (&"ES256".into(), &"n".into()));
            assert!(header.get(named).is_some());
            assert_eq!(header.as_object().unwrap().len(), 4);
        }
        let protected = Protected { account: None, nonce: "n", url: "u" };
        let body: Value = serde_json::from_str(&key.sign(&protected, None).unwrap()).unwrap();
        assert_eq!(body["payload"], "");
    }

    #[test]
    fn an_account_elsewhere_vouches_for_the_key() {
        let key = AccountKey::read(&AccountKey::generate().unwrap()).unwrap();
        let mac_key = SecretBytes::new(vec![7; 32]);
        let bound = binding("kid-1", &mac_key, "https://ca/new-account", &key);
        let mac = hmac::Key::new(hmac::HMAC_SHA256, mac_key.expose());
        hmac::verify(&mac, signed(&bound).as_bytes(), &decoded(&bound["signature"])).unwrap();
        let payload: Value = serde_json::from_slice(&decoded(&bound["payload"])).unwrap();
        assert_eq!(payload, key.jwk());
    }
}
