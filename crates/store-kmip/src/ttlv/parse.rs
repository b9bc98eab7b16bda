//! Reading TTLV.

use bailey_core::sensitive::SecretBytes;

use super::{HEADER, Item, Limits, Malformed, Tag, Value};

pub(super) const STRUCTURE: u8 = 1;
pub(super) const INTEGER: u8 = 2;
pub(super) const LONG_INTEGER: u8 = 3;
pub(super) const BIG_INTEGER: u8 = 4;
pub(super) const ENUMERATION: u8 = 5;
pub(super) const BOOLEAN: u8 = 6;
pub(super) const TEXT: u8 = 7;
pub(super) const BYTES: u8 = 8;
pub(super) const DATE_TIME: u8 = 9;
pub(super) const INTERVAL: u8 = 10;

/// Reads a message that is all of `bytes`.
///
/// # Errors
/// When it is no message within `limits`.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Item, Malformed> {
    let header = bytes.first_chunk().ok_or(Malformed::Cut)?;
    message_length(header, limits)?;
    let mut reader = Reader { rest: bytes, depth: limits.depth, items: limits.items };
    let item = reader.item()?;
    if reader.rest.is_empty() { Ok(item) } else { Err(Malformed::Trailing) }
}

/// How many bytes follow a message's header.
pub(super) fn message_length(header: &[u8; HEADER], limits: &Limits) -> Result<usize, Malformed> {
    let Header { tag, kind, length } = Header::read(header);
    if kind != STRUCTURE {
        return Err(Malformed::NoMessage(tag, kind));
    }
    let fits = |length: &usize| length.checked_add(HEADER).is_some_and(|all| all <= limits.bytes);
    usize::try_from(length).ok().filter(fits).ok_or(Malformed::Length(tag, length))
}

struct Header {
    tag: Tag,
    kind: u8,
    length: u32,
}

impl Header {
    fn read(&[t1, t2, t3, kind, l1, l2, l3, l4]: &[u8; HEADER]) -> Self {
        let tag = Tag(u32::from_be_bytes([0, t1, t2, t3]));
        Self { tag, kind, length: u32::from_be_bytes([l1, l2, l3, l4]) }
    }
}

/// What is left of a message, and of what it may hold.
struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
    items: usize,
}

impl<'a> Reader<'a> {
    fn item(&mut self) -> Result<Item, Malformed> {
        self.items = self.items.checked_sub(1).ok_or(Malformed::Items)?;
        let (header, rest) = self.rest.split_first_chunk().ok_or(Malformed::Cut)?;
        self.rest = rest;
        let header = Header::read(header);
        let body = self.body(&header)?;
        let value = if header.kind == STRUCTURE { self.structure(body)? } else { scalar(&header, body)? };
        Ok(Item { tag: header.tag, value })
    }

    /// The value's bytes; skips those that fill it up to a multiple of eight.
    fn body(&mut self, header: &Header) -> Result<&'a [u8], Malformed> {
        let too_long = || Malformed::Length(header.tag, header.length);
        let length = usize::try_from(header.length).map_err(|_| too_long())?;
        let padded = length.checked_next_multiple_of(8).ok_or_else(too_long)?;
        let (body, rest) = self.rest.split_at_checked(padded).ok_or_else(too_long)?;
        self.rest = rest;
        body.get(..length).ok_or_else(too_long)
    }

    fn structure(&mut self, body: &'a [u8]) -> Result<Value, Malformed> {
        let depth = self.depth.checked_sub(1).ok_or(Malformed::Depth)?;
        let mut inner = Reader { rest: body, depth, items: self.items };
        let mut items = Vec::new();
        while !inner.rest.is_empty() {
            items.push(inner.item()?);
        }
        self.items = inner.items;
        Ok(Value::Structure(items))
    }
}

