//! From failures to answers: the one place that knows HTTP status codes and both shapes of errors.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use bailey_core::failure::{Challenge, Failure, FailureKind, Violation};

use crate::dto::error::{EarlyErrorBody, ErrorBody};

/// Why a request is refused.
#[derive(Debug)]
pub enum ApiError {
    /// What a worker, or the API in its place, has against it.
    Refused(Failure),
    /// What is wrong before the API proper is reached: identity or microversion.
    Early {
        /// The reason.
        failure: Failure,
        /// Whether the client takes no JSON.
        as_text: bool,
    },
    /// The client took too long to send the body.
    TooSlow,
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure.kind {
            FailureKind::Unauthenticated | FailureKind::Unidentified => Self::Early { failure, as_text: false },
            _ => Self::Refused(failure),
        }
    }
}

impl ApiError {
    /// The same with another label of the operation.
    #[must_use]
    pub fn labelled(mut self, operation: &'static str) -> Self {
        if let Self::Refused(failure) = &mut self {
            failure.operation = operation;
        }
        self
    }

    /// What the log should say of it: only faults that are not the client's.
    #[must_use]
    pub fn fault(&self) -> Option<&Failure> {
        match self {
            Self::Refused(failure) if failure.is_fault() => Some(failure),
            _ => None,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(failure) | Self::Early { failure, .. } => failure.fmt(f),
            Self::TooSlow => f.write_str("the body came too slowly"),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Refused(failure) | Self::Early { failure, .. } => status(failure.kind),
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::Early { failure, as_text } => early(&mut response, failure, *as_text),
            Self::Refused(failure) => {
                if let Some(header) = retry_after(failure) {
                    response.insert_header(header);
                }
                response.json(ErrorBody::new(self.status_code(), description(failure)))
            }
            Self::TooSlow => {
                let description = Some("The body was not received in time.".to_owned());
                response.force_close().json(ErrorBody::new(self.status_code(), description))
            }
        }
    }
}

/// Marks an answer given before the API proper is reached: it carries no microversion.
#[derive(Debug, Clone, Copy)]
pub struct Early;

fn early(response: &mut HttpResponseBuilder, failure: &Failure, as_text: bool) -> HttpResponse {
    let status = status(failure.kind);
    if failure.kind == FailureKind::Unauthenticated {
        let challenge = failure.challenge.as_deref().and_then(|Challenge(text)| HeaderValue::from_str(text).ok());
        let challenge = challenge.unwrap_or_else(|| HeaderValue::from_static("Bearer realm=\"bailey\""));
        response.insert_header((header::WWW_AUTHENTICATE, challenge));
    }
    let mut answer = if as_text {
        let text = format!("{} {}\n\n{}\n", status.as_u16(), title(status), failure.reason);
        response.content_type("text/plain; charset=UTF-8").body(text)
    } else {
        response.json(EarlyErrorBody::new(status, &failure.reason))
    };
    answer.extensions_mut().insert(Early);
    answer
}

/// The HTTP status of a kind of failure.
#[must_use]
pub const fn status(kind: FailureKind) -> StatusCode {
    match kind {
        FailureKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        FailureKind::Unidentified | FailureKind::Invalid | FailureKind::NotSupported => StatusCode::BAD_REQUEST,
        FailureKind::Forbidden | FailureKind::QuotaExceeded => StatusCode::FORBIDDEN,
        FailureKind::NotFound => StatusCode::NOT_FOUND,
        FailureKind::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        FailureKind::Conflict => StatusCode::CONFLICT,
        FailureKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FailureKind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        FailureKind::Mismatch => StatusCode::UNPROCESSABLE_ENTITY,
        FailureKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        FailureKind::Corrupt | FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The title of an error: the reason phrase as clients of Barbican know it.
#[must_use]
pub fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        other => other.canonical_reason().unwrap_or("Error"),
    }
}

fn retry_after(failure: &Failure) -> Option<(HeaderName, HeaderValue)> {
    let seconds = match (failure.kind, failure.retry_after) {
        (_, Some(after)) => after.as_secs().max(1),
        (FailureKind::Unavailable, None) => 1,
        _ => return None,
    };
    Some((header::RETRY_AFTER, HeaderValue::from(seconds)))
}

/// What a client is told, in the forms of the contract.
fn description(failure: &Failure) -> Option<String> {
    let Failure { kind, operation, reason, .. } = failure;
    Some(match kind {
        FailureKind::NotAcceptable if reason.is_empty() => return None,
        FailureKind::Forbidden => {
            format!("{operation} attempt not allowed - please review your user/project privileges")
        }
        FailureKind::Corrupt | FailureKind::Internal => {
            format!("{operation} failure seen - please contact site administrator.")
        }
        FailureKind::Unavailable => format!("{operation} is not possible right now - please try again."),
        FailureKind::Invalid if failure.schema.is_some() => violations(failure),
        FailureKind::Invalid
        | FailureKind::NotAcceptable
        | FailureKind::NotSupported
        | FailureKind::TooLarge
        | FailureKind::QuotaExceeded => format!("{operation} issue seen - {reason}."),
        FailureKind::UnsupportedMedia => reason.to_string(),
        _ if reason.is_empty() => String::new(),
        _ => format!("{reason}."),
    })
}

