//! Requests and replies as MessagePack with the names of fields, in memory that is wiped.

use std::io;

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What an API asks.
#[derive(Serialize)]
pub struct Asked<'a, R> {
    pub call: &'a Call,
    pub request: &'a R,
}

/// The same, as a worker hears it.
#[derive(Deserialize)]
pub struct Heard<R> {
    pub call: Call,
    pub request: R,
}

/// What a worker tells: any number of times that it is at it, then how it ended.
#[derive(Debug, Serialize, Deserialize)]
pub enum Told<T> {
    /// The request is being worked on.
    Working,
    /// The reply.
    Done(T),
    /// Why there is none.
    Failed(Failure),
}

/// Encoded bytes: plaintext, wiped when dropped.
pub type Encoded = Zeroizing<Vec<u8>>;

/// Encodes a value.
///
/// # Errors
/// When the value can't be written in this format, which is a fault of its type.
pub fn encode<T: Serialize>(value: &T) -> Result<Encoded, rmp_serde::encode::Error> {
    // Memory that is outgrown is not wiped, so the length has to be known before.
    let mut length = Length(0);
    rmp_serde::encode::write_named(&mut length, value)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
    rmp_serde::encode::write_named(&mut *bytes, value)?;
    Ok(bytes)
}

/// Reads what [`encode`] wrote, here or in another version of Bailey.
///
/// # Errors
/// When it is something else.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::access::Credentials;
    use bailey_core::failure::FailureKind;
    use bailey_core::ids::{RequestId, SecretId};
    use bailey_core::request::GetMetadatum;
    use bailey_core::secret::Secret;

    use super::*;

    /// A request as another version of Bailey may write it.
    #[derive(Serialize)]
    struct OtherCall<'a> {
        credentials: &'a Credentials,
        request_id: &'a RequestId,
        lately_added: Option<u32>,
    }

    #[derive(Serialize)]
    struct OtherRequest {
        key: String,
        id: bailey_core::request::SecretPath,
        more: Vec<String>,
    }

    #[test]
    fn fields_of_a_later_version_are_ignored_and_those_of_an_earlier_one_defaulted() {
        let (credentials, request_id) = (Credentials::default(), RequestId::new());
        let call = OtherCall { credentials: &credentials, request_id: &request_id, lately_added: Some(7) };
        let id = bailey_core::failure::Parsed::Valid(SecretId::new());
        let request = OtherRequest { key: "k".to_owned(), id, more: vec!["m".to_owned()] };
        // `trace` of `Call` is missing, `lately_added` and `more` are too much, the order is another.
        #[derive(Serialize)]
        struct Other<'a> {
            request: OtherRequest,
            wholly_new: bool,
            call: OtherCall<'a>,
        }
        let bytes = encode(&Other { request, wholly_new: true, call }).unwrap();
        let heard: Heard<GetMetadatum> = decode(&bytes).unwrap();
        assert_eq!((heard.request.key.as_str(), heard.call.request_id), ("k", request_id));
        assert_eq!((heard.call.trace, heard.call.message), (None, None));
    }

    #[test]
    fn a_failure_of_an_earlier_version_is_read() {
        #[derive(Serialize)]
        struct OtherFailure {
            kind: FailureKind,
            reason: &'static str,
        }
        #[derive(Serialize)]
        enum OtherTold {
            Failed(OtherFailure),
        }
        let bytes = encode(&OtherTold::Failed(OtherFailure { kind: FailureKind::NotFound, reason: "gone" })).unwrap();
        let told = decode::<Told<Secret>>(&bytes).unwrap();
        assert!(matches!(told, Told::Failed(failure) if failure == Failure::not_found("gone")));
    }

    #[test]
    fn encoded_bytes_never_move() {
        let bytes = encode(&"x".repeat(10_000)).unwrap();
        assert_eq!(bytes.capacity(), bytes.len());
    }
}
