#![allow(clippy::unwrap_used)]

use super::*;

fn bytes(bytes: &[u8]) -> SecretBytes {
    SecretBytes::new(bytes.to_vec())
}

fn spec(algorithm: &str, bit_length: Option<i32>) -> Spec {
    Spec { algorithm: Some(algorithm.to_owned()), bit_length, mode: None }
}

/// SubjectPublicKeyInfo of P-256, from RFC 5480's form.
fn public_key() -> Vec<u8> {
    let head = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
        0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    [&head[..], &[7; 64]].concat()
}

#[test]
fn shapes_are_read_as_they_were_written() {
    let mut shapes = 0;
    for kind in 0..=u8::MAX {
        for outer in 0..=u8::MAX {
            if let Some(shape) = Shape::from_bytes([kind, outer]) {
                assert_eq!(shape.to_bytes(), [kind, outer]);
                shapes += 1;
            }
        }
    }
    assert_eq!(shapes, 11);
}

#[test]
fn symmetric_keys_fit_algorithm_and_size() {
    for (spec, length, is_typed) in [
        (spec("AES", Some(256)), 32, true),
        (spec("aes", None), 16, true),
        (spec("aes", Some(128)), 32, false),
        (spec("aes", None), 17, false),
        (spec("des", None), 8, true),
        (spec("des", None), 7, false),
        (spec("DESede", Some(192)), 24, true),
        (spec("hmacsha256", None), 20, true),
        (spec("camellia", Some(256)), 32, false),
        (Spec::default(), 32, false),
    ] {
        let object = Object::of(SecretType::Symmetric, &spec, &bytes(&vec![7; length]));
        assert_eq!(object.shape == Shape::SYMMETRIC, is_typed, "{spec:?}");
    }
}

#[test]
fn what_is_in_pem_comes_back_in_it() {
    let der = public_key();
    let pem = pem::encode_string("PUBLIC KEY", LineEnding::LF, &der).unwrap();
    for (payload, outer) in [(der.as_slice(), Outer::Nothing), (pem.as_bytes(), Outer::Pem)] {
        let object = Object::of(SecretType::Public, &Spec::default(), &bytes(payload));
        assert_eq!(object.shape, Shape { kind: Kind::Public, outer });
        assert_eq!(object.key, Some(KeySpec { algorithm: algorithm::ECDSA, bits: 256 }));
        assert_eq!(object.value.expose(), der);
        assert_eq!(object.shape.payload(object.value).unwrap().expose(), payload);
    }
}

#[test]
fn pem_that_would_come_back_otherwise_stays_as_it_is() {
    let pem = pem::encode_string("PUBLIC KEY", LineEnding::LF, &public_key()).unwrap();
    let others = [
        pem.replace('\n', "\r\n"),
        pem.trim_end().to_owned(),
        pem.replace("PUBLIC KEY", "EC PUBLIC KEY"),
        pem.clone() + &pem,
        format!("# a key\n{pem}"),
    ];
    for payload in others {
        let object = Object::of(SecretType::Public, &Spec::default(), &bytes(payload.as_bytes()));
        assert_eq!(object.shape, Shape::OPAQUE, "{payload}");
        assert_eq!(object.value.expose(), payload.as_bytes());
    }
}

#[test]
fn objects_are_read_as_they_were_written() {
    use crate::message::{Fields, enumeration, structure, tag};
    for kind in [Kind::Opaque, Kind::Symmetric, Kind::Password, Kind::Certificate, Kind::Public, Kind::Private] {
        let shape = Shape { kind, outer: Outer::Nothing };
        let written = write(Object { shape, value: bytes(b"bytes"), key: None });
        let answer = structure(tag::RESPONSE_PAYLOAD, vec![enumeration(tag::OBJECT_TYPE, object_type(kind)), written]);
        let mut fields = Fields::of(answer, tag::RESPONSE_PAYLOAD).unwrap();
        assert_eq!(read(&mut fields, shape).unwrap().expose(), b"bytes");
        assert!(read(&mut fields, shape).is_err(), "there is nothing left");
    }
}