fn violations(failure: &Failure) -> String {
    let each = |Violation { property, reason }: &Violation| {
        format!("{reason}. Invalid property: '{}'", property.as_deref().unwrap_or("None"))
    };
    let all: Vec<String> = failure.violations.iter().map(each).collect();
    format!(
        "Provided object does not match schema '{}': {}",
        failure.schema.as_deref().unwrap_or_default(),
        all.join("; ")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use actix_web::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    async fn rendered(error: ApiError) -> (u16, Value, HttpResponse<()>) {
        let (response, body) = error.error_response().into_parts();
        let body = to_bytes(body).await.unwrap();
        let value = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        (response.status().as_u16(), value, response.map_body(|_, _| ()))
    }

    fn failure(kind: FailureKind, reason: &'static str) -> Failure {
        Failure { operation: "Secret creation", ..Failure::new(kind, reason) }
    }

    #[actix_web::test]
    async fn each_kind_has_its_status_title_and_description() {
        let generic = "Secret creation failure seen - please contact site administrator.";
        let denied = "Secret creation attempt not allowed - please review your user/project privileges";
        let cases = [
            (FailureKind::NotFound, 404, "Not Found", json!("Why.")),
            (FailureKind::Forbidden, 403, "Forbidden", json!(denied)),
            (FailureKind::Invalid, 400, "Bad Request", json!("Secret creation issue seen - Why.")),
            (FailureKind::NotAcceptable, 406, "Not Acceptable", json!("Secret creation issue seen - Why.")),
            (FailureKind::Conflict, 409, "Conflict", json!("Why.")),
            (FailureKind::TooLarge, 413, "Request Entity Too Large", json!("Secret creation issue seen - Why.")),
            (FailureKind::UnsupportedMedia, 415, "Unsupported Media Type", json!("Why")),
            (FailureKind::Mismatch, 422, "Unprocessable Entity", json!("Why.")),
            (FailureKind::QuotaExceeded, 403, "Forbidden", json!("Secret creation issue seen - Why.")),
            (FailureKind::NotSupported, 400, "Bad Request", json!("Secret creation issue seen - Why.")),
            (
                FailureKind::Unavailable,
                503,
                "Service Unavailable",
                json!("Secret creation is not possible right now - please try again."),
            ),
            (FailureKind::Corrupt, 500, "Internal Server Error", json!(generic)),
            (FailureKind::Internal, 500, "Internal Server Error", json!(generic)),
        ];
        for (kind, code, title, description) in cases {
            let (status, body, _) = rendered(failure(kind, "Why").into()).await;
            assert_eq!(status, code, "{kind:?}");
            assert_eq!(body, json!({"code": code, "title": title, "description": description}), "{kind:?}");
        }
    }

    #[actix_web::test]
    async fn a_refusal_before_the_api_has_the_early_shape() {
        let (status, body, response) = rendered(failure(FailureKind::Unauthenticated, "No token").into()).await;
        assert_eq!(status, 401);
        assert_eq!(body, json!({"message": "No token", "code": "401 Unauthorized", "title": "Unauthorized"}));
        assert_eq!(response.headers().get(header::WWW_AUTHENTICATE).unwrap(), "Bearer realm=\"bailey\"");
        assert!(response.extensions().get::<Early>().is_some());

        let challenge = Some(Box::new(Challenge("Keystone uri=\"https://keystone.example\"".to_owned())));
        let (_, _, response) =
            rendered(Failure { challenge, ..failure(FailureKind::Unauthenticated, "No token") }.into()).await;
        let expected = "Keystone uri=\"https://keystone.example\"";
        assert_eq!(response.headers().get(header::WWW_AUTHENTICATE).unwrap(), expected);

        let failure = failure(FailureKind::Unidentified, "No project");
        let (status, body, _) = rendered(ApiError::Early { failure, as_text: true }).await;
        assert_eq!((status, body), (400, json!("400 Bad Request\n\nNo project\n")));
    }

    #[actix_web::test]
    async fn every_bad_field_is_named() {
        let violation = |property: Option<&str>, reason: &str| Violation {
            property: property.map(str::to_owned),
            reason: reason.to_owned(),
        };
        let failure = Failure::schema("Secret", vec![violation(Some("name"), "too long"), violation(None, "odd")]);
        let (_, body, _) = rendered(failure.into()).await;
        let expected = "Provided object does not match schema 'Secret': \
                        too long. Invalid property: 'name'; odd. Invalid property: 'None'";
        assert_eq!(body["description"], expected);
    }

    #[actix_web::test]
    async fn unavailable_says_when_to_come_back() {
        async fn after(failure: Failure) -> Option<HeaderValue> {
            rendered(failure.into()).await.2.headers().get(header::RETRY_AFTER).cloned()
        }
        assert_eq!(after(failure(FailureKind::Unavailable, "")).await.unwrap(), "1");
        let later = Failure { retry_after: Some(Duration::from_secs(7)), ..failure(FailureKind::Unavailable, "") };
        assert_eq!(after(later).await.unwrap(), "7");
    }
}
