//! Project KEKs: made in the token, wrapped, and unwrapped again as objects that live for a session.

mod live;

use bailey_core::crypto::{KekContext, WrappedKek};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use subtle::ConstantTimeEq;

use crate::cipher::{self, Keys};
use crate::config::PayloadMechanism;
use crate::error::{self, Failure, Fault, Operation, failure};
use crate::keys::KEY_LENGTH;
use crate::session::OpenToken;
use crate::version::Version;
use crate::wrapping::{WrappedKey, Wrapping};

pub(crate) use live::{LiveKek, LiveKeks};

/// What is encrypted to see whether a key works.
const PROBE: &[u8] = b"bailey: does this key encrypt and decrypt?";

/// Makes a KEK and wraps it under `version`.
pub(crate) fn create(
    token: &OpenToken,
    session: &Session,
    context: &KekContext,
    version: Version,
) -> Result<WrappedKek, Failure> {
    let payload = token.config.payload_mechanism;
    let told = |error| failure(Operation::CreateKek, &error);
    let encryption = encryption_template(true, version.is_trusted);
    let made = session.generate_key(&Mechanism::AesKeyGen, &with_length(encryption)).map_err(told)?;
    let mut keys = Keys { encryption: made, mac: None };
    let wrapped = (|| {
        if payload == PayloadMechanism::AesCbcHmac {
            let template = with_length(mac_template(true, version.is_trusted));
            keys.mac = Some(session.generate_key(&Mechanism::GenericSecretKeyGen, &template).map_err(told)?);
        }
        wrap(token, session, context, version, keys)
    })();
    // It was extractable for this one wrapping only.
    destroy(session, keys);
    wrapped
}

/// Wraps the same KEK under `version`.
pub(crate) fn rewrap(
    token: &OpenToken,
    session: &Session,
    context: &KekContext,
    kek: &WrappedKek,
    version: Version,
) -> Result<WrappedKek, Failure> {
    let keys = unwrap(token, session, context, kek, true)?;
    let wrapped = wrap(token, session, context, version, keys);
    destroy(session, keys);
    wrapped
}

/// Verifies a wrapping and makes objects of its keys; `is_extractable` only to wrap them anew.
pub(crate) fn unwrap(
    token: &OpenToken,
    session: &Session,
    context: &KekContext,
    kek: &WrappedKek,
    is_extractable: bool,
) -> Result<Keys, Failure> {
    let version = token.versions.get(&token.config, session, kek.mkek)?;
    let wrapping = Wrapping::read(&kek.bytes).ok_or_else(|| error::corrupt_wrapping(context.kek))?;
    verify(session, context, version, &wrapping)?;
    open(session, version, &wrapping, is_extractable)
}

/// Whether these keys encrypt and decrypt: if so, what they couldn't decrypt is to blame, not the token.
pub(crate) fn work(token: &OpenToken, session: &Session, keys: Keys) -> Result<bool, Failure> {
    fit(token, session, keys, keys)
}

/// Whether `second` opens what `first` encrypts.
fn fit(token: &OpenToken, session: &Session, first: Keys, second: Keys) -> Result<bool, Failure> {
    let made = first.encrypt(token, session, PROBE, PROBE)?;
    Ok(second.decrypt(session, PROBE, &made)?.is_some_and(|opened| opened.expose() == PROBE))
}

