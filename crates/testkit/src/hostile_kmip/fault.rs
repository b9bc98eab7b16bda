//! What goes wrong with an answer.

use std::io::{Read, Result, Write};
use std::time::Duration;

use super::node::{
    Body, CERTIFICATE_VALUE, ENUMERATION, HEADER, KEY_MATERIAL, Node, OPAQUE_VALUE, OPERATION,
    PRIVATE_KEY_UNIQUE_IDENTIFIER, RESPONSE_PAYLOAD, RESULT_MESSAGE, RESULT_REASON, RESULT_STATUS, TEXT,
    UNIQUE_BATCH_ITEM_ID, UNIQUE_IDENTIFIER, nested,
};

/// A tag, a type and a number that no version of KMIP has.
const UNKNOWN_TAG: u32 = 0x42_FFFE;
const UNKNOWN_TYPE: u8 = 0x2F;
const UNKNOWN_NUMBER: u32 = 0x7FFF_FFFE;
/// What names an object; of a key pair, its private key.
const IDENTIFIERS: [u32; 2] = [UNIQUE_IDENTIFIER, PRIVATE_KEY_UNIQUE_IDENTIFIER];
/// General Failure (KMIP 1.4, section 9.1.3.2.29).
const GENERAL_FAILURE: u32 = 0x100;

/// What goes wrong with an answer. The server has done by then what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It comes so much later.
    Delay(Duration),
    /// It comes when the next question on the connection does, before that one's answer.
    Late,
    /// It never comes.
    Silence,
    /// It comes byte by byte, with so much between them.
    Trickle(Duration),
    /// The connection ends after so many hundredths of it.
    Cut(usize),
    /// Nothing comes any more after so many hundredths of it.
    Stall(usize),
    /// It is no TTLV.
    Garbage,
    /// The message announces so many bytes. Zeros follow until they are there, or nobody takes them any more.
    Length(u32),
    /// The value in its middle announces so many bytes.
    InnerLength(u32),
    /// The server is asked about another object, and that is what it answers.
    OtherObject,
    /// The same, under the identifier of the object that the client asked about.
    OtherObjectInSecret,
    /// It names another object than the one it is about.
    OtherId,
    /// It names another operation than the one that was asked for.
    OtherOperation,
    /// A bit of the value in its middle is another one.
    Corrupt,
    /// It says something more, under a tag that nobody knows.
    MoreTags,
    /// What it is all about has a tag that nobody knows.
    UnknownTag,
    /// The value in its middle has a type that nobody knows.
    UnknownType,
    /// All enumerations in what it is about, or else the status, are numbers that nobody knows.
    UnknownEnumeration,
    /// What it is about is structures within each other, so many.
    Nested(usize),
    /// It says nothing but this status: 1 failed, 2 pending, 3 undone.
    Status(u32),
}

impl Fault {
    /// What it makes of the item of a question that it is about: `other` is an object that this isn't about.
    pub(super) fn ask(self, question: &mut Node, other: &str) {
        if matches!(self, Self::OtherObject | Self::OtherObjectInSecret) {
            rename(question, other);
        }
    }

    /// What it makes of the item of an answer that it is about: the client asked about the object `asked`.
    pub(super) fn alter(self, answer: &mut Node, asked: &str, other: &str) {
        match self {
            Self::InnerLength(length) => change(middle(answer), |node| node.told_length = Some(length)),
            Self::OtherObjectInSecret => rename(answer, asked),
            Self::OtherId => rename(answer, other),
            Self::OtherOperation => change(answer.find_mut(OPERATION), |node| {
                let is_get = node.body == Body::Bytes(vec![0, 0, 0, 10]);
                node.body = Body::Bytes(vec![0, 0, 0, if is_get { 8 } else { 10 }]);
            }),
            Self::Corrupt => change(middle(answer), |node| {
                if let Body::Bytes(bytes) = &mut node.body
                    && let Some(last) = bytes.last_mut()
                {
                    *last ^= 1;
                }
            }),
            Self::MoreTags => change(answer.find_mut(RESPONSE_PAYLOAD), |node| {
                if let Body::Nodes(nodes) = &mut node.body {
                    nodes.push(Node::value(UNKNOWN_TAG, TEXT, *b"more"));
                }
            }),
            Self::UnknownTag => change(answer.find_mut(RESPONSE_PAYLOAD), |node| node.tag = UNKNOWN_TAG),
            Self::UnknownType => change(middle(answer), |node| node.kind = UNKNOWN_TYPE),
            Self::UnknownEnumeration => unknown_enumerations(answer),
            Self::Nested(depth) => change(answer.find_mut(RESPONSE_PAYLOAD), |node| {
                node.body = Body::Bytes(nested(RESPONSE_PAYLOAD, depth));
            }),
            Self::Status(status) => say(answer, status),
            _ => {}
        }
    }

