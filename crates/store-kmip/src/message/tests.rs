#![allow(clippy::unwrap_used)]

use super::*;
use crate::ttlv::parse;

const LIMITS: Limits = Limits { bytes: 4096, depth: 8, items: 64 };

fn question() -> Message {
    let requests = vec![about(Operation::Get, "1"), about(Operation::GetAttributes, "1")];
    Message::new(Version { major: 1, minor: 4 }, requests, AfterFailure::Stop, LIMITS)
}

/// An answer to one of the operations of `question`.
fn answer(question: &Message, index: usize, status: u32, payload: Vec<Item>) -> Item {
    let (operation, id) = question.asked[index];
    structure(
        tag::BATCH_ITEM,
        vec![
            enumeration(tag::OPERATION, operation as u32),
            bytes(tag::UNIQUE_BATCH_ITEM_ID, id.to_vec().into()),
            enumeration(tag::RESULT_STATUS, status),
            structure(tag::RESPONSE_PAYLOAD, payload),
        ],
    )
}

fn message(items: Vec<Item>) -> Item {
    let header = structure(tag::RESPONSE_HEADER, Vec::new());
    structure(tag::RESPONSE_MESSAGE, std::iter::once(header).chain(items).collect())
}

#[test]
fn a_message_is_what_the_standard_says() {
    let question = question();
    let read = parse(question.bytes(), &LIMITS).unwrap();
    let mut fields = Fields::of(read, tag::REQUEST_MESSAGE).unwrap();
    let mut header = fields.take_fields(tag::REQUEST_HEADER).unwrap().unwrap();
    let mut version = header.take_fields(tag::PROTOCOL_VERSION).unwrap().unwrap();
    assert_eq!(version.take_integer(tag::PROTOCOL_VERSION_MINOR).unwrap(), Some(4));
    assert_eq!(header.take_integer(tag::BATCH_COUNT).unwrap(), Some(2));
    let mut first = fields.take_fields(tag::BATCH_ITEM).unwrap().unwrap();
    assert_eq!(first.take_enumeration(tag::OPERATION).unwrap(), Some(0x0A));
    let mut payload = first.take_fields(tag::REQUEST_PAYLOAD).unwrap().unwrap();
    assert_eq!(payload.take_id(Some("1")).unwrap(), "1");
}

#[test]
fn each_operation_gets_its_own_answer() {
    let question = question();
    let id = || vec![text(tag::UNIQUE_IDENTIFIER, "1")];
    let outcomes = question
        .read_answer(message(vec![answer(&question, 0, SUCCESS, id()), answer(&question, 1, SUCCESS, id())]))
        .unwrap();
    assert!(outcomes.len() == 2 && outcomes.iter().all(Result::is_ok));
    let refused = question.read_answer(message(vec![answer(&question, 0, FAILED, id())])).unwrap();
    assert!(matches!(refused[..], [Err(Refusal { operation: Operation::Get, reason: None })]));
}

#[test]
fn other_answers_are_refused() {
    let (question, other) = (question(), question());
    let good = |index| answer(&question, index, SUCCESS, Vec::new());
    let wrong = [
        ("another message's", vec![answer(&other, 0, SUCCESS, Vec::new()), good(1)]),
        ("swapped", vec![good(1), good(0)]),
        ("too few", vec![good(0)]),
        ("too many", vec![good(0), good(1), good(1)]),
        ("undone", vec![answer(&question, 0, UNDONE, Vec::new()), good(1)]),
        ("pending", vec![answer(&question, 0, PENDING, Vec::new()), good(1)]),
        ("unknown status", vec![answer(&question, 0, 17, Vec::new()), good(1)]),
        ("no items", Vec::new()),
    ];
    for (what, items) in wrong {
        assert!(matches!(question.read_answer(message(items)), Err(Fault::Protocol(_))), "{what}");
    }
    assert!(question.read_answer(structure(tag::REQUEST_MESSAGE, Vec::new())).is_err());
}

#[test]
fn a_message_refused_as_a_whole_names_nothing() {
    let item =
        structure(tag::BATCH_ITEM, vec![enumeration(tag::RESULT_STATUS, FAILED), enumeration(tag::RESULT_REASON, 3)]);
    let outcomes = question().read_answer(message(vec![item])).unwrap();
    assert!(matches!(outcomes[..], [Err(Refusal { reason: Some(3), .. })]));
}

#[test]
fn an_object_is_named_by_what_was_asked_for() {
    let fields = |id: &str| Fields(vec![text(tag::UNIQUE_IDENTIFIER, id)]);
    assert!(fields("1").take_id(Some("1")).is_ok());
    for (id, expected) in [("2", Some("1")), ("", None), ("a\0", None)] {
        assert!(fields(id).take_id(expected).is_err(), "{id:?}");
    }
}
