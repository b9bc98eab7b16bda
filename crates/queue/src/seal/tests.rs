#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bailey_core::ids::MessageId;
use chrono::{DateTime, Utc};

use super::context::{Openers, Sealer, Sealers};
use super::*;
use crate::keys::WorkerKeys;

const REPLY_TO: &str = "bailey.replies.a.b";

fn message() -> Message {
    let deadline = DateTime::<Utc>::from_timestamp_millis(1_900_000_000_123).unwrap();
    Message { id: MessageId::from([7; 16]), deadline }
}

struct Sent {
    keys: WorkerKeys,
    letter: Letter,
    frame: Vec<u8>,
}

fn sent(plaintext: &[u8]) -> Sent {
    let keys = WorkerKeys::generate().unwrap();
    let sealer = Sealer::new(&keys.for_api().unwrap()).unwrap();
    let (letter, head) = sealer.letter(message(), "secret.get.v1", REPLY_TO.to_owned());
    let frame = letter.seal(Direction::Request, head, plaintext).unwrap();
    Sent { keys, letter, frame }
}

fn open(keys: &WorkerKeys, frame: &[u8], reply_to: &str) -> Result<(Letter, Encoded), Rejection> {
    let (head, sealed) = Head::split(frame)?;
    Openers::default().open(keys, head, reply_to, sealed)
}

#[test]
fn a_worker_opens_what_an_api_asks_and_the_api_what_it_answers() {
    let Sent { keys, letter, frame } = sent(b"question");
    assert!(!frame.windows(8).any(|part| part == b"question"));
    let (opened, plaintext) = open(&keys, &frame, REPLY_TO).unwrap();
    assert_eq!(
        (plaintext.as_slice(), opened.name.as_str(), opened.message),
        (b"question".as_slice(), "secret.get.v1", message())
    );

    let reply = opened.seal(Direction::Reply, reply_frame(opened.message.id), b"answer").unwrap();
    let (id, sealed) = split_reply(&reply).unwrap();
    assert_eq!(id, message().id);
    assert_eq!(letter.open(Direction::Reply, sealed).unwrap().as_slice(), b"answer");
    assert_eq!(letter.open(Direction::Request, sealed).unwrap_err(), Rejection::NotAuthentic, "another direction");
}

#[test]
fn no_byte_of_a_request_can_be_changed() {
    let Sent { keys, frame, .. } = sent(b"question");
    for index in 0..frame.len() {
        let mut altered = frame.clone();
        altered[index] ^= 1;
        assert!(open(&keys, &altered, REPLY_TO).is_err(), "byte {index}");
    }
    for length in 0..frame.len() {
        assert!(open(&keys, &frame[..length], REPLY_TO).is_err(), "{length} bytes");
    }
    assert!(open(&keys, &[frame.as_slice(), b"x"].concat(), REPLY_TO).is_err());
    assert_eq!(open(&keys, &frame, "bailey.replies.a.c").unwrap_err(), Rejection::NotAuthentic, "to somebody else");
}

#[test]
fn no_byte_of_a_reply_can_be_changed() {
    let Sent { keys, letter, frame } = sent(b"question");
    let (opened, _) = open(&keys, &frame, REPLY_TO).unwrap();
    let reply = opened.seal(Direction::Reply, Vec::new(), b"answer").unwrap();
    for index in 0..reply.len() {
        let mut altered = reply.clone();
        altered[index] ^= 1;
        assert_eq!(letter.open(Direction::Reply, &altered).unwrap_err(), Rejection::NotAuthentic, "byte {index}");
    }
}

#[test]
fn only_who_has_both_keys_is_heard() {
    let Sent { keys, frame, .. } = sent(b"question");
    let others = WorkerKeys::generate().unwrap();
    assert_eq!(open(&others, &frame, REPLY_TO).unwrap_err(), Rejection::UnknownKey);

    // The same version with another pre-shared key, then with another private key.
    let (ours, theirs) = (keys.to_text(), others.to_text());
    let words = |text: &str| text.lines().last().unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (ours, theirs) = (words(ours.expose()), words(theirs.expose()));
    for mixed in [[&ours[0], &ours[1], &ours[2], &theirs[3]], [&ours[0], &ours[1], &theirs[2], &ours[3]]] {
        let mixed = WorkerKeys::parse(&mixed.map(String::as_str).join(" ")).unwrap();
        assert_eq!(open(&mixed, &frame, REPLY_TO).unwrap_err(), Rejection::NotAuthentic);
    }
}

#[test]
fn each_message_has_keys_of_its_own() {
    let keys = WorkerKeys::generate().unwrap();
    let sealer = Sealer::new(&keys.for_api().unwrap()).unwrap();
    let other = Message { id: MessageId::from([8; 16]), ..message() };
    let (letter, head) = sealer.letter(message(), "n", REPLY_TO.to_owned());
    let (other, _) = sealer.letter(other, "n", REPLY_TO.to_owned());
    let frame = letter.seal(Direction::Request, head.clone(), b"question").unwrap();
    assert_eq!(other.open(Direction::Request, &frame[head.len()..]).unwrap_err(), Rejection::NotAuthentic);
}

#[test]
fn a_sealer_lasts_until_another_version_is_active() {
    let mut keys = WorkerKeys::generate().unwrap();
    let sealers = Sealers::default();
    let first = sealers.current(&keys.for_api().unwrap()).unwrap();
    assert!(Arc::ptr_eq(&first, &sealers.current(&keys.for_api().unwrap()).unwrap()));
    let id = keys.add().unwrap();
    assert!(Arc::ptr_eq(&first, &sealers.current(&keys.for_api().unwrap()).unwrap()));
    keys.activate(id).unwrap();
    let second = sealers.current(&keys.for_api().unwrap()).unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
}

#[test]
fn a_worker_keeps_only_secrets_of_those_who_have_the_keys() {
    let Sent { keys, frame, .. } = sent(b"question");
    let openers = Openers::default();
    let open = |frame: &[u8]| {
        let (head, sealed) = Head::split(frame).unwrap();
        openers.open(&keys, head, REPLY_TO, sealed).map(drop)
    };
    let mut altered = frame.clone();
    *altered.last_mut().unwrap() ^= 1;
    assert!(open(&altered).is_err());
    assert_eq!(openers.count(), 0);
    open(&frame).unwrap();
    assert_eq!(openers.count(), 1);
}