/// Wraps, and unwraps again before anything is encrypted under a KEK that could be lost.
fn wrap(
    token: &OpenToken,
    session: &Session,
    context: &KekContext,
    version: Version,
    keys: Keys,
) -> Result<WrappedKek, Failure> {
    let told = |error| failure(Operation::CreateKek, &error);
    let mechanism = token.mechanisms(session)?.wrap;
    let mut wrapping = Wrapping { wrap: mechanism, payload: keys.payload(), keys: Vec::new(), tag: Vec::new() };
    for object in keys.objects() {
        let iv = if mechanism.iv_length() == 0 { Vec::new() } else { cipher::draw::<16>(session)?.to_vec() };
        let with_iv = mechanism.with_iv(&iv).ok_or_else(|| refuse("the IV has another length"))?;
        let bytes = session.wrap_key(&with_iv, version.mkek, object).map_err(told)?;
        wrapping.keys.push(WrappedKey { iv, bytes });
    }
    let input = wrapping.authenticated(context, version.id);
    wrapping.tag = session.sign(&Mechanism::Sha256Hmac, version.hmac, &input).map_err(told)?;
    if !is_authentic(session, version, &input, &wrapping)? {
        return Err(refuse("the token's MAC isn't one that it verifies"));
    }
    let opened = open(session, version, &wrapping, false)?;
    let is_same = fit(token, session, keys, opened);
    destroy(session, opened);
    if !is_same? {
        return Err(refuse("the token unwraps another key than it wrapped"));
    }
    let bytes = wrapping.bytes().ok_or_else(|| refuse("the token wraps a key into more than 255 bytes"))?;
    Ok(WrappedKek { mkek: version.id, bytes })
}

/// Before C_UnwrapKey: some tokens unwrap what was tampered with, to another key.
fn verify(session: &Session, context: &KekContext, version: Version, wrapping: &Wrapping) -> Result<(), Failure> {
    let input = wrapping.authenticated(context, version.id);
    if is_authentic(session, version, &input, wrapping)? { Ok(()) } else { Err(error::corrupt_wrapping(context.kek)) }
}

fn is_authentic(session: &Session, version: Version, input: &[u8], wrapping: &Wrapping) -> Result<bool, Failure> {
    match session.verify(&Mechanism::Sha256Hmac, version.hmac, input, &wrapping.tag) {
        Ok(()) => Ok(true),
        Err(error) if cipher::is_wrong_signature(&error) => Ok(false),
        Err(error) => {
            // Whether the code means a wrong tag or a broken token shows when the tag is made anew.
            let failure = failure(Operation::UnwrapKek, &error);
            let tag = session.sign(&Mechanism::Sha256Hmac, version.hmac, input).map_err(|_| failure.clone())?;
            let is_same: bool = tag.ct_eq(&wrapping.tag).into();
            if is_same { Err(failure) } else { Ok(false) }
        }
    }
}

fn open(session: &Session, version: Version, wrapping: &Wrapping, is_extractable: bool) -> Result<Keys, Failure> {
    let mut objects = Vec::new();
    let templates = [encryption_template, mac_template];
    for (key, template) in wrapping.keys.iter().zip(templates) {
        match open_one(session, version, wrapping, key, &template(is_extractable, version.is_trusted)) {
            Ok(object) => objects.push(object),
            Err(failure) => {
                objects.into_iter().for_each(|object| drop(session.destroy_object(object)));
                return Err(failure);
            }
        }
    }
    let [encryption, mac @ ..] = objects.as_slice() else { return Err(mistaken("the wrapping holds no key")) };
    Ok(Keys { encryption: *encryption, mac: mac.first().copied() })
}

fn open_one(
    session: &Session,
    version: Version,
    wrapping: &Wrapping,
    key: &WrappedKey,
    template: &[Attribute],
) -> Result<ObjectHandle, Failure> {
    let mechanism = wrapping.wrap.with_iv(&key.iv).ok_or_else(|| mistaken("the IV has another length"))?;
    let object = session.unwrap_key(&mechanism, version.mkek, &key.bytes, template).map_err(|error| {
        let mut failure = failure(Operation::UnwrapKek, &error);
        if failure.fault == Fault::Device {
            let what = "the wrapping is authentic, so the token is at fault, or its MKEK isn't the one that wrapped it";
            failure.context = format!("{}: {what}: {}", version.id, failure.context);
        }
        failure
    })?;
    match inspect(session, object, template) {
        Ok(()) => Ok(object),
        Err(failure) => {
            let _destroyed = session.destroy_object(object);
            Err(failure)
        }
    }
}

