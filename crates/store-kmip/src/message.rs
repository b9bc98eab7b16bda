//! Requests and answers (KMIP 1.4, section 7), in the subset that a secret store needs.

pub(crate) mod tag;

use bailey_core::sensitive::SecretBytes;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::Fault;
use crate::ttlv::{Item, Limits, Tag, Value, write};

/// A version of the protocol. Compared by major, then minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: i32,
    pub(crate) minor: i32,
}

/// What is asked (KMIP 1.4, section 9.1.3.2.27).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Operation {
    Create = 0x01,
    CreateKeyPair = 0x02,
    Register = 0x03,
    Locate = 0x08,
    Get = 0x0A,
    GetAttributes = 0x0B,
    Activate = 0x12,
    Revoke = 0x13,
    Destroy = 0x14,
    Query = 0x18,
    DiscoverVersions = 0x1E,
}

impl Operation {
    /// As errors name it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create key",
            Self::CreateKeyPair => "create key pair",
            Self::Register => "register object",
            Self::Locate => "locate objects",
            Self::Get => "get object",
            Self::GetAttributes => "get attributes",
            Self::Activate => "activate object",
            Self::Revoke => "revoke object",
            Self::Destroy => "destroy object",
            Self::Query => "query server",
            Self::DiscoverVersions => "discover versions",
        }
    }
}

/// One operation with its payload.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) operation: Operation,
    pub(crate) payload: Vec<Item>,
}

/// What a server does with the operations after one that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum AfterFailure {
    Continue = 1,
    Stop = 2,
}

/// A message, encoded: it may be sent again.
pub(crate) struct Message {
    bytes: Zeroizing<Vec<u8>>,
    asked: Vec<(Operation, [u8; 16])>,
    /// What is accepted as its answer.
    pub(crate) limits: Limits,
}

impl Message {
    /// Encodes operations that a server does in this order.
    pub(crate) fn new(version: Version, requests: Vec<Request>, after: AfterFailure, limits: Limits) -> Self {
        let asked: Vec<_> = requests.iter().map(|request| (request.operation, Uuid::new_v4().into_bytes())).collect();
        let count = i32::try_from(requests.len()).unwrap_or(i32::MAX);
        let mut header = vec![structure(
            tag::PROTOCOL_VERSION,
            vec![
                integer(tag::PROTOCOL_VERSION_MAJOR, version.major),
                integer(tag::PROTOCOL_VERSION_MINOR, version.minor),
            ],
        )];
        if requests.len() > 1 {
            header.push(enumeration(tag::BATCH_ERROR_CONTINUATION_OPTION, after as u32));
            header.push(Item { tag: tag::BATCH_ORDER_OPTION, value: Value::Boolean(true) });
        }
        header.push(integer(tag::BATCH_COUNT, count));
        let mut items = vec![structure(tag::REQUEST_HEADER, header)];
        items.extend(requests.into_iter().zip(&asked).map(|(request, (operation, id))| {
            structure(
                tag::BATCH_ITEM,
                vec![
                    enumeration(tag::OPERATION, *operation as u32),
                    bytes(tag::UNIQUE_BATCH_ITEM_ID, id.to_vec().into()),
                    structure(tag::REQUEST_PAYLOAD, request.payload),
                ],
            )
        }));
        Self { bytes: write(&structure(tag::REQUEST_MESSAGE, items)), asked, limits }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a server has a key pair to draw for it, which may take a while.
    pub(crate) fn makes_key_pair(&self) -> bool {
        self.asked.iter().any(|(operation, _)| *operation == Operation::CreateKeyPair)
    }

    /// What a server says to it: as many outcomes as there are operations, fewer if one of them failed.
    ///
    /// Each must name the operation that was asked and carry its id, which no other message has: a late answer to
    /// another question is refused.
    ///
    /// # Errors
    /// When it is no answer to this message.
    pub(crate) fn read_answer(&self, answer: Item) -> Result<Vec<Outcome>, Fault> {
        let mut message = Fields::of(answer, tag::RESPONSE_MESSAGE)?;
        message.take(tag::RESPONSE_HEADER).ok_or(Fault::Protocol("an answer without header"))?;
        let mut outcomes = Vec::with_capacity(self.asked.len());
        for (index, item) in message.0.into_iter().enumerate() {
            let asked = self.asked.get(index).ok_or(Fault::Protocol("more answers than questions"))?;
            outcomes.push(outcome(Fields::of(item, tag::BATCH_ITEM)?, asked)?);
        }
        let is_whole = outcomes.len() == self.asked.len();
        if is_whole || outcomes.iter().any(Result::is_err) {
            Ok(outcomes)
        } else {
            Err(Fault::Protocol("fewer answers than questions"))
        }
    }
}

/// What came of one operation.
pub(crate) type Outcome = Result<Fields, Refusal>;

/// A server's word that it didn't do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) operation: Operation,
    pub(crate) reason: Option<u32>,
}

fn outcome(mut item: Fields, asked: &(Operation, [u8; 16])) -> Result<Outcome, Fault> {
    let (operation, id) = *asked;
    let named = item.take_enumeration(tag::OPERATION)?;
    let answered = item.take_bytes(tag::UNIQUE_BATCH_ITEM_ID)?;
    let status = item.take_enumeration(tag::RESULT_STATUS)?.ok_or(Fault::Protocol("an answer without status"))?;
    let reason = item.take_enumeration(tag::RESULT_REASON)?;
    let is_ours = named == Some(operation as u32) && answered.as_ref().is_some_and(|answered| answered.expose() == id);
    match status {
        SUCCESS if is_ours => match item.take(tag::RESPONSE_PAYLOAD) {
            Some(payload) => Ok(Ok(Fields::of(payload, tag::RESPONSE_PAYLOAD)?)),
            // An empty payload may be left out.
            None => Ok(Ok(Fields(Vec::new()))),
        },
        // A message that was refused as a whole is answered by one item that names nothing.
        FAILED if is_ours || (named.is_none() && answered.is_none()) => Ok(Err(Refusal { operation, reason })),
        SUCCESS | FAILED => Err(Fault::Protocol("an answer to another question")),
        PENDING => Err(Fault::Protocol("an answer that is to come later")),
        UNDONE => Err(Fault::Protocol("an operation was undone")),
        _ => Err(Fault::Protocol("an answer with an unknown status")),
    }
}

