//! Requests and replies as MessagePack with the names of fields, in memory that is wiped.

use std::io;

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What an API asks.
#[derive(Serialize)]
pub(crate) struct Asked<'a, R> {
    pub(crate) call: &'a Call,
    pub(crate) request: &'a R,
}

/// The same, as a worker hears it.
#[derive(Deserialize)]
pub(crate) struct Heard<R> {
    pub(crate) call: Call,
    pub(crate) request: R,
}

/// What a worker tells: any number of times that it is at it, then how it ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Told<T> {
    /// The request is being worked on.
    Working,
    /// The reply.
    Done(T),
    /// Why there is none.
    Failed(Failure),
}

/// Encoded bytes: plaintext, wiped when dropped.
pub(crate) type Encoded = Zeroizing<Vec<u8>>;

/// Encodes a value.
///
/// # Errors
/// When the value can't be written in this format, which is a fault of its type.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Encoded, rmp_serde::encode::Error> {
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
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
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
