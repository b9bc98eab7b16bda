//! Who asks, and the way to a worker.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use bailey_core::access::{Call, Claims, Credentials};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::RequestId;
use bailey_core::request::{
    FindCa, FindCas, FindContainer, FindOrder, FindSecret, FindStore, FindTransportKey, Identify, Request,
};
use bailey_core::sensitive::SecretText;
use bailey_queue::Queue;

use crate::error::ApiError;
use crate::extract::accept;
use crate::extract::path::Named;
use crate::state::State;

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const PROJECT: HeaderName = HeaderName::from_static("x-project-id");
const USER: HeaderName = HeaderName::from_static("x-user-id");
const ROLES: HeaderName = HeaderName::from_static("x-roles");

/// The client's credentials, as they arrived, and the queue to ask with them: once.
pub struct Asker {
    queue: Queue,
    call: Call,
    takes_json: bool,
}

impl Asker {
    /// Asks a worker.
    ///
    /// # Errors
    /// What the worker answers instead of a reply.
    pub async fn ask<R: Request>(self, request: R) -> Result<R::Reply, ApiError> {
        let as_text = !self.takes_json;
        self.queue.call(self.call, request).await.map_err(|failure| match ApiError::from(failure) {
            ApiError::Early { failure, .. } => ApiError::Early { failure, as_text },
            other => other,
        })
    }

    /// Asks only whether the credentials are good.
    ///
    /// # Errors
    /// `Unauthenticated`, `Unidentified`, `Unavailable`.
    pub async fn identify(self) -> Result<(), ApiError> {
        self.ask(Identify {}).await
    }

    /// Asks only whether the credentials are good and, on a path that names something, whether it is there.
    ///
    /// # Errors
    /// As [`Asker::identify`]; `NotFound`.
    pub async fn find(self, named: Option<Named>) -> Result<(), ApiError> {
        match named {
            Some(Named::Secret(id)) => self.ask(FindSecret { id }).await,
            Some(Named::Container(id)) => self.ask(FindContainer { id }).await,
            Some(Named::Store(id)) => self.ask(FindStore { id }).await,
            Some(Named::Order(id)) => self.ask(FindOrder { id }).await,
            Some(Named::TransportKey(id)) => self.ask(FindTransportKey { id }).await,
            Some(Named::Ca(id)) => self.ask(FindCa { id }).await,
            Some(Named::Cas) => self.ask(FindCas {}).await,
            None => self.identify().await,
        }
    }

    /// Refuses for `reason`, unless the credentials are no good: that is told first.
    pub async fn refuse(self, reason: impl Into<ApiError>) -> ApiError {
        self.identify().await.err().unwrap_or_else(|| reason.into())
    }
}

impl FromRequest for Asker {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(asker(request))
    }
}

/// The asker of a request that is routed already.
///
/// # Errors
/// `Unidentified` when an identity header is not UTF-8; `Internal` when the application was assembled
/// without its state.
pub fn asker(request: &HttpRequest) -> Result<Asker, ApiError> {
    let state = State::of(request)?;
    let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::new);
    let headers = request.headers();
    Ok(Asker {
        queue: state.queue.clone(),
        call: Call::new(credentials(headers)?, request_id),
        takes_json: accept::takes_json(headers),
    })
}

fn credentials(headers: &HeaderMap) -> Result<Credentials, Failure> {
    let token = super::header(headers, AUTH_TOKEN).or_else(|| bearer(headers)).map(SecretText::new);
    let claim = |name: HeaderName| match headers.get(&name).map(|value| std::str::from_utf8(value.as_bytes())) {
        Some(Err(_)) => Err(Failure::new(FailureKind::Unidentified, format!("The header {name} is not valid UTF-8"))),
        Some(Ok(text)) => Ok(Some(text.to_owned())),
        None => Ok(None),
    };
    Ok(Credentials { token, claims: Claims { project: claim(PROJECT)?, user: claim(USER)?, roles: claim(ROLES)? } })
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;

    use super::*;

    fn read(headers: &[(&str, &str)]) -> Credentials {
        let request = headers.iter().fold(TestRequest::default(), |request, header| request.insert_header(*header));
        credentials(request.to_http_request().headers()).unwrap()
    }

    #[test]
    fn a_token_comes_in_either_header() {
        let token = |headers: &[(&str, &str)], expected: Option<&str>| {
            assert_eq!(read(headers).token.as_ref().map(SecretText::expose), expected, "{headers:?}");
        };
        token(&[], None);
        token(&[("X-Auth-Token", "t")], Some("t"));
        token(&[("Authorization", "Bearer t")], Some("t"));
        token(&[("Authorization", "bearer  t ")], Some("t"));
        token(&[("Authorization", "Basic dDp0")], None);
        token(&[("X-Auth-Token", "first"), ("Authorization", "Bearer second")], Some("first"));
    }

    #[test]
    fn identity_headers_are_passed_on_as_they_arrived() {
        let claims = read(&[("X-Project-Id", "p"), ("X-Roles", "A, b")]).claims;
        assert_eq!(claims, Claims { project: Some("p".into()), user: None, roles: Some("A, b".into()) });
        let request = TestRequest::default().insert_header((PROJECT, HeaderValue::from_bytes(b"\xff").unwrap()));
        let failure = credentials(request.to_http_request().headers()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unidentified);
    }
}
