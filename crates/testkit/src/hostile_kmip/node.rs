//! TTLV as a tree that can be made to say anything, read and written without the code under test.

use anyhow::{Context as _, Result, ensure};

/// Tags of KMIP 1.4, section 9.1.3.1.
pub const BATCH_ITEM: u32 = 0x42_000F;
pub const CERTIFICATE_VALUE: u32 = 0x42_001E;
pub const KEY_MATERIAL: u32 = 0x42_0043;
pub const OPAQUE_VALUE: u32 = 0x42_005A;
pub const OPERATION: u32 = 0x42_005C;
pub const PRIVATE_KEY_UNIQUE_IDENTIFIER: u32 = 0x42_0066;
pub const RESPONSE_PAYLOAD: u32 = 0x42_007C;
pub const RESULT_MESSAGE: u32 = 0x42_007D;
pub const RESULT_REASON: u32 = 0x42_007E;
pub const RESULT_STATUS: u32 = 0x42_007F;
pub const UNIQUE_BATCH_ITEM_ID: u32 = 0x42_0093;
pub const UNIQUE_IDENTIFIER: u32 = 0x42_0094;

/// Types of KMIP 1.4, section 9.1.1.2.
pub const STRUCTURE: u8 = 1;
pub const ENUMERATION: u8 = 5;
pub const TEXT: u8 = 7;

/// Tag, type and length.
pub const HEADER: usize = 8;

/// A tag with what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub tag: u32,
    pub kind: u8,
    /// What is told of the length, if that is a lie.
    pub told_length: Option<u32>,
    pub body: Body,
}

/// What a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Nodes(Vec<Node>),
    /// Also of structures, if they are to be something else than nodes.
    Bytes(Vec<u8>),
}

impl Node {
    /// A value.
    pub fn value(tag: u32, kind: u8, bytes: impl Into<Vec<u8>>) -> Self {
        Self { tag, kind, told_length: None, body: Body::Bytes(bytes.into()) }
    }

    /// Reads a message of an honest peer.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(message: &[u8]) -> Result<Self> {
        let (node, rest) = Self::split(message)?;
        ensure!(rest.is_empty(), "bytes follow the message");
        Ok(node)
    }

    fn split(bytes: &[u8]) -> Result<(Self, &[u8])> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>().context("no header")?;
        let [t1, t2, t3, kind, length @ ..] = *header;
        let length = usize::try_from(u32::from_be_bytes(length))?;
        let (body, rest) = rest.split_at_checked(length.next_multiple_of(8)).context("a value is cut off")?;
        let body = match kind {
            STRUCTURE => Body::Nodes(Self::all(&body[..length])?),
            _ => Body::Bytes(body[..length].to_vec()),
        };
        Ok((Self { tag: u32::from_be_bytes([0, t1, t2, t3]), kind, told_length: None, body }, rest))
    }

    fn all(mut bytes: &[u8]) -> Result<Vec<Self>> {
        let mut nodes = Vec::new();
        while !bytes.is_empty() {
            let (node, rest) = Self::split(bytes)?;
            nodes.push(node);
            bytes = rest;
        }
        Ok(nodes)
    }

    /// The message.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = match &self.body {
            Body::Nodes(nodes) => nodes.iter().flat_map(Self::to_bytes).collect(),
            Body::Bytes(bytes) => bytes.clone(),
        };
        let length = self.told_length.unwrap_or_else(|| u32::try_from(body.len()).unwrap_or(u32::MAX));
        let mut bytes = self.tag.to_be_bytes()[1..].to_vec();
        bytes.push(self.kind);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    /// Every node, this one first, each before what is in it.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        if let Body::Nodes(nodes) = &self.body {
            nodes.iter().for_each(|node| node.walk(visit));
        }
    }

    /// The first node with this tag.
    pub fn find_mut(&mut self, tag: u32) -> Option<&mut Self> {
        if self.tag == tag {
            return Some(self);
        }
        match &mut self.body {
            Body::Nodes(nodes) => nodes.iter_mut().find_map(|node| node.find_mut(tag)),
            Body::Bytes(_) => None,
        }
    }

    /// The part of a message that is about this operation, if there is one.
    pub fn item_mut(&mut self, operation: u32) -> Option<&mut Self> {
        let is_about =
            |node: &&mut Self| node.tag == BATCH_ITEM && node.enumerations(OPERATION).first() == Some(&operation);
        match &mut self.body {
            Body::Nodes(nodes) => nodes.iter_mut().find(is_about),
            Body::Bytes(_) => None,
        }
    }

    /// The numbers of enumerations with this tag.
    pub fn enumerations(&self, tag: u32) -> Vec<u32> {
        let mut numbers = Vec::new();
        self.walk(&mut |node| {
            if let (true, Body::Bytes(bytes)) = (node.tag == tag, &node.body) {
                numbers.extend(bytes.as_slice().try_into().map(u32::from_be_bytes));
            }
        });
        numbers
    }

    /// The texts with this tag.
    pub fn texts(&self, tag: u32) -> Vec<String> {
        let mut texts = Vec::new();
        self.walk(&mut |node| {
            if let (true, Body::Bytes(bytes)) = (node.tag == tag, &node.body) {
                texts.push(String::from_utf8_lossy(bytes).into_owned());
            }
        });
        texts
    }
}

/// The bytes of structures within each other, so many.
pub fn nested(tag: u32, depth: usize) -> Vec<u8> {
    let header = |inner: usize| {
        let length = u32::try_from(inner * HEADER).unwrap_or(u32::MAX);
        [&tag.to_be_bytes()[1..], &[STRUCTURE], &length.to_be_bytes()].concat()
    };
    (0..depth).rev().flat_map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_and_can_lie() {
        let id = Node::value(UNIQUE_IDENTIFIER, TEXT, *b"17");
        let status = Node::value(RESULT_STATUS, ENUMERATION, 3_u32.to_be_bytes());
        let body = Body::Nodes(vec![status, id]);
        let mut message = Node { tag: 0x42_007B, kind: STRUCTURE, told_length: None, body };
        let bytes = message.to_bytes();
        assert_eq!((bytes.len(), &bytes[..HEADER]), (40, [0x42, 0, 0x7B, 1, 0, 0, 0, 32].as_slice()));
        assert_eq!(Node::read(&bytes).unwrap(), message);
        assert_eq!(
            (message.enumerations(RESULT_STATUS), message.texts(UNIQUE_IDENTIFIER)),
            (vec![3], vec!["17".into()])
        );
        message.find_mut(UNIQUE_IDENTIFIER).unwrap().told_length = Some(u32::MAX);
        assert_eq!(message.to_bytes()[28..32], [0xff; 4]);
        assert!(Node::read(&message.to_bytes()).is_err());
    }

    #[test]
    fn structures_are_nested_as_deep_as_asked() {
        let mut node = &Node::read(&nested(1, 3)).unwrap();
        for _ in 0..2 {
            let Body::Nodes(nodes) = &node.body else { panic!("no structure") };
            node = &nodes[0];
        }
        assert_eq!(node.body, Body::Nodes(Vec::new()));
    }
}
