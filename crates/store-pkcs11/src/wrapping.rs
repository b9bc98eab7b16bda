//! The bytes of a wrapped KEK: how it was wrapped, the wrapped keys, and what authenticates all of it.

use bailey_core::crypto::KekContext;
use bailey_core::ids::MasterKeyId;

use crate::config::PayloadMechanism;
use crate::mechanism::WrapMechanism;

/// First byte of every wrapped KEK.
const VERSION: u8 = 1;
/// Length of HMAC-SHA-256 in bytes.
pub(crate) const TAG: usize = 32;

/// A wrapped KEK, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapping {
    pub(crate) wrap: WrapMechanism,
    pub(crate) payload: PayloadMechanism,
    /// The encryption key and, where payloads have one, their MAC key.
    pub(crate) keys: Vec<WrappedKey>,
    pub(crate) tag: Vec<u8>,
}

/// One key with the IV it was wrapped with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrappedKey {
    pub(crate) iv: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

impl Wrapping {
    /// Reads what [`bytes`](Self::bytes) wrote; `None` when it is nothing like that.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [version, wrap, payload, rest @ ..] = bytes else { return None };
        let wrap = WrapMechanism::ALL.into_iter().find(|mechanism| mechanism.code() == *wrap)?;
        let payload = PayloadMechanism::ALL.into_iter().find(|mechanism| mechanism.code() == *payload)?;
        let mut rest = rest;
        let mut keys = Vec::new();
        for _ in 0..payload.keys() {
            let (iv, after) = rest.split_at_checked(wrap.iv_length())?;
            let (length, after) = after.split_first()?;
            let (bytes, after) = after.split_at_checked(usize::from(*length))?;
            keys.push(WrappedKey { iv: iv.to_vec(), bytes: bytes.to_vec() });
            rest = after;
        }
        (*version == VERSION && rest.len() == TAG).then(|| Self { wrap, payload, keys, tag: rest.to_vec() })
    }

    /// The bytes that are stored; `None` when a token wrapped a key into more than 255 of them.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![VERSION, self.wrap.code(), self.payload.code()];
        for key in &self.keys {
            bytes.extend_from_slice(&key.iv);
            bytes.push(u8::try_from(key.bytes.len()).ok()?);
            bytes.extend_from_slice(&key.bytes);
        }
        bytes.extend_from_slice(&self.tag);
        Some(bytes)
    }

    /// What the HMAC is over.
    pub(crate) fn authenticated(&self, context: &KekContext, mkek: MasterKeyId) -> Vec<u8> {
        let mechanism = format!("{}/{}", self.wrap.as_str(), self.payload.as_str());
        let ivs = self.keys.iter().flat_map(|key| key.iv.iter().copied()).collect::<Vec<_>>();
        let start = context.associated_data(mkek, &mechanism, &ivs);
        let whole = self.keys.iter().fold(start, |input, key| input.field(&key.bytes));
        whole.as_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn wrapping(wrap: WrapMechanism, payload: PayloadMechanism) -> Wrapping {
        let key = |fill: u8| WrappedKey { iv: vec![fill; wrap.iv_length()], bytes: vec![fill; 40] };
        let keys = (1..).map(key).take(payload.keys()).collect();
        Wrapping { wrap, payload, keys, tag: vec![9; TAG] }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        for wrap in WrapMechanism::ALL {
            for payload in PayloadMechanism::ALL {
                let wrapping = wrapping(wrap, payload);
                let bytes = wrapping.bytes().unwrap();
                assert_eq!(Wrapping::read(&bytes), Some(wrapping));
                for length in 0..bytes.len() {
                    assert_eq!(Wrapping::read(&bytes[..length]), None, "{length}");
                }
                assert_eq!(Wrapping::read(&[bytes.as_slice(), &[0]].concat()), None);
                assert_eq!(Wrapping::read(&[&[2], &bytes[1..]].concat()), None);
            }
        }
    }
}