    /// Sends the answer; whether the connection goes on.
    pub(super) fn send(self, client: &mut (impl Read + Write), answer: &[u8]) -> Result<bool> {
        let hundredths = |part: usize| &answer[..answer.len() * part / 100];
        match self {
            Self::Silence => wait_for_end(client)?,
            Self::Cut(part) => send(client, hundredths(part))?,
            Self::Stall(part) => {
                send(client, hundredths(part))?;
                wait_for_end(client)?;
            }
            Self::Length(length) => send_announced(client, answer, length)?,
            Self::Garbage => send(client, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")?,
            Self::Delay(time) => {
                std::thread::sleep(time);
                send(client, answer)?;
                return Ok(true);
            }
            Self::Trickle(pause) => {
                for byte in answer {
                    send(client, &[*byte])?;
                    std::thread::sleep(pause);
                }
                return Ok(true);
            }
            _ => {
                send(client, answer)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Sends at once.
pub(super) fn send(client: &mut impl Write, bytes: &[u8]) -> Result<()> {
    client.write_all(bytes)?;
    client.flush()
}

fn wait_for_end(client: &mut impl Read) -> Result<()> {
    let mut some = [0; 1024];
    while client.read(&mut some)? > 0 {}
    Ok(())
}

fn send_announced(client: &mut (impl Read + Write), answer: &[u8], length: u32) -> Result<()> {
    let (head, body) = answer.split_at(HEADER);
    send(client, &[&head[..4], &length.to_be_bytes()].concat())?;
    let announced = usize::try_from(length).unwrap_or(usize::MAX);
    send(client, &body[..body.len().min(announced)])?;
    let mut left = announced.saturating_sub(body.len());
    let zeros = vec![0; 1 << 16];
    while left > 0 {
        let now = left.min(zeros.len());
        send(client, &zeros[..now])?;
        left -= now;
    }
    wait_for_end(client)
}

fn change(node: Option<&mut Node>, change: impl FnOnce(&mut Node)) {
    if let Some(node) = node {
        change(node);
    }
}

/// The bytes that the message is there to carry; where there are none, what it is about, or how it went.
fn middle(answer: &mut Node) -> Option<&mut Node> {
    let bytes = [KEY_MATERIAL, OPAQUE_VALUE, CERTIFICATE_VALUE];
    let tag =
        bytes.into_iter().chain(IDENTIFIERS).chain([RESULT_STATUS]).find(|tag| answer.find_mut(*tag).is_some())?;
    answer.find_mut(tag)
}

fn rename(message: &mut Node, id: &str) {
    for tag in IDENTIFIERS {
        change(message.find_mut(tag), |node| node.body = Body::Bytes(id.as_bytes().to_vec()));
    }
}

fn unknown_enumerations(answer: &mut Node) {
    let unknown = || Body::Bytes(UNKNOWN_NUMBER.to_be_bytes().to_vec());
    let mut is_done = false;
    change(answer.find_mut(RESPONSE_PAYLOAD), |payload| {
        each_mut(payload, &mut |node| {
            if node.kind == ENUMERATION {
                (node.body, is_done) = (unknown(), true);
            }
        });
    });
    if !is_done {
        change(answer.find_mut(RESULT_STATUS), |node| node.body = unknown());
    }
}

fn each_mut(node: &mut Node, visit: &mut impl FnMut(&mut Node)) {
    visit(node);
    if let Body::Nodes(nodes) = &mut node.body {
        nodes.iter_mut().for_each(|node| each_mut(node, visit));
    }
}

/// Leaves of the item what it answers, and says how that went.
fn say(item: &mut Node, status: u32) {
    let Body::Nodes(nodes) = &mut item.body else { return };
    nodes.retain(|node| [OPERATION, UNIQUE_BATCH_ITEM_ID].contains(&node.tag));
    nodes.push(Node::value(RESULT_STATUS, ENUMERATION, status.to_be_bytes()));
    nodes.push(Node::value(RESULT_REASON, ENUMERATION, GENERAL_FAILURE.to_be_bytes()));
    nodes.push(Node::value(RESULT_MESSAGE, TEXT, *b"told so by a test"));
}

#[cfg(test)]
mod tests {
    use super::super::node::{BATCH_ITEM, STRUCTURE};
    use super::*;

    fn structure(tag: u32, nodes: Vec<Node>) -> Node {
        Node { tag, kind: STRUCTURE, told_length: None, body: Body::Nodes(nodes) }
    }

    fn number(tag: u32, number: u32) -> Node {
        Node::value(tag, ENUMERATION, number.to_be_bytes())
    }

    /// To a Get of an opaque object.
    fn answer() -> Node {
        let object =
            structure(0x42_005B, vec![number(0x42_0059, 0x8000_0000), Node::value(OPAQUE_VALUE, 8, *b"bytes")]);
        let id = Node::value(UNIQUE_IDENTIFIER, TEXT, *b"17");
        let payload = structure(RESPONSE_PAYLOAD, vec![number(0x42_0057, 8), id, object]);
        let item = structure(BATCH_ITEM, vec![number(OPERATION, 10), number(RESULT_STATUS, 0), payload]);
        structure(0x42_007B, vec![structure(0x42_007A, Vec::new()), item])
    }

    fn altered(fault: Fault) -> Node {
        let mut altered = answer();
        fault.alter(altered.item_mut(10).unwrap(), "19", "18");
        altered
    }

    #[test]
    fn each_alteration_changes_what_is_said() {
        let alterations = [
            Fault::InnerLength(u32::MAX),
            Fault::OtherObjectInSecret,
            Fault::OtherId,
            Fault::OtherOperation,
            Fault::Corrupt,
            Fault::MoreTags,
            Fault::UnknownTag,
            Fault::UnknownType,
            Fault::UnknownEnumeration,
            Fault::Nested(10_000),
            Fault::Status(3),
        ];
        for fault in alterations {
            assert_ne!(altered(fault).to_bytes(), answer().to_bytes(), "{fault:?}");
        }
        let undone = altered(Fault::Status(3));
        assert_eq!((undone.enumerations(OPERATION), undone.enumerations(RESULT_STATUS)), (vec![10], vec![3]));
        assert_eq!(undone.texts(UNIQUE_IDENTIFIER), Vec::<String>::new());
    }

    #[test]
    fn what_is_sent_is_cut_or_as_long_as_it_says() {
        let whole = answer().to_bytes();
        let sent = |fault: Fault| {
            let mut client = Client::default();
            let goes_on = fault.send(&mut client, &whole).unwrap();
            (client.0, goes_on)
        };
        assert_eq!(sent(Fault::OtherId), (whole.clone(), true));
        assert_eq!(sent(Fault::Trickle(Duration::ZERO)), (whole.clone(), true));
        assert_eq!(sent(Fault::Cut(50)), (whole[..whole.len() / 2].to_vec(), false));
        assert_eq!(sent(Fault::Silence), (Vec::new(), false));
        let (longer, _) = sent(Fault::Length(1 << 20));
        assert_eq!((longer.len(), &longer[4..8]), (HEADER + (1 << 20), [0, 16, 0, 0].as_slice()));
        assert_eq!(sent(Fault::Length(8)).0.len(), HEADER + 8);
    }

    /// Says nothing, and keeps what it is sent.
    #[derive(Default)]
    struct Client(Vec<u8>);

    impl Read for Client {
        fn read(&mut self, _: &mut [u8]) -> Result<usize> {
            Ok(0)
        }
    }

    impl Write for Client {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }
}
