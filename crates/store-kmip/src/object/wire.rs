//! Objects as KMIP writes them (1.4, section 2.2).

use bailey_core::sensitive::SecretBytes;

use super::{KeySpec, Kind, Object, Outer, Shape, der};
use crate::error::Fault;
use crate::message::{Fields, bytes, enumeration, integer, structure, tag};
use crate::ttlv::Item;

/// Key format types (1.4, section 9.1.3.2.3).
const RAW: u32 = 0x01;
const OPAQUE: u32 = 0x02;
const PKCS_1: u32 = 0x03;
const PKCS_8: u32 = 0x04;
const X_509: u32 = 0x05;
/// Password among secret data types, X.509 among certificate types.
const PASSWORD: u32 = 0x01;
const CERTIFICATE_X_509: u32 = 0x01;
/// There is none for opaque data; this is the first that vendors may use, and PyKMIP's only one.
const OPAQUE_DATA: u32 = 0x8000_0000;

/// Usage masks (1.4, section 9.1.3.3.1).
const SIGN: i32 = 0x01;
const VERIFY: i32 = 0x02;
const ENCRYPT: i32 = 0x04;
const DECRYPT: i32 = 0x08;

/// The number of a kind among KMIP's types of objects.
pub(crate) const fn object_type(kind: Kind) -> u32 {
    match kind {
        Kind::Certificate => 0x01,
        Kind::Symmetric => 0x02,
        Kind::Public => 0x03,
        Kind::Private => 0x04,
        Kind::Password => 0x07,
        Kind::Opaque => 0x08,
    }
}

/// What an object is for, where servers want to know: Bailey never has one used.
pub(crate) const fn usage(kind: Kind) -> Option<i32> {
    match kind {
        Kind::Symmetric => Some(ENCRYPT | DECRYPT),
        Kind::Public => Some(VERIFY | ENCRYPT),
        Kind::Private => Some(SIGN | DECRYPT),
        Kind::Certificate | Kind::Password => Some(VERIFY),
        Kind::Opaque => None,
    }
}

/// The object's structure.
pub(crate) fn write(object: Object) -> Item {
    let Object { shape, value, key } = object;
    match shape.kind {
        Kind::Certificate => structure(
            tag::CERTIFICATE,
            vec![enumeration(tag::CERTIFICATE_TYPE, CERTIFICATE_X_509), bytes(tag::CERTIFICATE_VALUE, value)],
        ),
        Kind::Symmetric => structure(tag::SYMMETRIC_KEY, vec![key_block(RAW, value, key)]),
        Kind::Public => structure(tag::PUBLIC_KEY, vec![key_block(X_509, value, key)]),
        Kind::Private => structure(tag::PRIVATE_KEY, vec![key_block(PKCS_8, value, key)]),
        Kind::Password => structure(
            tag::SECRET_DATA,
            vec![enumeration(tag::SECRET_DATA_TYPE, PASSWORD), key_block(OPAQUE, value, None)],
        ),
        Kind::Opaque => structure(
            tag::OPAQUE_OBJECT,
            vec![enumeration(tag::OPAQUE_DATA_TYPE, OPAQUE_DATA), bytes(tag::OPAQUE_DATA_VALUE, value)],
        ),
    }
}

fn key_block(format: u32, value: SecretBytes, key: Option<KeySpec>) -> Item {
    let mut items = vec![
        enumeration(tag::KEY_FORMAT_TYPE, format),
        structure(tag::KEY_VALUE, vec![bytes(tag::KEY_MATERIAL, value)]),
    ];
    if let Some(KeySpec { algorithm, bits }) = key {
        items.push(enumeration(tag::CRYPTOGRAPHIC_ALGORITHM, algorithm));
        items.push(integer(tag::CRYPTOGRAPHIC_LENGTH, bits));
    }
    structure(tag::KEY_BLOCK, items)
}

/// The bytes of the object that a server answers with, which must be of this shape.
pub(crate) fn read(answer: &mut Fields, Shape { kind, outer: around }: Shape) -> Result<SecretBytes, Fault> {
    let told = answer.take_enumeration(tag::OBJECT_TYPE)?;
    if told != Some(object_type(kind)) {
        return Err(Fault::OtherObject);
    }
    let missing = || Fault::Protocol("an object without its bytes");
    let (outer, format) = match kind {
        Kind::Certificate => {
            let mut object = answer.take_fields(tag::CERTIFICATE)?.ok_or_else(missing)?;
            return object.take_bytes(tag::CERTIFICATE_VALUE)?.ok_or_else(missing);
        }
        Kind::Opaque => {
            let mut object = answer.take_fields(tag::OPAQUE_OBJECT)?.ok_or_else(missing)?;
            return object.take_bytes(tag::OPAQUE_DATA_VALUE)?.ok_or_else(missing);
        }
        Kind::Symmetric => (tag::SYMMETRIC_KEY, RAW),
        Kind::Public => (tag::PUBLIC_KEY, X_509),
        Kind::Private => (tag::PRIVATE_KEY, PKCS_8),
        Kind::Password => (tag::SECRET_DATA, OPAQUE),
    };
    let mut object = answer.take_fields(outer)?.ok_or_else(missing)?;
    let mut block = object.take_fields(tag::KEY_BLOCK)?.ok_or_else(missing)?;
    let told = block.take_enumeration(tag::KEY_FORMAT_TYPE)?;
    let is_bare = told == Some(PKCS_1) && around == Outer::Drawn;
    // Passwords have no format: servers answer with the one they like.
    let is_expected = told == Some(format) || kind == Kind::Password || is_bare;
    let other = || Fault::Protocol("a key in another form");
    if block.take(tag::KEY_WRAPPING_DATA).is_some() || !is_expected {
        return Err(other());
    }
    let mut value = block.take_fields(tag::KEY_VALUE)?.ok_or_else(missing)?;
    let bytes = value.take_bytes(tag::KEY_MATERIAL)?.ok_or_else(missing)?;
    if is_bare { der::framed(kind, bytes.expose()).ok_or_else(other) } else { Ok(bytes) }
}
