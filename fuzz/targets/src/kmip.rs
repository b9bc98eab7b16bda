//! What a KMIP server sends, and references to what it keeps.

use std::sync::LazyLock;

use bailey_core::ids::{DeploymentId, StoreId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{RetrieveRequest, SecretStore as _, StoreErrorKind, StoreReference};
use bailey_store_kmip::ttlv::{self, Item, Limits, Tag, Value};
use bailey_store_kmip::{Config, KmipStore, Marks, Object, Shape};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fixture::{id, place, texts, wait};

/// Small ones, so that fuzzing finds their edges.
const LIMITS: Limits = Limits { bytes: 2048, depth: 8, items: 64 };

/// A message: what is read is within the limits, and is written so that it is read again as the same.
pub fn ttlv(bytes: &[u8]) -> bool {
    let streamed = wait(ttlv::read_message(&mut &bytes[..], &LIMITS));
    let Ok(item) = ttlv::parse(bytes, &LIMITS) else { return false };
    let written = ttlv::write(&item);
    assert!(bytes.len() <= LIMITS.bytes && written.len() == bytes.len(), "it is as long as before");
    let mut items = 0;
    let depth = measure(&item, &mut items);
    assert!(items <= LIMITS.items && depth <= LIMITS.depth, "{items} items, {depth} deep");
    let again = ttlv::parse(&written, &LIMITS).expect("what is written is read");
    assert_eq!(*ttlv::write(&again), *written);
    assert_eq!(*ttlv::write(&streamed.expect("a connection brings the same")), *written);
    true
}

/// How deep structures are within each other; counts items.
fn measure(item: &Item, items: &mut usize) -> usize {
    *items += 1;
    match &item.value {
        Value::Structure(inner) => 1 + inner.iter().map(|item| measure(item, items)).max().unwrap_or_default(),
        _ => 0,
    }
}

/// What a corpus of messages begins with: the answer to a Get, each type of value, and lengths that lie.
pub fn ttlv_seeds() -> Vec<Vec<u8>> {
    let answer = bytes(answer());
    let mut too_long = answer.clone();
    too_long[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut inner_too_long = answer.clone();
    inner_too_long[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
    let nested = |depth: usize| (0..depth).fold(item(1, Value::Integer(1)), |inner, _| structure(1, vec![inner]));
    vec![answer, bytes(each_type()), too_long, inner_too_long, bytes(nested(8)), bytes(nested(9))]
}

/// KMIP 1.4, section 4.11: the answer to a Get of an opaque object.
fn answer() -> Item {
    let version = structure(0x42_0069, vec![item(0x42_006A, Value::Integer(1)), item(0x42_006B, Value::Integer(4))]);
    let time = item(0x42_0092, Value::DateTime(1_900_000_000));
    let header = structure(0x42_007A, vec![version, time, item(0x42_000D, Value::Integer(1))]);
    let object = structure(
        0x42_005B,
        vec![
            item(0x42_0059, Value::Enumeration(0x8000_0000)),
            item(0x42_005A, Value::Bytes(SecretBytes::new(b"a payload".to_vec()))),
        ],
    );
    let payload = structure(
        0x42_007C,
        vec![item(0x42_0057, Value::Enumeration(8)), item(0x42_0094, Value::Text("17".to_owned())), object],
    );
    let operation = item(0x42_005C, Value::Enumeration(10));
    let batch = structure(0x42_000F, vec![operation, item(0x42_007F, Value::Enumeration(0)), payload]);
    structure(0x42_007B, vec![header, batch])
}

fn each_type() -> Item {
    let bytes = |length: u8| SecretBytes::new((0..length).collect());
    let values = [
        Value::Structure(Vec::new()),
        Value::Integer(-1),
        Value::LongInteger(i64::MIN),
        Value::BigInteger(bytes(16)),
        Value::Enumeration(u32::MAX),
        Value::Boolean(true),
        Value::Text("päron".to_owned()),
        Value::Bytes(bytes(9)),
        Value::DateTime(-1),
        Value::Interval(60),
    ];
    structure(1, values.into_iter().map(|value| item(2, value)).collect())
}

const fn item(tag: u32, value: Value) -> Item {
    Item { tag: Tag(tag), value }
}

const fn structure(tag: u32, items: Vec<Item>) -> Item {
    item(tag, Value::Structure(items))
}

fn bytes(item: Item) -> Vec<u8> {
    ttlv::write(&item).to_vec()
}

/// A reference to an object: it is refused before any server is asked, or one is asked. There is none.
pub fn reference(bytes: &[u8]) -> bool {
    static STORE: LazyLock<KmipStore> = LazyLock::new(|| {
        KmipStore::new(id::<DeploymentId>(40), id::<StoreId>(41), "fuzzed".to_owned(), Config::default())
    });
    let (place, reference) = (place(), StoreReference(bytes.to_vec()));
    let error = match wait(STORE.retrieve(RetrieveRequest { place: &place, reference: &reference, verify: true })) {
        Ok(_) => unreachable!("there is no server"),
        Err(error) => error,
    };
    match error.kind {
        StoreErrorKind::Unavailable => true,
        StoreErrorKind::Corrupt => false,
        kind => unreachable!("a reference that is {kind:?}"),
    }
}

/// What a corpus of references begins with: each kind of object, with and without PEM around it.
pub fn reference_seeds() -> Vec<Vec<u8>> {
    let write = place().write.uuid();
    let made = |kind: u8, outer: u8| [&[1, kind, outer], write.as_bytes().as_slice(), &[7; 32], b"42"].concat();
    let mut seeds: Vec<_> = (0..=5).map(|kind| made(kind, 0)).chain((3..=5).map(|kind| made(kind, 1))).collect();
    seeds.extend([made(0, 1), made(6, 0), made(0, 0)[..51].to_vec(), [&[2], &made(0, 0)[1..]].concat()]);
    seeds
}

/// What an object says of its place: what is read is written so that it is read again as the same.
pub fn marks(bytes: &[u8]) -> bool {
    let Some(marks) = std::str::from_utf8(bytes).ok().and_then(Marks::parse) else { return false };
    let written = marks.to_text();
    assert!(written.is_ascii() && !written.contains(char::is_control), "{written:?} is not for every server");
    assert_eq!(Marks::parse(&written), Some(marks), "{written}");
    true
}

/// What a corpus of marks begins with.
pub fn marks_seeds() -> Vec<Vec<u8>> {
    let (store, place) = (id::<StoreId>(41), place());
    let made = |version: u8, shape: &str, code: &str, project: &str| {
        let salt = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM";
        format!("{version} {store} {} {} {shape} {salt} {code} {project}", place.secret, place.write)
    };
    let code = "BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ";
    let seeds = [
        made(1, "0 0", code, "p%C3%A4ron"),
        made(1, "5 1", code, "a%20b%25"),
        made(1, "1 0", "-", "p"),
        made(1, "0 1", code, "p"),
        made(1, "0 0", code, "%00"),
        made(1, "0 0", code, "%ff"),
        made(2, "0 0", code, "p"),
        made(1, "0 0", code, "p q"),
    ];
    texts(&seeds.each_ref().map(String::as_str))
}

/// A payload on its way to a server: whatever object it becomes, the same payload comes of that. Byte 0 says of which
/// type it is; it is taken when the server is told more than that it is opaque.
pub fn object(bytes: &[u8]) -> bool {
    let Some((&kind, payload)) = bytes.split_first() else { return false };
    let Some(secret_type) = SecretType::ALL.get(usize::from(kind)) else { return false };
    let bits = i32::try_from(payload.len() * 8).ok();
    let spec = Spec { algorithm: Some("aes".to_owned()), bit_length: bits, mode: None };
    let object = Object::of(*secret_type, &spec, &SecretBytes::new(payload.to_vec()));
    let is_typed = object.shape != Shape::OPAQUE;
    let again = object.shape.payload(object.value).expect("a payload");
    assert_eq!(again.expose(), payload, "another payload");
    is_typed
}

/// What a corpus of payloads begins with: one of each type that a server knows, in DER and in PEM, and what is nearly
/// one of them.
pub fn object_seeds() -> Vec<Vec<u8>> {
    let (public, private, certificate) = (public_key(), private_key(), certificate());
    let crlf = pem("CERTIFICATE", &certificate, "\r\n");
    let payloads: [(SecretType, Vec<u8>); 12] = [
        (SecretType::Symmetric, vec![7; 32]),
        (SecretType::Symmetric, vec![7; 17]),
        (SecretType::Passphrase, b"correct horse".to_vec()),
        (SecretType::Public, pem("PUBLIC KEY", &public, "\n")),
        (SecretType::Public, pem("EC PUBLIC KEY", &public, "\n")),
        (SecretType::Public, public),
        (SecretType::Private, pem("PRIVATE KEY", &private, "\n")),
        (SecretType::Private, private),
        (SecretType::Certificate, pem("CERTIFICATE", &certificate, "\n")),
        (SecretType::Certificate, certificate),
        (SecretType::Certificate, crlf),
        (SecretType::Opaque, b"anything".to_vec()),
    ];
    let number = |kind| SecretType::ALL.iter().zip(0..).find_map(|(known, number)| (*known == kind).then_some(number));
    payloads.map(|(kind, payload)| [&[number(kind).expect("a type")], payload.as_slice()].concat()).to_vec()
}

/// A key of P-256 (RFC 5480, section 2).
fn public_key() -> Vec<u8> {
    let algorithm = der(0x30, &[&der(6, &[&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1]]), &der(6, &[P_256])]);
    der(0x30, &[&algorithm, &der(3, &[&[0, 4], &[7; 64]])])
}

const P_256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];

/// A key of RSA, in PKCS #8 (RFC 8017, appendix A.1.2); its numbers are none.
fn private_key() -> Vec<u8> {
    let oid = der(6, &[&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1]]);
    let numbers = [&der(2, &[&[0]]), &der(2, &[&[0x00, 0xC1, 7]])];
    let key = der(0x30, &[numbers[0], numbers[1], &der(2, &[&[3]]).repeat(7)]);
    der(0x30, &[&der(2, &[&[0]]), &der(0x30, &[&oid, &der(5, &[])]), &der(4, &[&key])])
}

/// As little as makes a certificate (RFC 5280, section 4.1).
fn certificate() -> Vec<u8> {
    der(0x30, &[&der(0x30, &[]), &der(0x30, &[&der(6, &[P_256])]), &der(3, &[&[0, 1, 2, 3]])])
}

/// A value in DER, of less than 128 bytes.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u8::try_from(body.len()).ok().filter(|length| *length < 128).expect("a short value");
    [&[tag, length], body.as_slice()].concat()
}

fn pem(label: &str, der: &[u8], end: &str) -> Vec<u8> {
    let text = STANDARD.encode(der);
    let lines: String = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + end).collect();
    format!("-----BEGIN {label}-----{end}{lines}-----END {label}-----{end}").into_bytes()
}
