//! A payload that follows its secret, from the body of `PUT /v1/secrets/{id}`.

use bailey_core::failure::Failure;
use bailey_core::secret::Payload;
use bailey_core::spec::ContentType;

use crate::dto::base64;
use crate::extract::body::{Body, too_large, unexpected_type};
use crate::extract::params::Params;

/// Reads the body, which is the payload itself.
///
/// # Errors
/// In this order: `UnsupportedMedia`, `Invalid` for an empty body, `TooLarge`, `Invalid` for an
/// unknown transport key or a bad encoding.
pub fn read(body: Body, params: &Params) -> Result<Payload, Failure> {
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
    if params.one("transport_key_id")?.is_some() {
        return Err(Failure::invalid("There is no such transport key"));
    }
    let bytes = match (content_type, body.encoding.as_deref()) {
        (ContentType::TextPlain, _) | (_, None) => bytes,
        (_, Some("base64")) => {
            base64::decode(bytes.expose()).ok_or_else(|| Failure::invalid("The body is not base64 of anything"))?
        }
        (_, Some(_)) => return Err(Failure::invalid("The content encoding must be base64, or absent")),
    };
    Ok(Payload { content_type, bytes })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::failure::FailureKind;
    use bailey_core::sensitive::SecretBytes;

    use super::*;
    use crate::config::Limits;

    fn upload(media_type: &str, encoding: Option<&str>, bytes: &[u8], query: &str) -> Result<Payload, Failure> {
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
        let cases: [(&str, Option<&str>, &[u8], &[u8]); 6] = [
            ("text/plain", None, b" a ", b" a "),
            ("text/plain", None, b"\xff\x00", b"\xff\x00"),
            ("text/plain", Some("gzip"), b"YQ==", b"YQ=="),
            ("application/octet-stream", None, b"\x00\xff", b"\x00\xff"),
            ("application/octet-stream", Some("base64"), b"YWJj\nZA==", b"abcd"),
            ("application/octet-stream", None, b"YQ==", b"YQ=="),
        ];
        for (media_type, encoding, bytes, expected) in cases {
            assert_eq!(upload(media_type, encoding, bytes, "").unwrap().bytes.expose(), expected);
        }
    }

    #[test]
    fn bad_uploads_are_refused_in_order() {
        let octets = "application/octet-stream";
        let big = vec![b'a'; 20_001];
        let cases: [(&str, Option<&str>, &[u8], &str, FailureKind); 9] = [
            ("", None, b"", "", FailureKind::UnsupportedMedia),
            ("application/json", None, &big, "", FailureKind::UnsupportedMedia),
            ("application/pkcs8", None, b"x", "", FailureKind::UnsupportedMedia),
            (octets, None, b"", "", FailureKind::Invalid),
            (octets, Some("gzip"), &big, "", FailureKind::TooLarge),
            (octets, Some("gzip"), b"x", "", FailureKind::Invalid),
            (octets, Some("binary"), b"x", "", FailureKind::Invalid),
            (octets, Some("base64"), b"!!!!", "", FailureKind::Invalid),
            (octets, None, b"x", "transport_key_id=1", FailureKind::Invalid),
        ];
        for (media_type, encoding, bytes, query, kind) in cases {
            let failure = upload(media_type, encoding, bytes, query).unwrap_err();
            assert_eq!(failure.kind, kind, "{media_type} {encoding:?} {query}");
        }
    }
}
