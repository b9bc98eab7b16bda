//! What a client calls a request that it may repeat.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest};
use bailey_core::failure::{Failure, Parsed};
use bailey_core::idempotency::{IdempotencyKey, LONGEST_KEY};
use bailey_core::sensitive::SecretBytes;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::error::ApiError;
use crate::extract::body::Body;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// What a request that may be repeated can have.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the header in the OpenAPI document")]
pub struct IdempotencyParams {
    /// A name for the request: when it is repeated within a day, by the same caller and with the same body,
    /// the first answer is given again.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    key: Option<String>,
}

/// The header `Idempotency-Key`, if it is there, or what is wrong with it.
#[derive(Debug)]
pub struct Idempotency(Result<Option<String>, Failure>);

impl Idempotency {
    fn read(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(HEADER);
        let key = match (values.next(), values.next()) {
            (None, _) => return Self(Ok(None)),
            (Some(value), None) => std::str::from_utf8(value.as_bytes()).ok(),
            (Some(_), Some(_)) => None,
        };
        let key = key.filter(|key| (1..=LONGEST_KEY).contains(&key.chars().count()));
        let bad = || {
            Failure::invalid(format!(
                "The header Idempotency-Key must be given once, with 1 to {LONGEST_KEY} characters"
            ))
        };
        Self(key.map(|key| Some(key.to_owned())).ok_or_else(bad))
    }

    /// The key with what it stands for. What is wrong with the body is not told here.
    #[must_use]
    pub fn of(self, body: &Body) -> Parsed<Option<IdempotencyKey>> {
        let named = |key| {
            let bytes = body.bytes.as_ref().ok()?;
            Some(IdempotencyKey { key, body: SecretBytes::new(Sha256::digest(bytes.expose()).to_vec()) })
        };
        self.0.map(|key| key.and_then(named)).into()
    }
}

impl FromRequest for Idempotency {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::read(request.headers())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use actix_web::http::header::HeaderValue;
    use bailey_core::failure::FailureKind;

    use super::*;

    fn read(values: &[&[u8]], body: &str) -> Result<Option<IdempotencyKey>, Failure> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        Idempotency::read(&headers).of(&Body::of_json(body)).accept()
    }

    #[test]
    fn a_key_comes_with_a_digest_of_the_body() {
        assert!(read(&[], "{}").unwrap().is_none());
        let longest = "ü".repeat(LONGEST_KEY);
        for key in ["k", "\"quoted\"", longest.as_str()] {
            let found = read(&[key.as_bytes()], "{}").unwrap().unwrap();
            assert_eq!((found.key.as_str(), found.body.len()), (key, 32));
        }
        let digest = |body| read(&[b"k"], body).unwrap().unwrap().body.expose().to_vec();
        assert_eq!(digest("{}"), digest("{}"));
        assert_ne!(digest("{}"), digest("{} "));
    }

    #[test]
    fn a_bad_key_is_a_complaint() {
        let long = "k".repeat(LONGEST_KEY + 1);
        let cases: [&[&[u8]]; 4] = [&[b""], &[long.as_bytes()], &[b"\xff"], &[b"a", b"a"]];
        for values in cases {
            assert_eq!(read(values, "{}").unwrap_err().kind, FailureKind::Invalid, "{values:?}");
        }
    }
}
