//! Key pairs that sign for CAs: made in the token, sensitive and not extractable, and never anywhere else.

use std::sync::Arc;

use async_trait::async_trait;
use bailey_core::ca::{CaError, CaErrorKind, CaKey, CaKeyType, SigningKeys};
use bailey_core::der::{Element, sequence, tagged, take};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha384};

use crate::error::{Failure, Fault, Operation, failure};
use crate::hsm::Hsm;
use crate::job::{Answer, Job};
use crate::runner::Runner;

/// What is asked of a token about such keys, each by its label.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Signing {
    /// Make one, unless there is one.
    Make(CaKeyType),
    /// Its public half: `SubjectPublicKeyInfo`, DER.
    Find,
    /// Sign a message.
    Sign(Vec<u8>),
    /// Destroy it.
    Destroy,
}

/// `AlgorithmIdentifier`s of keys (RFC 5480, section 2.1.1; RFC 3279, section 2.3.1) and the curves' identifiers; DER.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
const EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

impl Signing {
    /// What it is about.
    pub(crate) const fn operation(&self) -> Operation {
        match self {
            Self::Make(_) => Operation::MakeCaKey,
            Self::Find => Operation::FindCaKey,
            Self::Sign(_) => Operation::Sign,
            Self::Destroy => Operation::DestroyCaKey,
        }
    }

    /// Whether it changes what is on the token.
    pub(crate) const fn is_writing(&self) -> bool {
        matches!(self, Self::Make(_) | Self::Destroy)
    }

    /// Does it, with the key under `label`.
    pub(crate) fn run(&self, session: &Session, label: &str) -> Result<Answer, Failure> {
        let operation = self.operation();
        match self {
            Self::Make(key_type) => {
                if find(session, operation, ObjectClass::PRIVATE_KEY, label)?.is_none() {
                    make(session, label, *key_type)?;
                }
                Ok(Answer::Done)
            }
            Self::Find => {
                let half = find(session, operation, ObjectClass::PUBLIC_KEY, label)?;
                let both = half.zip(find(session, operation, ObjectClass::PRIVATE_KEY, label)?);
                both.map_or(Ok(Answer::Done), |(half, _)| Public::read(session, half)?.encoded().map(Answer::Bytes))
            }
            Self::Sign(message) => {
                let missing = || Failure::new(operation, Fault::NoKey, format!("the token has no key `{label}`"));
                let key = find(session, operation, ObjectClass::PRIVATE_KEY, label)?.ok_or_else(missing)?;
                let half = find(session, operation, ObjectClass::PUBLIC_KEY, label)?.ok_or_else(missing)?;
                Public::read(session, half)?.sign(session, key, message).map(Answer::Bytes)
            }
            Self::Destroy => {
                for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                    if let Some(key) = find(session, operation, class, label)? {
                        session.destroy_object(key).map_err(|error| failure(operation, &error))?;
                    }
                }
                Ok(Answer::Done)
            }
        }
    }
}

fn find(
    session: &Session,
    operation: Operation,
    class: ObjectClass,
    label: &str,
) -> Result<Option<ObjectHandle>, Failure> {
    let template = [Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
    let found = session.find_objects(&template).map_err(|error| failure(operation, &error))?;
    match found.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        several => {
            let context = format!("the token has {} keys `{label}`: one is all it may have", several.len());
            Err(Failure::new(operation, Fault::WrongKey, context))
        }
    }
}

/// Every boolean is said: what is left out, tokens decide differently.
fn make(session: &Session, label: &str, key_type: CaKeyType) -> Result<(), Failure> {
    let common = |class| {
        let label = label.as_bytes().to_vec();
        vec![
            Attribute::Class(class),
            Attribute::Token(true),
            Attribute::Modifiable(false),
            Attribute::Id(label.clone()),
            Attribute::Label(label),
        ]
    };
    let (mut public, mut private) = (common(ObjectClass::PUBLIC_KEY), common(ObjectClass::PRIVATE_KEY));
    public.extend([Attribute::Verify(true), Attribute::Encrypt(false), Attribute::Wrap(false)]);
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ]);
    let mechanism = match key_type {
        CaKeyType::EcP256 | CaKeyType::EcP384 => {
            let curve = if key_type == CaKeyType::EcP256 { P256 } else { P384 };
            public.push(Attribute::EcParams(curve.to_vec()));
            Mechanism::EccKeyPairGen
        }
        CaKeyType::Rsa3072 | CaKeyType::Rsa4096 => {
            let bits = if key_type == CaKeyType::Rsa3072 { 3_072 } else { 4_096 };
            public.extend([Attribute::ModulusBits(Ulong::from(bits)), Attribute::PublicExponent(vec![1, 0, 1])]);
            Mechanism::RsaPkcsKeyPairGen
        }
    };
    let made = session.generate_key_pair(&mechanism, &public, &private);
    made.map(drop).map_err(|error| failure(Operation::MakeCaKey, &error))
}