/// That the token made what the template says.
fn inspect(session: &Session, object: ObjectHandle, template: &[Attribute]) -> Result<(), Failure> {
    let kinds = [AttributeType::ValueLen, AttributeType::Token, AttributeType::Sensitive, AttributeType::Extractable];
    let read = session.get_attributes(object, &kinds).map_err(|error| failure(Operation::UnwrapKek, &error))?;
    let is_wrong = |attribute: &Attribute| match attribute {
        // SoftHSM says 0 of every key that it unwrapped.
        Attribute::ValueLen(length) => ![0, KEY_LENGTH].contains(&usize::from(*length)),
        Attribute::Token(is) => *is,
        Attribute::Sensitive(is) => !*is,
        Attribute::Extractable(is) => {
            *is && !template.iter().any(|asked| matches!(asked, Attribute::Extractable(true)))
        }
        _ => false,
    };
    match read.iter().find(|attribute| is_wrong(attribute)) {
        Some(wrong) => Err(mistaken(&format!("the token made a key with {wrong:?}, which was not asked for"))),
        None => Ok(()),
    }
}

/// Objects of a session go with it anyway.
fn destroy(session: &Session, keys: Keys) {
    for object in keys.objects() {
        let _destroyed = session.destroy_object(object);
    }
}

fn encryption_template(is_extractable: bool, is_trusted: bool) -> Vec<Attribute> {
    template(KeyType::AES, true, is_extractable, is_trusted)
}

fn mac_template(is_extractable: bool, is_trusted: bool) -> Vec<Attribute> {
    template(KeyType::GENERIC_SECRET, false, is_extractable, is_trusted)
}

/// Every boolean is said: what is left out, tokens decide differently.
fn template(kind: KeyType, encrypts: bool, is_extractable: bool, is_trusted: bool) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(kind),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(is_extractable),
        Attribute::Encrypt(encrypts),
        Attribute::Decrypt(encrypts),
        Attribute::Sign(!encrypts),
        Attribute::Verify(!encrypts),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ];
    if is_trusted {
        template.push(Attribute::WrapWithTrusted(true));
    }
    template
}

/// For making a key. For unwrapping one, SoftHSM refuses to be told its length.
fn with_length(mut template: Vec<Attribute>) -> Vec<Attribute> {
    template.push(Attribute::ValueLen(Ulong::new(KEY_LENGTH as u64)));
    template
}

fn refuse(sentence: &str) -> Failure {
    Failure::new(Operation::CreateKek, Fault::Device, sentence)
}

fn mistaken(sentence: &str) -> Failure {
    Failure::new(Operation::UnwrapKek, Fault::Device, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a template says of a boolean; `None` where it leaves it to the token.
    fn said(template: &[Attribute], kind: AttributeType) -> Option<bool> {
        template.iter().find(|attribute| attribute.attribute_type() == kind).and_then(|attribute| match attribute {
            Attribute::Token(is) | Attribute::Private(is) | Attribute::Sensitive(is) | Attribute::Extractable(is) => {
                Some(*is)
            }
            Attribute::Encrypt(is) | Attribute::Decrypt(is) | Attribute::Sign(is) | Attribute::Verify(is) => Some(*is),
            Attribute::Wrap(is) | Attribute::Unwrap(is) | Attribute::Derive(is) => Some(*is),
            Attribute::WrapWithTrusted(is) => Some(*is),
            _ => None,
        })
    }

    #[test]
    fn a_kek_in_use_can_encrypt_and_nothing_else() {
        let template = encryption_template(false, false);
        let on = [AttributeType::Private, AttributeType::Sensitive, AttributeType::Encrypt, AttributeType::Decrypt];
        let off = [
            AttributeType::Token,
            AttributeType::Extractable,
            AttributeType::Sign,
            AttributeType::Verify,
            AttributeType::Wrap,
            AttributeType::Unwrap,
            AttributeType::Derive,
        ];
        assert!(on.into_iter().all(|kind| said(&template, kind) == Some(true)), "{template:?}");
        assert!(off.into_iter().all(|kind| said(&template, kind) == Some(false)), "{template:?}");
    }

    #[test]
    fn only_a_trusted_mkek_s_keks_are_for_trusted_keys_alone() {
        for template in [encryption_template, mac_template] {
            assert_eq!(said(&template(true, true), AttributeType::WrapWithTrusted), Some(true));
            assert_eq!(said(&template(true, false), AttributeType::WrapWithTrusted), None);
        }
    }
}
