//! The request's body, bounded, in memory that is wiped.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{FromRequest, HttpRequest};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::sensitive::SecretBytes;
use futures_util::StreamExt as _;
use zeroize::Zeroizing;

use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::header;
use crate::json::Json;
use crate::state::State;

/// How much of a body that is too large is read on, so that its sender gets to see the answer.
const DRAINED: usize = 1024 * 1024;

/// A body with what its headers say of it.
#[derive(Debug)]
pub struct Body {
    /// Media type, lower-case, without parameters; empty if absent.
    pub media_type: String,
    /// `Content-Encoding`, lower-case.
    pub encoding: Option<String>,
    /// The bytes, or why they can't be had.
    pub bytes: Result<SecretBytes, Failure>,
    /// What the bytes are measured against.
    pub limits: Limits,
}

impl Body {
    /// The body as JSON.
    ///
    /// # Errors
    /// `UnsupportedMedia`, `TooLarge`, `Invalid`.
    pub fn json(self) -> Result<Json, Failure> {
        if self.media_type != "application/json" {
            return Err(unexpected_type("['application/json']"));
        }
        Json::read(self.bytes?.expose())
    }

    /// The complaint about a body that calls itself JSON and is no text at all. Barbican's framework
    /// decodes such a body once the secret is found, before it looks at the caller's rights.
    #[must_use]
    pub fn undecodable(&self) -> Option<Failure> {
        let bytes = self.bytes.as_ref().ok().filter(|_| self.media_type == "application/json")?;
        std::str::from_utf8(bytes.expose()).err().map(|_| Failure::invalid("The body is not valid UTF-8"))
    }
}

#[cfg(test)]
impl Body {
    /// A JSON body with this text.
    pub fn of_json(text: impl ToString) -> Self {
        let bytes = Ok(SecretBytes::new(text.to_string().into_bytes()));
        Self { media_type: "application/json".into(), encoding: None, bytes, limits: Limits::default() }
    }
}

/// The complaint about a content type, in the contract's words.
#[must_use]
pub fn unexpected_type(expected: &str) -> Failure {
    let reason = format!("Unexpected content type. Expected content types are: {expected}");
    Failure::new(FailureKind::UnsupportedMedia, reason)
}

/// The complaint about size.
#[must_use]
pub fn too_large() -> Failure {
    Failure::new(FailureKind::TooLarge, "The body or its payload is larger than allowed")
}

impl FromRequest for Body {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let state = State::of(&request)?;
            let config = &state.config;
            let limits = config.limits.clone();
            let announced = header(request.headers(), CONTENT_LENGTH).and_then(|length| length.parse().ok());
            let size = announced.unwrap_or(limits.body).min(limits.body);
            let bytes = match state.body_memory(size) {
                Ok(_set_aside) => read(payload, size, limits.body, config.http.request_time()).await?,
                Err(failure) => Err(failure),
            };
            let media_type = header(request.headers(), CONTENT_TYPE).unwrap_or_default();
            Ok(Self {
                media_type: media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(),
                encoding: header(request.headers(), CONTENT_ENCODING).map(|coding| coding.trim().to_ascii_lowercase()),
                bytes,
                limits,
            })
        })
    }
}

/// Reads at most `limit` bytes, in `time`. The buffer has room for `size`, what was announced if that is
/// allowed, and never grows, which would leave copies behind.
async fn read(
    mut payload: Payload,
    size: usize,
    limit: usize,
    time: Duration,
) -> Result<Result<SecretBytes, Failure>, ApiError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    let mut received = 0;
    let whole = async {
        while let Some(chunk) = payload.next().await {
            let Ok(chunk) = chunk else { return Some(Failure::invalid("The body was cut off")) };
            received += chunk.len();
            if received <= limit {
                bytes.extend_from_slice(&chunk);
            } else if received > limit + DRAINED {
                break;
            }
        }
        (received > limit).then(too_large)
    };
    let complaint = tokio::time::timeout(time, whole).await.map_err(|_| ApiError::TooSlow)?;
    Ok(complaint.map_or_else(|| Ok(SecretBytes::new(std::mem::take(&mut *bytes))), Err))
}