const SUCCESS: u32 = 0;
const FAILED: u32 = 1;
const PENDING: u32 = 2;
const UNDONE: u32 = 3;

/// The items of a structure, to be taken out one by one. What nobody asks for is ignored.
#[derive(Debug)]
pub(crate) struct Fields(Vec<Item>);

impl Fields {
    /// The items of `item`, which must be this structure.
    pub(crate) fn of(item: Item, expected: Tag) -> Result<Self, Fault> {
        match item {
            Item { tag, value: Value::Structure(items) } if tag == expected => Ok(Self(items)),
            _ => Err(Fault::Protocol("an answer of another form")),
        }
    }

    /// The first item with this tag.
    pub(crate) fn take(&mut self, tag: Tag) -> Option<Item> {
        let index = self.0.iter().position(|item| item.tag == tag)?;
        Some(self.0.remove(index))
    }

    pub(crate) fn take_fields(&mut self, tag: Tag) -> Result<Option<Self>, Fault> {
        self.take(tag).map(|item| Self::of(item, tag)).transpose()
    }

    pub(crate) fn take_text(&mut self, tag: Tag) -> Result<Option<String>, Fault> {
        match self.take(tag).map(|item| item.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Fault::Protocol("a value of another type")),
        }
    }

    pub(crate) fn take_bytes(&mut self, tag: Tag) -> Result<Option<SecretBytes>, Fault> {
        match self.take(tag).map(|item| item.value) {
            None => Ok(None),
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            Some(_) => Err(Fault::Protocol("a value of another type")),
        }
    }

    pub(crate) fn take_enumeration(&mut self, tag: Tag) -> Result<Option<u32>, Fault> {
        match self.take(tag).map(|item| item.value) {
            None => Ok(None),
            Some(Value::Enumeration(number)) => Ok(Some(number)),
            Some(_) => Err(Fault::Protocol("a value of another type")),
        }
    }

    pub(crate) fn take_integer(&mut self, tag: Tag) -> Result<Option<i32>, Fault> {
        match self.take(tag).map(|item| item.value) {
            None => Ok(None),
            Some(Value::Integer(number)) => Ok(Some(number)),
            Some(_) => Err(Fault::Protocol("a value of another type")),
        }
    }

    /// The identifiers of all objects that are named.
    pub(crate) fn take_ids(&mut self) -> Result<Vec<String>, Fault> {
        // Not one by one: there may be very many.
        let ids = std::mem::take(&mut self.0).into_iter().filter(|item| item.tag == tag::UNIQUE_IDENTIFIER);
        ids.map(|item| match item.value {
            Value::Text(id) if is_id(&id) => Ok(id),
            _ => Err(Fault::Protocol("a value of another type")),
        })
        .collect()
    }

    /// The identifier of one of several new objects.
    pub(crate) fn take_id_of(&mut self, tag: Tag) -> Result<String, Fault> {
        let id = self.take_text(tag)?.filter(|id| is_id(id));
        id.ok_or(Fault::Protocol("an answer about no object"))
    }

    /// The identifier of an object; which one, if it is known.
    pub(crate) fn take_id(&mut self, expected: Option<&str>) -> Result<String, Fault> {
        match (self.take_text(tag::UNIQUE_IDENTIFIER)?, expected) {
            (Some(id), None) if is_id(&id) => Ok(id),
            (Some(id), Some(expected)) if id == expected => Ok(id),
            (Some(_), Some(_)) => Err(Fault::Protocol("an answer about another object")),
            _ => Err(Fault::Protocol("an answer about no object")),
        }
    }
}

/// Whether a text can be an object's identifier. An empty one would mean the object of the last operation.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) && !text.contains(char::is_control)
}

/// Servers use numbers or UUIDs.
const LONGEST_ID: usize = 255;

pub(crate) const fn structure(tag: Tag, items: Vec<Item>) -> Item {
    Item { tag, value: Value::Structure(items) }
}

pub(crate) const fn integer(tag: Tag, number: i32) -> Item {
    Item { tag, value: Value::Integer(number) }
}

pub(crate) const fn enumeration(tag: Tag, number: u32) -> Item {
    Item { tag, value: Value::Enumeration(number) }
}

pub(crate) fn text(tag: Tag, text: impl Into<String>) -> Item {
    Item { tag, value: Value::Text(text.into()) }
}

pub(crate) const fn bytes(tag: Tag, bytes: SecretBytes) -> Item {
    Item { tag, value: Value::Bytes(bytes) }
}

/// An attribute with its value (KMIP 1.4, section 2.1.1).
pub(crate) fn attribute(name: &str, value: Value) -> Item {
    structure(tag::ATTRIBUTE, vec![text(tag::ATTRIBUTE_NAME, name), Item { tag: tag::ATTRIBUTE_VALUE, value }])
}

/// A request about one object.
pub(crate) fn about(operation: Operation, id: &str) -> Request {
    Request { operation, payload: vec![text(tag::UNIQUE_IDENTIFIER, id)] }
}

#[cfg(test)]
mod tests;
