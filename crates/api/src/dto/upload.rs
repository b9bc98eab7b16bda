//! A payload that follows its secret, from the body of `PUT /v1/secrets/{id}`.

use bailey_core::failure::{Failure, Parsed};
use bailey_core::secret::Payload;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::ContentType;

use crate::dto::base64;
use crate::extract::body::{Body, too_large, unexpected_type};
use crate::extract::params::Params;

/// Reads the body, which is the payload itself. What is wrong with its encoding is an inner
/// complaint: a secret that has a payload already is told first.
///
/// # Errors
/// In this order: `UnsupportedMedia`, `Invalid` for an empty body, `TooLarge`.
pub fn read(body: Body, params: &Params) -> Result<Parsed<Payload>, Failure> {
    let content_type = match body.media_type.as_str() {
        "application/octet-stream" => ContentType::OctetStream,
        "text/plain" => ContentType::TextPlain,
        _ => return Err(unexpected_type("['application/octet-stream', 'text/plain']")),
    };
    let bytes = body.bytes?;
    if bytes.is_empty() {
        return Err(Failure::invalid("The body is empty; it must be the payload"));
    }
    if bytes.len() > body.limits.payload {
        return Err(too_large());
    }
    let encoding = body.encoding.as_deref().filter(|_| content_type == ContentType::OctetStream);
    let decoded = refuse_transport_key(params).and_then(|()| decode(bytes, encoding));
    Ok(decoded.map(|bytes| Payload { content_type, bytes }).into())
}

fn decode(bytes: SecretBytes, encoding: Option<&str>) -> Result<SecretBytes, Failure> {
    match encoding {
        None => Ok(bytes),
        Some("base64") => {
            base64::decode(bytes.expose()).ok_or_else(|| Failure::invalid("The body is not base64 of anything"))
        }
        Some(_) => Err(Failure::invalid("The content encoding must be base64, or absent")),
    }
}

fn refuse_transport_key(params: &Params) -> Result<(), Failure> {
    match params.one("transport_key_id")? {
        Some(_) => Err(Failure::invalid("There is no such transport key")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::failure::FailureKind;

    use super::*;
    use crate::config::Limits;

    fn upload(media_type: &str, encoding: Option<&str>, bytes: &[u8], query: &str) -> Result<Parsed<Payload>, Failure> {
        let body = Body {
            media_type: media_type.into(),
            encoding: encoding.map(str::to_owned),
            bytes: Ok(SecretBytes::new(bytes.to_vec())),
            limits: Limits::default(),
        };
        read(body, &Params::read(query))
    }

    #[test]
    fn good_uploads_are_taken_as_they_are_or_decoded() {
        let (text, octets) = ("text/plain", "application/octet-stream");
        let good = |media_type: &str, encoding: Option<&str>, bytes: &[u8], expected: &[u8]| {
            let payload = upload(media_type, encoding, bytes, "").unwrap().accept().unwrap();
            assert_eq!(payload.bytes.expose(), expected, "{media_type} {encoding:?}");
        };
        good(text, None, b" a ", b" a ");
        good(text, None, b"\xff\x00", b"\xff\x00");
        good(text, Some("gzip"), b"YQ==", b"YQ==");
        good(octets, None, b"\x00\xff", b"\x00\xff");
        good(octets, None, b"YQ==", b"YQ==");
        good(octets, Some("base64"), b"YWJj\nZA==", b"abcd");
    }

    #[test]
    fn bad_uploads_are_refused_in_order() {
        let octets = "application/octet-stream";
        let big = vec![b'a'; 20_001];
        let bad = |media_type: &str, encoding: Option<&str>, bytes: &[u8], kind: FailureKind| {
            let failure = upload(media_type, encoding, bytes, "").unwrap_err();
            assert_eq!(failure.kind, kind, "{media_type} {encoding:?}");
        };
        bad("", None, b"", FailureKind::UnsupportedMedia);
        bad("application/json", None, &big, FailureKind::UnsupportedMedia);
        bad("application/pkcs8", None, b"x", FailureKind::UnsupportedMedia);
        bad(octets, Some("gzip"), b"", FailureKind::Invalid);
        bad(octets, Some("gzip"), &big, FailureKind::TooLarge);
    }

    #[test]
    fn a_bad_encoding_is_an_inner_complaint() {
        let octets = "application/octet-stream";
        for (encoding, query) in [("gzip", ""), ("binary", ""), ("base64", ""), ("", "transport_key_id=1")] {
            let encoding = Some(encoding).filter(|encoding| !encoding.is_empty());
            let failure = upload(octets, encoding, b"!!!!", query).unwrap().accept().unwrap_err();
            assert_eq!(failure.kind, FailureKind::Invalid, "{encoding:?} {query}");
        }
    }
}
