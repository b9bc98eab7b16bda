//! What NATS carries, whoever put it there, and the key files that make it readable.

use std::sync::LazyLock;

use bailey_core::access::{Call, Credentials, Message};
use bailey_core::failure::{Failure, Parsed};
use bailey_core::ids::{MessageId, RequestId, SecretId};
use bailey_core::request::{
    CheckHealth, CreateContainer, CreateOrder, CreateSecret, GetPayload, GetSecret, Identify, ListContainers,
    ListOrders, ListSecrets, ListTransportKeys, PayloadForm, PutPayload, Request,
};
use bailey_core::secret::{NewSecret, Payload};
use bailey_core::spec::{ContentType, SecretType, Spec};
use bailey_queue::codec::{Asked, Heard, Told, decode, encode};
use bailey_queue::keys::{ApiKeys, WorkerKeys};
use bailey_queue::seal::{Direction, Head, Letter, Openers, Sealer, reply_frame, split_reply};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;

use crate::fixture::{PLAINTEXT, id, texts};

const REPLY_TO: &str = "bailey.replies.process.message";

fn worker_keys() -> WorkerKeys {
    let [private, psk] = [5, 6].map(|fill| STANDARD.encode([fill; 32]));
    let line = format!("0193a5c0-1111-7aaa-8bbb-0123456789ab active private:{private} psk:{psk}");
    WorkerKeys::parse(&line).expect("keys")
}

/// A request as an API sends it, and the letter that opens its reply.
fn sent() -> (Letter, Vec<u8>) {
    let deadline = DateTime::from_timestamp_millis(1_900_000_000_123).expect("a time");
    let message = Message { id: MessageId::from([7; 16]), deadline };
    let sealer = Sealer::new(&worker_keys().for_api().expect("keys")).expect("a secret");
    let (letter, head) = sealer.letter(message, "secret.get.v1", REPLY_TO.to_owned());
    let frame = letter.seal(Direction::Request, head, PLAINTEXT).expect("a frame");
    (letter, frame)
}

/// A request: its head is written as it was read, and what was sealed comes out of it, or nothing.
pub fn request(frame: &[u8]) -> bool {
    static KEYS: LazyLock<WorkerKeys> = LazyLock::new(worker_keys);
    static OPENERS: LazyLock<Openers> = LazyLock::new(Openers::default);
    let Ok((head, sealed)) = Head::split(frame) else { return false };
    assert_eq!([head.to_bytes().as_slice(), sealed].concat(), frame, "two frames that mean the same");
    let Ok((_, plaintext)) = OPENERS.open(&KEYS, head, REPLY_TO, sealed) else { return false };
    assert_eq!(plaintext.as_slice(), PLAINTEXT, "something that was never sealed");
    true
}

/// What a corpus of requests begins with.
pub fn request_seeds() -> Vec<Vec<u8>> {
    let (_, frame) = sent();
    let (unknown, nameless, cut) = ([&[2], &frame[1..]].concat(), with_name(&frame, 0), with_name(&frame, 255));
    vec![frame, unknown, nameless, cut]
}

/// The same frame with another length of the operation's name.
fn with_name(frame: &[u8], length: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[73] = length;
    frame
}

/// A reply: its message is the one it names, and what was sealed comes out of it, or nothing. Nobody has the secret
/// of a letter but its API, so that none of a corpus opens.
pub fn reply(frame: &[u8]) -> bool {
    static LETTER: LazyLock<Letter> = LazyLock::new(|| sent().0);
    let Ok((message, sealed)) = split_reply(frame) else { return false };
    assert_eq!([reply_frame(message).as_slice(), sealed].concat(), frame, "two frames that mean the same");
    assert!(LETTER.open(Direction::Reply, sealed).is_err(), "something that was never sealed");
    true
}

/// What a corpus of replies begins with.
pub fn reply_seeds() -> Vec<Vec<u8>> {
    let (letter, _) = sent();
    let head = reply_frame(MessageId::from([7; 16]));
    let frame = letter.seal(Direction::Reply, head.clone(), PLAINTEXT).expect("a frame");
    let (unknown, cut) = ([&[2], &frame[1..]].concat(), frame[..16].to_vec());
    vec![frame, unknown, cut, head]
}

