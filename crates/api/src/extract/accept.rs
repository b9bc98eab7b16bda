//! What form of answer the client takes.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{ACCEPT, HeaderMap};
use actix_web::{FromRequest, HttpRequest};
use bailey_core::failure::{Failure, FailureKind, Parsed};
use bailey_core::request::PayloadForm;
use bailey_core::spec::ContentType;

use crate::dto::content_type;
use crate::error::ApiError;
use crate::extract::asker::asker;
use crate::extract::path::named;

/// The `Accept` header as one text; empty when there is none.
fn accepted(headers: &HeaderMap) -> String {
    let values: Vec<_> = headers.get_all(ACCEPT).map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    values.join(", ")
}

/// Whether the client takes JSON: it says so, says nothing, or takes anything.
#[must_use]
pub fn takes_json(headers: &HeaderMap) -> bool {
    let accepted = accepted(headers);
    accepted.trim().is_empty()
        || accepted.split(',').any(|range| range_allows(range, &["*/*", "application/*", "application/json"]))
}

/// Whether one of the media types is named as such; wildcards don't count.
#[must_use]
pub fn names(headers: &HeaderMap, media_type: &str) -> bool {
    accepted(headers).split(',').any(|range| range_allows(range, &[media_type]))
}

/// Whether a range such as `text/*;q=0.5` is one of `types` and its weight isn't zero.
fn range_allows(range: &str, types: &[&str]) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0)));
    !refused && types.iter().any(|known| known.eq_ignore_ascii_case(media_type))
}

/// Lets only clients pass that take JSON; the others are told 406 once their credentials are good and
/// what the path names is found: Barbican looks it up while it routes.
#[derive(Debug)]
pub struct AcceptsJson;

impl FromRequest for AcceptsJson {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (takes_json, asker, named) = (takes_json(request.headers()), asker(request), named(request));
        Box::pin(async move {
            if takes_json {
                return Ok(Self);
            }
            asker?.find(named).await?;
            Err(Failure::new(FailureKind::NotAcceptable, "").into())
        })
    }
}

/// In which form a payload is wanted, and how its type will be named in the answer.
#[derive(Debug)]
pub struct PayloadAccept {
    /// The form, or that there is none.
    pub form: Parsed<PayloadForm>,
    /// The content type to answer with; the stored one, if the client leaves it open.
    pub content_type: Option<String>,
}

impl PayloadAccept {
    fn read(accepted: &str) -> Self {
        let as_type = |kind, name: &str| (Parsed::Valid(PayloadForm::As(kind)), Some(name.to_owned()));
        let (form, content_type) = match (accepted.trim(), ContentType::normalise(accepted)) {
            ("", _) => as_type(ContentType::OctetStream, content_type::name(ContentType::OctetStream)),
            ("*/*", _) => (Parsed::Valid(PayloadForm::AsStored), None),
            (given, Some(kind)) if given.contains(';') && given.is_ascii() => as_type(kind, given),
            (_, Some(kind)) => as_type(kind, content_type::name(kind)),
            (_, None) => (Parsed::Complaint(not_acceptable()), None),
        };
        Self { form, content_type }
    }
}

/// The complaint that a payload has no form that is accepted.
#[must_use]
pub fn not_acceptable() -> Failure {
    Failure::new(FailureKind::NotAcceptable, "The payload can't be had in any accepted type")
}

impl FromRequest for PayloadAccept {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Ok(Self::read(&accepted(request.headers()))))
    }
}

/// What `GET /v1/secrets/{id}` is asked for: the secret, or, in the deprecated way, its payload.
#[derive(Debug)]
pub enum SecretAccept {
    /// What is known of the secret.
    Metadata,
    /// Its payload.
    Payload(PayloadAccept),
}

impl FromRequest for SecretAccept {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let accepted = accepted(request.headers());
        std::future::ready(Ok(match accepted.as_str() {
            "" | "*/*" | "application/json" => Self::Metadata,
            _ => Self::Payload(PayloadAccept::read(&accepted)),
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn json_is_taken_unless_the_header_leaves_it_out() {
        let cases = [
            ("", true),
            ("*/*", true),
            ("application/*", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain, application/json;q=0.1", true),
            ("application/json;q=0", false),
            ("text/plain", false),
            ("text/html, image/png", false),
            ("application/json-home", false),
            ("junk", false),
        ];
        for (accept, expected) in cases {
            let request = TestRequest::default().insert_header((ACCEPT, accept)).to_http_request();
            assert_eq!(takes_json(request.headers()), expected, "{accept}");
        }
        assert!(takes_json(TestRequest::default().to_http_request().headers()));
    }

    #[test]
    fn a_payload_is_had_as_one_plain_type_only() {
        let (octets, text) = (ContentType::OctetStream, ContentType::TextPlain);
        let cases = [
            ("", Some(PayloadForm::As(octets)), Some("application/octet-stream")),
            ("*/*", Some(PayloadForm::AsStored), None),
            ("text/plain", Some(PayloadForm::As(text)), Some("text/plain; charset=UTF-8")),
            ("text/plain;charset=utf-8", Some(PayloadForm::As(text)), Some("text/plain;charset=utf-8")),
            ("TEXT/PLAIN; charset=UTF-8", Some(PayloadForm::As(text)), Some("TEXT/PLAIN; charset=UTF-8")),
            ("application/octet-stream", Some(PayloadForm::As(octets)), Some("application/octet-stream")),
            ("application/pkcs8", Some(PayloadForm::As(ContentType::Pkcs8)), Some("application/pkcs8")),
            ("text/plain, application/octet-stream", None, None),
            ("text/plain;q=0.5", None, None),
            ("text/*", None, None),
            ("application/json", None, None),
            ("text/html", None, None),
            ("junk", None, None),
        ];
        for (accept, form, content_type) in cases {
            let read = PayloadAccept::read(accept);
            assert_eq!(read.form.accept().ok(), form, "{accept}");
            assert_eq!(read.content_type.as_deref(), content_type, "{accept}");
        }
    }
}
