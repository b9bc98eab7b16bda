//! Writing TTLV.

use zeroize::Zeroizing;

use super::parse::{
    BIG_INTEGER, BOOLEAN, BYTES, DATE_TIME, ENUMERATION, INTEGER, INTERVAL, LONG_INTEGER, STRUCTURE, TEXT,
};
use super::{HEADER, Item, Value};

/// The item's bytes.
#[must_use]
pub fn write(item: &Item) -> Zeroizing<Vec<u8>> {
    // A vector that grows leaves its earlier bytes behind unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEADER + padded(&item.value)));
    append(&mut bytes, item);
    bytes
}

fn append(bytes: &mut Vec<u8>, item: &Item) {
    bytes.extend_from_slice(&item.tag.0.to_be_bytes()[1..]);
    bytes.push(kind(&item.value));
    // Requests are bounded by the largest payload, far below 4 GiB.
    let length = u32::try_from(length(&item.value)).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    match &item.value {
        Value::Structure(items) => items.iter().for_each(|item| append(bytes, item)),
        Value::Integer(number) => bytes.extend_from_slice(&number.to_be_bytes()),
        Value::LongInteger(number) | Value::DateTime(number) => bytes.extend_from_slice(&number.to_be_bytes()),
        Value::Enumeration(number) | Value::Interval(number) => bytes.extend_from_slice(&number.to_be_bytes()),
        Value::Boolean(is_true) => bytes.extend_from_slice(&u64::from(*is_true).to_be_bytes()),
        Value::Text(text) => bytes.extend_from_slice(text.as_bytes()),
        Value::BigInteger(value) | Value::Bytes(value) => bytes.extend_from_slice(value.expose()),
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

const fn kind(value: &Value) -> u8 {
    match value {
        Value::Structure(_) => STRUCTURE,
        Value::Integer(_) => INTEGER,
        Value::LongInteger(_) => LONG_INTEGER,
        Value::BigInteger(_) => BIG_INTEGER,
        Value::Enumeration(_) => ENUMERATION,
        Value::Boolean(_) => BOOLEAN,
        Value::Text(_) => TEXT,
        Value::Bytes(_) => BYTES,
        Value::DateTime(_) => DATE_TIME,
        Value::Interval(_) => INTERVAL,
    }
}

/// Bytes of the value, without those that fill it up.
fn length(value: &Value) -> usize {
    match value {
        Value::Structure(items) => items.iter().map(|item| HEADER + padded(&item.value)).sum(),
        Value::Integer(_) | Value::Enumeration(_) | Value::Interval(_) => 4,
        Value::LongInteger(_) | Value::Boolean(_) | Value::DateTime(_) => 8,
        Value::Text(text) => text.len(),
        Value::BigInteger(value) | Value::Bytes(value) => value.len(),
    }
}

fn padded(value: &Value) -> usize {
    length(value).next_multiple_of(8)
}