/// What may be in a message, by the first byte of an input. More comes at the end: corpora stay what they are.
const CONTENTS: [fn(&[u8]) -> bool; 24] = [
    asked::<Identify>,
    told::<Identify>,
    asked::<CreateSecret>,
    told::<CreateSecret>,
    asked::<PutPayload>,
    asked::<GetSecret>,
    told::<GetSecret>,
    asked::<GetPayload>,
    told::<GetPayload>,
    asked::<ListSecrets>,
    told::<ListSecrets>,
    asked::<CreateContainer>,
    told::<CreateContainer>,
    asked::<ListContainers>,
    told::<ListContainers>,
    asked::<CreateOrder>,
    told::<CreateOrder>,
    asked::<ListOrders>,
    told::<ListOrders>,
    asked::<ListTransportKeys>,
    told::<ListTransportKeys>,
    asked::<CheckHealth>,
    told::<CheckHealth>,
    told::<PutPayload>,
];

fn asked<R: Request>(bytes: &[u8]) -> bool {
    let written = |heard: Heard<R>| {
        let asked = Asked { call: &heard.call, request: &heard.request };
        encode(&asked).expect("what is read can be written")
    };
    let Ok(heard) = decode(bytes) else { return false };
    let once = written(heard);
    let again = written(decode(&once).expect("what is written can be read"));
    assert_eq!(once, again);
    true
}

fn told<R: Request>(bytes: &[u8]) -> bool {
    let written = |told: Told<R::Reply>| encode(&told).expect("what is read can be written");
    let Ok(told) = decode(bytes) else { return false };
    let once = written(told);
    let again = written(decode(&once).expect("what is written can be read"));
    assert_eq!(once, again);
    true
}

/// An opened message: what is read is written so that it is read again as the same.
pub fn content(bytes: &[u8]) -> bool {
    let Some((&kind, content)) = bytes.split_first() else { return false };
    CONTENTS.get(usize::from(kind)).is_some_and(|read| read(content))
}

/// What a corpus of messages begins with.
pub fn content_seeds() -> Vec<Vec<u8>> {
    let text = || Payload { content_type: ContentType::TextPlain, bytes: b"a payload".to_vec().into() };
    let secret = NewSecret {
        name: Some("greeting".to_owned()),
        secret_type: SecretType::Passphrase,
        spec: Spec { algorithm: Some("aes".to_owned()), bit_length: Some(256), mode: None },
        expires_at: Some(DateTime::UNIX_EPOCH),
        payload: Some(text().into()),
        transport_key_needed: false,
    };
    let id = || Parsed::Valid(id::<SecretId>(30));
    vec![
        question(0, &Identify {}),
        message(1, &Told::<()>::Working),
        message(1, &Told::<()>::Failed(Failure::not_found("gone"))),
        question(2, &CreateSecret { secret: Parsed::Valid(secret), idempotency: Parsed::Valid(None) }),
        question(4, &PutPayload { id: id(), payload: Parsed::Complaint(Failure::invalid("nothing")) }),
        question(5, &GetSecret { id: id(), with_consumers: true, with_transport_key: Parsed::Valid(false) }),
        question(7, &GetPayload { id: id(), form: Parsed::Valid(PayloadForm::As(ContentType::Pkcs8)) }),
        message(8, &Told::Done(text())),
        // An array that announces 2^32 - 1 items, within arrays.
        vec![10, 0x91, 0x91, 0x91, 0xdd, 0xff, 0xff, 0xff, 0xff],
        vec![u8::MAX],
    ]
}

fn question<R: Request>(kind: u8, request: &R) -> Vec<u8> {
    let call = Call::new(Credentials::default(), RequestId::new());
    message(kind, &Asked { call: &call, request })
}

fn message(kind: u8, content: &impl serde::Serialize) -> Vec<u8> {
    [&[kind], encode(content).expect("MessagePack").as_slice()].concat()
}

/// A key file of either kind: what is read is written so that it is read again as the same.
pub fn keys(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (worker, api) = (WorkerKeys::parse(text), ApiKeys::parse(text));
    assert!(worker.is_err() || api.is_err(), "a key file of both kinds");
    if let Ok(keys) = &worker {
        let again = WorkerKeys::parse(keys.to_text().expose()).expect("what is written is read");
        assert_eq!(again.to_text().expose(), keys.to_text().expose());
        assert!(keys.for_api().is_ok());
    }
    if let Ok(keys) = &api {
        let again = ApiKeys::parse(keys.to_text().expose()).expect("what is written is read");
        assert_eq!(again.to_text().expose(), keys.to_text().expose());
    }
    worker.is_ok() || api.is_ok()
}

/// What a corpus of key files begins with.
pub fn keys_seeds() -> Vec<Vec<u8>> {
    let worker = worker_keys();
    let api = worker.for_api().expect("keys");
    let (worker, api) = (worker.to_text(), api.to_text());
    let accepted = worker.expose().replace(" active ", " accepted ");
    let twice = [worker.expose(), worker.expose()].concat();
    texts(&[worker.expose(), api.expose(), &accepted, &twice, "# nothing\n"])
}
