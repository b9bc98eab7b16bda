//! How secrets cross the queue: as bytes, in formats that no human reads.
//!
//! For `#[serde(with = "wire")]` on a field of a request or a reply. Whatever is sealed before it leaves
//! the process is such a format; JSON, and with it logs and rows, is not, so a secret can't get there.

use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::{SecretBytes, SecretText};

/// What [`serialize`] and [`deserialize`] take.
pub trait OnWire: Sized {
    /// The bytes, if there are any.
    fn bytes(&self) -> Option<&[u8]>;

    /// What the bytes stand for; `None` when they stand for nothing.
    fn read(bytes: Option<SecretBytes>) -> Option<Self>;
}

impl OnWire for SecretBytes {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self.expose())
    }

    fn read(bytes: Option<SecretBytes>) -> Option<Self> {
        bytes
    }
}

impl OnWire for SecretText {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self.expose().as_bytes())
    }

    fn read(bytes: Option<SecretBytes>) -> Option<Self> {
        let SecretBytes(mut bytes) = bytes?;
        // Refused text is still a secret: it is wiped as well.
        let text = String::from_utf8(std::mem::take(&mut *bytes));
        text.map_err(|error| drop(Zeroizing::new(error.into_bytes()))).ok().map(Self::new)
    }
}

impl<const N: usize> OnWire for [u8; N] {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }

    fn read(bytes: Option<SecretBytes>) -> Option<Self> {
        bytes?.expose().try_into().ok()
    }
}

impl<T: OnWire> OnWire for Option<T> {
    fn bytes(&self) -> Option<&[u8]> {
        self.as_ref()?.bytes()
    }

    fn read(bytes: Option<SecretBytes>) -> Option<Self> {
        match bytes {
            Some(bytes) => T::read(Some(bytes)).map(Some),
            None => Some(None),
        }
    }
}

const REFUSED: &str = "secrets are not written where they can be read";

/// Writes the bytes.
///
/// # Errors
/// For formats that are made for humans.
pub fn serialize<T: OnWire, S: Serializer>(secret: &T, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return Err(S::Error::custom(REFUSED));
    }
    secret.bytes().map(Bytes).serialize(serializer)
}

/// Reads what [`serialize`] wrote into memory that is wiped.
///
/// # Errors
/// For formats that are made for humans, and when it isn't that.
pub fn deserialize<'de, T: OnWire, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    if deserializer.is_human_readable() {
        return Err(D::Error::custom(REFUSED));
    }
    let read = Option::<Owned>::deserialize(deserializer)?.map(|Owned(bytes)| bytes);
    T::read(read).ok_or_else(|| D::Error::custom("not the secret that is expected here"))
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

struct Owned(SecretBytes);

impl<'de> Deserialize<'de> for Owned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Owned;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Owned, E> {
                Ok(Owned(SecretBytes::new(bytes.to_vec())))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Owned, E> {
                Ok(Owned(SecretBytes::new(bytes)))
            }
        }

        deserializer.deserialize_bytes(Reader)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Held {
        #[serde(with = "super")]
        bytes: SecretBytes,
        #[serde(default, with = "super")]
        text: Option<SecretText>,
        #[serde(with = "super")]
        array: [u8; 3],
    }

    #[test]
    fn what_is_written_is_read() {
        for text in [None, Some("päron".to_owned())] {
            let held = Held { bytes: vec![0, 255, 7].into(), text: text.clone().map(Into::into), array: [1, 2, 3] };
            let read: Held = rmp_serde::from_slice(&rmp_serde::to_vec_named(&held).unwrap()).unwrap();
            assert_eq!(read.bytes.expose(), [0, 255, 7]);
            assert_eq!(read.text.as_ref().map(SecretText::expose), text.as_deref());
            assert_eq!(read.array, [1, 2, 3]);
        }
    }

    #[test]
    fn formats_for_humans_are_refused_both_ways() {
        let held = Held { bytes: b"canary".to_vec().into(), text: Some("canary".to_owned().into()), array: [0; 3] };
        let error = serde_json::to_string(&held).unwrap_err().to_string();
        assert_eq!(error, REFUSED);
        let error = serde_json::from_str::<Held>(r#"{"bytes": [1], "array": [1, 2, 3]}"#).unwrap_err().to_string();
        assert!(error.contains(REFUSED), "{error}");
    }

    #[test]
    fn what_is_no_secret_of_this_kind_is_refused() {
        #[derive(Serialize)]
        struct Sent {
            #[serde(with = "super")]
            bytes: SecretBytes,
            #[serde(with = "super")]
            text: SecretBytes,
            #[serde(with = "super")]
            array: [u8; 2],
        }
        let sent = |text: &[u8]| Sent { bytes: vec![1].into(), text: text.to_vec().into(), array: [1, 2] };
        for text in [b"\xff".as_slice(), b"good"] {
            let sent = rmp_serde::to_vec_named(&sent(text)).unwrap();
            assert!(rmp_serde::from_slice::<Held>(&sent).is_err());
        }
    }
}