fn scalar(header: &Header, body: &[u8]) -> Result<Value, Malformed> {
    let wrong = || Malformed::Value(header.tag, header.kind);
    let four = || body.try_into().map_err(|_| wrong());
    let eight = || body.try_into().map_err(|_| wrong());
    Ok(match header.kind {
        INTEGER => Value::Integer(i32::from_be_bytes(four()?)),
        LONG_INTEGER => Value::LongInteger(i64::from_be_bytes(eight()?)),
        BIG_INTEGER if !body.is_empty() && body.len().is_multiple_of(8) => {
            Value::BigInteger(SecretBytes::new(body.to_vec()))
        }
        BIG_INTEGER => return Err(wrong()),
        ENUMERATION => Value::Enumeration(u32::from_be_bytes(four()?)),
        BOOLEAN => match u64::from_be_bytes(eight()?) {
            0 => Value::Boolean(false),
            1 => Value::Boolean(true),
            _ => return Err(wrong()),
        },
        TEXT => Value::Text(std::str::from_utf8(body).map_err(|_| wrong())?.to_owned()),
        BYTES => Value::Bytes(SecretBytes::new(body.to_vec())),
        DATE_TIME => Value::DateTime(i64::from_be_bytes(eight()?)),
        INTERVAL => Value::Interval(u32::from_be_bytes(four()?)),
        kind => return Err(Malformed::Type(header.tag, kind)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::write;
    use super::*;

    const LIMITS: Limits = Limits { bytes: 4096, depth: 4, items: 16 };

    fn message(items: Vec<Item>) -> Vec<u8> {
        write(&Item { tag: Tag(0x42_007B), value: Value::Structure(items) }).to_vec()
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    type Example = (&'static str, fn(&Value) -> bool);

    /// The examples of KMIP 1.4, section 9.1.2.
    #[test]
    fn the_standard_s_examples_are_read_and_written() {
        let cases: [Example; 9] = [
            ("42002002 00000004 00000008 00000000", |value| matches!(value, Value::Integer(8))),
            ("42002003 00000008 01B69B4BA5749200", |value| matches!(value, Value::LongInteger(0x01B6_9B4B_A574_9200))),
            (
                "42002004 00000010 0000000003FD35EB 6BC2DF4618080000",
                |value| matches!(value, Value::BigInteger(number) if number.len() == 16),
            ),
            ("42002005 00000004 000000FF 00000000", |value| matches!(value, Value::Enumeration(255))),
            ("42002006 00000008 0000000000000001", |value| matches!(value, Value::Boolean(true))),
            (
                "42002007 0000000B 48656C6C6F20576F 726C640000000000",
                |value| matches!(value, Value::Text(text) if text == "Hello World"),
            ),
            (
                "42002008 00000003 0102030000000000",
                |value| matches!(value, Value::Bytes(bytes) if bytes.expose() == [1, 2, 3]),
            ),
            ("42002009 00000008 0000000047DA67F8", |value| matches!(value, Value::DateTime(0x47DA_67F8))),
            ("4200200A 00000004 000D2F00 00000000", |value| matches!(value, Value::Interval(0x000D_2F00))),
        ];
        for (text, is_value) in cases {
            let example = hex(text);
            let length = u32::try_from(example.len()).unwrap();
            let bytes = [&[0x42, 0, 0x20, 1][..], &length.to_be_bytes(), &example].concat();
            let item = parse(&bytes, &LIMITS).unwrap();
            assert!(matches!(&item.value, Value::Structure(items) if is_value(&items[0].value)), "{text}");
            assert_eq!(write(&item)[..], bytes, "{text}");
        }
    }

    #[test]
    fn lengths_are_believed_within_the_limits_only() {
        for length in [4089, 1 << 20, u32::MAX] {
            let header = [&[0x42, 0, 0x7B, 1][..], &u32::to_be_bytes(length)].concat();
            assert!(matches!(parse(&header, &LIMITS), Err(Malformed::Length(..))), "{length}");
        }
        for length in [9, u32::MAX - 3, u32::MAX] {
            let mut bytes = message(vec![Item { tag: Tag(0x42_0094), value: Value::Text("12345678".to_owned()) }]);
            bytes[12..16].copy_from_slice(&length.to_be_bytes());
            assert!(matches!(parse(&bytes, &LIMITS), Err(Malformed::Length(..))), "{length}");
        }
    }

    #[test]
    fn depth_and_number_of_items_are_limited() {
        let nested = |depth: usize| {
            (0..depth).fold(Vec::new(), |inner, _| vec![Item { tag: Tag(1), value: Value::Structure(inner) }])
        };
        assert!(parse(&message(nested(3)), &LIMITS).is_ok());
        assert!(matches!(parse(&message(nested(4)), &LIMITS), Err(Malformed::Depth)));
        let many = |count| (0..count).map(|_| Item { tag: Tag(1), value: Value::Integer(1) }).collect();
        assert!(parse(&message(many(15)), &LIMITS).is_ok());
        assert!(matches!(parse(&message(many(16)), &LIMITS), Err(Malformed::Items)));
    }

    #[test]
    fn what_is_cut_or_has_a_tail_is_refused() {
        let whole = message(vec![Item { tag: Tag(0x42_0094), value: Value::Text("1".to_owned()) }]);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length], &LIMITS).is_err(), "{length}");
        }
        assert!(matches!(parse(&[whole, vec![0]].concat(), &LIMITS), Err(Malformed::Trailing)));
    }

    #[test]
    fn impossible_values_are_refused() {
        for text in ["42002002 00000003 00000800 00000000", "42002006 00000008 0000000000000002", "4200200B 00000000"] {
            let example = hex(text);
            let length = u8::try_from(example.len()).unwrap();
            let bytes = [&[0x42, 0, 0x20, 1, 0, 0, 0, length][..], &example].concat();
            assert!(matches!(parse(&bytes, &LIMITS), Err(Malformed::Value(..) | Malformed::Type(..))), "{text}");
        }
    }
}