/// The public half of a key pair.
enum Public {
    Ec { curve: Vec<u8>, point: Vec<u8> },
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

impl Public {
    fn read(session: &Session, half: ObjectHandle) -> Result<Self, Failure> {
        const WANTED: [AttributeType; 4] =
            [AttributeType::EcParams, AttributeType::EcPoint, AttributeType::Modulus, AttributeType::PublicExponent];
        let told = |error| failure(Operation::FindCaKey, &error);
        let (mut ec, mut rsa) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for attribute in session.get_attributes(half, &WANTED).map_err(told)? {
            match attribute {
                Attribute::EcParams(curve) => ec.0 = curve,
                Attribute::EcPoint(point) => ec.1 = point,
                Attribute::Modulus(modulus) => rsa.0 = modulus,
                Attribute::PublicExponent(exponent) => rsa.1 = exponent,
                _ => {}
            }
        }
        if !ec.0.is_empty() && !ec.1.is_empty() {
            return Ok(Self::Ec { curve: ec.0, point: unpacked(ec.1) });
        }
        if rsa.0.is_empty() {
            let context = "the token doesn't tell the public half of a key";
            return Err(Failure::new(Operation::FindCaKey, Fault::WrongKey, context));
        }
        Ok(Self::Rsa { modulus: rsa.0, exponent: rsa.1 })
    }

    /// `SubjectPublicKeyInfo`, DER.
    fn encoded(&self) -> Result<Vec<u8>, Failure> {
        let (algorithm, key) = match self {
            Self::Ec { curve, point } => ([EC, curve].concat(), point.clone()),
            Self::Rsa { modulus, exponent } => (RSA.to_vec(), sequence(&[&integer(modulus), &integer(exponent)])),
        };
        Ok(sequence(&[&sequence(&[&algorithm]), &tagged(0x03, &[&[0], key.as_slice()].concat())]))
    }

    fn sign(&self, session: &Session, key: ObjectHandle, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let sign = |mechanism: Mechanism<'_>, bytes: &[u8]| {
            session.sign(&mechanism, key, bytes).map_err(|error| failure(Operation::Sign, &error))
        };
        match self {
            Self::Rsa { .. } => sign(Mechanism::Sha256RsaPkcs, message),
            Self::Ec { curve, .. } => {
                let raw = match curve.as_slice() {
                    P256 => sign(Mechanism::Ecdsa, &Sha256::digest(message))?,
                    P384 => sign(Mechanism::Ecdsa, &Sha384::digest(message))?,
                    _ => return Err(Failure::new(Operation::Sign, Fault::WrongKey, "the key is on another curve")),
                };
                let (r, s) = raw.split_at(raw.len() / 2);
                Ok(sequence(&[&integer(r), &integer(s)]))
            }
        }
    }
}

/// A point as keys have it: many tokens wrap it in an `OCTET STRING` (PKCS#11 3.1, section 6.3.3), some don't.
fn unpacked(point: Vec<u8>) -> Vec<u8> {
    let mut rest = point.as_slice();
    match take(&mut rest) {
        Some(Element { tag: 0x04, content, .. }) if rest.is_empty() && content.first() == Some(&0x04) => {
            content.to_vec()
        }
        _ => point,
    }
}

/// A positive `INTEGER`.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    tagged(0x02, &digits)
}

/// Signing keys in a token, under labels that begin alike.
struct TokenKeys {
    runner: Arc<dyn Runner>,
    prefix: String,
}

impl Hsm {
    /// The keys that a CA has in the token, under labels with this beginning.
    #[must_use]
    pub fn signing_keys(&self, prefix: impl Into<String>) -> Arc<dyn SigningKeys> {
        Arc::new(TokenKeys { runner: self.runner(), prefix: prefix.into() })
    }
}

impl TokenKeys {
    async fn ask(&self, name: &str, what: Signing) -> Result<Answer, CaError> {
        let label = format!("{}{name}", self.prefix);
        self.runner.run(Job::Sign { label, what }).await.map_err(told)
    }
}

#[async_trait]
impl SigningKeys for TokenKeys {
    async fn make(&self, name: &str, key_type: CaKeyType) -> Result<Arc<dyn CaKey>, CaError> {
        self.ask(name, Signing::Make(key_type)).await?;
        self.find(name).await
    }

    async fn find(&self, name: &str) -> Result<Arc<dyn CaKey>, CaError> {
        let missing = || CaError::new(CaErrorKind::NotFound, "find CA key", format!("the token has no {name}"));
        let Answer::Bytes(public) = self.ask(name, Signing::Find).await? else { return Err(missing()) };
        let label = format!("{}{name}", self.prefix);
        Ok(Arc::new(TokenKey { runner: Arc::clone(&self.runner), label, public }))
    }

    async fn destroy(&self, name: &str) -> Result<(), CaError> {
        self.ask(name, Signing::Destroy).await.map(drop)
    }
}

struct TokenKey {
    runner: Arc<dyn Runner>,
    label: String,
    public: Vec<u8>,
}

#[async_trait]
impl CaKey for TokenKey {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError> {
        let what = Signing::Sign(message.to_vec());
        match self.runner.run(Job::Sign { label: self.label.clone(), what }).await.map_err(told)? {
            Answer::Bytes(signature) => Ok(signature),
            _ => Err(CaError::new(CaErrorKind::Internal, "sign", "the answer belongs to another question")),
        }
    }
}

fn told(failure: Failure) -> CaError {
    let kind = match failure.fault {
        Fault::WrongKey | Fault::Corrupt => CaErrorKind::Corrupt,
        Fault::Unsupported => CaErrorKind::Unsupported,
        _ => CaErrorKind::Unavailable,
    };
    CaError::new(kind, failure.operation.as_str(), failure.context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positive_and_short() {
        assert_eq!(integer(&[0, 0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
    }

    #[test]
    fn a_point_is_the_same_with_and_without_a_wrapper() {
        let point = [&[4][..], &[7; 64]].concat();
        assert_eq!(unpacked(tagged(4, &point)), point);
        assert_eq!(unpacked(point.clone()), point);
    }
}
