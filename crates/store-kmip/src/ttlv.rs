//! TTLV, KMIP's encoding (KMIP 1.4, section 9.1): items of a tag, a type, a length and a value.
//!
//! What a server sends is believed only within [`Limits`]: length, depth and number of items are checked before
//! anything is allocated for them, so that whatever arrives costs a bounded amount of memory and stack. Values that
//! may be keys are wiped when they are dropped.

mod parse;
mod write;

use std::fmt;

use bailey_core::sensitive::SecretBytes;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use zeroize::Zeroizing;

pub use parse::parse;
pub use write::write;

/// Bytes of tag, type and length, which every item begins with.
pub const HEADER: usize = 8;

/// What an item means: three bytes, `42xxxx` for those of the standard.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub u32);

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06X}", self.0)
    }
}

/// A tag and its value.
#[derive(Debug)]
pub struct Item {
    /// What it means.
    pub tag: Tag,
    /// What it says.
    pub value: Value,
}

/// What an item says.
#[derive(Debug)]
pub enum Value {
    /// Items in their order.
    Structure(Vec<Item>),
    /// 32 bits.
    Integer(i32),
    /// 64 bits.
    LongInteger(i64),
    /// Two's complement, big-endian, of a multiple of eight bytes.
    BigInteger(SecretBytes),
    /// One of a list that vendors may extend.
    Enumeration(u32),
    /// True or false.
    Boolean(bool),
    /// UTF-8.
    Text(String),
    /// Any bytes; keys among them.
    Bytes(SecretBytes),
    /// Seconds since 1970.
    DateTime(i64),
    /// Seconds.
    Interval(u32),
}

/// What is accepted of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message, its header included.
    pub bytes: usize,
    /// Structures within each other.
    pub depth: usize,
    /// Items of a message, structures included.
    pub items: usize,
}

impl Limits {
    /// For answers about payloads of up to `payload` bytes. Answers are some seven structures deep; the most items
    /// come with `Locate`, one for each identifier.
    #[must_use]
    pub const fn for_payloads(payload: usize) -> Self {
        Self { bytes: payload.saturating_add(1 << 16), depth: 16, items: 4096 }
    }
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The connection failed or ended.
    #[error("read an answer")]
    Io(#[from] std::io::Error),
    /// It ends where an item should begin.
    #[error("the message is cut off")]
    Cut,
    /// An item announces more bytes than there may be or are.
    #[error("item {0:?} announces {1} bytes, which don't fit")]
    Length(Tag, u32),
    /// A message is a structure.
    #[error("item {0:?} of type {1} is no message")]
    NoMessage(Tag, u8),
    /// No such type.
    #[error("item {0:?} has the unknown type {1}")]
    Type(Tag, u8),
    /// The value can't be of its type.
    #[error("item {0:?} has no value of its type {1}")]
    Value(Tag, u8),
    /// Structures within structures, too many.
    #[error("structures are nested too deeply")]
    Depth,
    /// Too many items.
    #[error("there are too many items")]
    Items,
    /// There are bytes after the message.
    #[error("bytes follow the message")]
    Trailing,
}

/// Reads one message and nothing after it.
///
/// # Errors
/// When the connection fails, or what comes is no message within `limits`. Where the next message begins is unknown
/// then: the connection can't be used again.
pub async fn read_message<R>(reader: &mut R, limits: &Limits) -> Result<Item, Malformed>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let mut header = [0; HEADER];
    reader.read_exact(&mut header).await?;
    let length = parse::message_length(&header, limits)?;
    let mut message = Zeroizing::new(vec![0; HEADER + length]);
    let (head, body) = message.split_at_mut(HEADER);
    head.copy_from_slice(&header);
    reader.read_exact(body).await?;
    parse(&message, limits)
}
