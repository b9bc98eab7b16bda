//! Messages as bytes: what stands before what is sealed.

use bailey_core::access::Message;
use bailey_core::ids::{MessageId, QueueKeyId};
use uuid::Uuid;

use super::{FORMAT, Rejection};

/// Length of an encapsulated key.
pub const ENCAPSULATED: usize = 32;
/// Longest wire name.
const LONGEST_NAME: usize = u8::MAX as usize;

/// What a request says of itself in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The version of the keys.
    pub key: QueueKeyId,
    /// What workers derive the shared secret from.
    pub encapsulated: [u8; ENCAPSULATED],
    pub message: Message,
    /// The wire name.
    pub name: String,
}

impl Head {
    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let name = &self.name.as_bytes()[..self.name.len().min(LONGEST_NAME)];
        let mut bytes = Vec::with_capacity(128);
        bytes.push(FORMAT);
        bytes.extend_from_slice(self.key.uuid().as_bytes());
        bytes.extend_from_slice(&self.encapsulated);
        bytes.extend_from_slice(self.message.id.uuid().as_bytes());
        bytes.extend_from_slice(&self.message.deadline.timestamp_millis().to_be_bytes());
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(name);
        bytes
    }

    /// Reads a request's head; what follows it is sealed.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn split(frame: &[u8]) -> Result<(Self, &[u8]), Rejection> {
        Self::read(frame).ok_or(Rejection::Malformed)
    }

    fn read(frame: &[u8]) -> Option<(Self, &[u8])> {
        let (&[FORMAT], rest) = frame.split_first_chunk()? else { return None };
        let (key, rest) = rest.split_first_chunk::<16>()?;
        let (encapsulated, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (deadline, rest) = rest.split_first_chunk()?;
        let (&[length], rest) = rest.split_first_chunk()?;
        let (name, sealed) = rest.split_at_checked(length.into())?;
        let deadline = chrono::DateTime::from_timestamp_millis(i64::from_be_bytes(*deadline))?;
        let head = Self {
            key: Uuid::from_bytes(*key).into(),
            encapsulated: *encapsulated,
            message: Message { id: MessageId::from(*id), deadline },
            name: std::str::from_utf8(name).ok()?.to_owned(),
        };
        Some((head, sealed))
    }
}

/// What stands before a sealed reply.
pub fn reply_frame(id: MessageId) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(id.uuid().as_bytes());
    bytes
}

/// Reads the start of a reply; what follows it is sealed.
///
/// # Errors
/// `Malformed`.
pub fn split_reply(frame: &[u8]) -> Result<(MessageId, &[u8]), Rejection> {
    let (&[FORMAT], rest) = frame.split_first_chunk().ok_or(Rejection::Malformed)? else {
        return Err(Rejection::Malformed);
    };
    let (id, sealed) = rest.split_first_chunk::<16>().ok_or(Rejection::Malformed)?;
    Ok((MessageId::from(*id), sealed))
}
