//! A payload that follows its secret, from the body of `PUT /v1/secrets/{id}`.

use bailey_core::failure::{Failure, Parsed};
use bailey_core::ids::TransportKeyId;
use bailey_core::secret::SentPayload;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::ContentType;
use bailey_core::transport_key::WRAPPING;

use crate::dto::base64;
use crate::dto::new_secret::sent;
use crate::extract::body::{Body, too_large, unexpected_type};
use crate::extract::params::Params;

/// Reads the body, which is the payload itself, or what it is wrapped in. What is wrong with its encoding is an inner
/// complaint: a secret that has a payload already is told first.
///
/// # Errors
/// In this order: `UnsupportedMedia`, `Invalid` for an empty body, `TooLarge`.
pub fn read(body: Body, params: &Params) -> Result<Parsed<SentPayload>, Failure> {
    let content_type = match body.media_type.as_str() {
        "application/octet-stream" => ContentType::OctetStream,
        "text/plain" => ContentType::TextPlain,
        _ => return Err(unexpected_type("['application/octet-stream', 'text/plain']")),
    };
    let bytes = body.bytes?;
    if bytes.is_empty() {
        return Err(Failure::invalid("The body is empty; it must be the payload"));
    }
    // Whatever a wrapped payload is, its body is bytes.
    let key = transport_key(params);
    let is_wrapped = !matches!(key, Ok(None));
    if bytes.len() > body.limits.payload && !is_wrapped {
        return Err(too_large());
    }
    let encoding = body.encoding.as_deref().filter(|_| is_wrapped || content_type == ContentType::OctetStream);
    let payload = key.and_then(|key| {
        let bytes = decode(bytes, encoding)?;
        check_wrapped(key, bytes.len(), body.limits.payload)?;
        Ok(sent(content_type, bytes, key))
    });
    Ok(payload.into())
}

fn check_wrapped(key: Option<TransportKeyId>, length: usize, limit: usize) -> Result<(), Failure> {
    match key {
        Some(_) if length <= WRAPPING => {
            Err(Failure::invalid("The body is too short to be wrapped to a transport key"))
        }
        Some(_) if length > limit.saturating_add(WRAPPING) => Err(too_large()),
        _ => Ok(()),
    }
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

/// The transport key that a parameter names, if it is there.
///
/// # Errors
/// `Invalid` when it is none.
pub fn transport_key(params: &Params) -> Result<Option<TransportKeyId>, Failure> {
    let unknown = |_| Failure::invalid("There is no such transport key");
    params.one("transport_key_id")?.map(|id| id.parse().map_err(unknown)).transpose()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use bailey_core::failure::FailureKind;

    use super::*;
    use crate::config::Limits;

    fn upload(
        media_type: &str,
        encoding: Option<&str>,
        bytes: &[u8],
        query: &str,
    ) -> Result<Parsed<SentPayload>, Failure> {
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
            let SentPayload::Plain(payload) = upload(media_type, encoding, bytes, "").unwrap().accept().unwrap() else {
                panic!("{media_type} {encoding:?}")
            };
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

    #[test]
    fn what_is_wrapped_is_measured_without_its_wrapping() {
        let id = TransportKeyId::new();
        let query = format!("transport_key_id={id}");
        let wrapped =
            |media_type: &str, encoding: Option<&str>, bytes: &[u8]| match upload(media_type, encoding, bytes, &query)
                .unwrap()
                .accept()
            {
                Ok(SentPayload::Wrapped(wrapped)) => Ok((wrapped.key, wrapped.bytes.len())),
                Ok(SentPayload::Plain(_)) => panic!("{media_type} {encoding:?}"),
                Err(failure) => Err(failure.kind),
            };
        for media_type in ["text/plain", "application/octet-stream"] {
            assert_eq!(wrapped(media_type, None, &[7; 20_048]), Ok((id, 20_048)));
            assert_eq!(wrapped(media_type, Some("base64"), "QUJD".repeat(17).as_bytes()), Ok((id, 51)));
            assert_eq!(
                wrapped(media_type, Some("base64"), "QUJD".repeat(6_684).as_bytes()),
                Err(FailureKind::TooLarge)
            );
            assert_eq!(wrapped(media_type, None, &[7; 20_049]), Err(FailureKind::TooLarge));
            assert_eq!(wrapped(media_type, None, &[7; 48]), Err(FailureKind::Invalid));
            assert_eq!(wrapped(media_type, Some("gzip"), &[7; 49]), Err(FailureKind::Invalid));
        }
    }
}
