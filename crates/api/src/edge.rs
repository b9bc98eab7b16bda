//! What surrounds every request: its id, its span, its numbers, and the microversion.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, VARY};
use actix_web::http::uri::PathAndQuery;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use bailey_core::ids::RequestId;
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Span};

use crate::error::{ApiError, Early};
use crate::extract::accept;
use crate::extract::asker::asker;
use crate::extract::microversion::{self, Microversion};
use crate::http2::{Answer, Stream};
use crate::measure::Measure;
use crate::proxy;
use crate::state::State;
use crate::trace;

/// Names the request in the answer and in logs.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Outermost: gives the request its id and span, tidies its path, counts it, logs faults once.
///
/// # Errors
/// None of its own.
pub async fn enter(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = RequestId::new();
    let span = tracing::info_span!(
        "request", request_id = %id, global_request_id = Empty, trace_id = Empty, client = Empty,
        method = %request.method(), path = request.path()
    );
    record_origin(&span, &request);
    let traced = trace::begin(&request, &id, &span);
    let header = HeaderValue::from_str(id.as_str());
    let measure = Measure::start(request.method());
    request.extensions_mut().insert(id);
    tidy(&mut request);
    let entered = traced.clone();
    async move {
        let (mut response, stream) = match Stream::open(request.request()) {
            Ok(stream) => (next.call(request).await?.map_into_left_body(), stream),
            Err(refusal) => (request.error_response(refusal).map_into_right_body(), None),
        };
        if let Ok(header) = header {
            response.headers_mut().insert(REQUEST_ID, header);
        }
        let route = response.request().match_pattern();
        trace::end(&traced, response.request().method(), route.as_deref(), response.status());
        measure.finish(route, response.status());
        report(&response);
        Ok(response.map_body(|_, body| Answer::new(body, stream)))
    }
    .instrument(entered)
    .instrument(span)
    .await
}

/// Notes where the request comes from, and the id under which another service sent it.
fn record_origin(span: &Span, request: &ServiceRequest) {
    let trusted = State::of(request.request()).map_or(&[][..], |state| &state.config.http.trusted_proxies);
    if let Some(client) = proxy::client(request.head(), trusted) {
        span.record("client", display(client));
    }
    let inbound = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()?.parse::<RequestId>().ok());
    if let Some(id) = inbound {
        span.record("global_request_id", display(id));
    }
}

fn report<B>(response: &ServiceResponse<B>) {
    let status = response.status().as_u16();
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    match error.and_then(ApiError::fault) {
        Some(failure) if status == 503 => tracing::warn!(status, operation = %failure.operation, %failure, "refused"),
        Some(failure) => tracing::error!(status, operation = %failure.operation, %failure, "failed"),
        None => tracing::debug!(status, "answered"),
    }
}

/// Makes `/v1//secrets/` and `/v1/secrets.json` the `/v1/secrets` that is routed.
fn tidy(request: &mut ServiceRequest) {
    let Some(path) = tidied(request.path()) else { return };
    let with_query = match request.query_string() {
        "" => path,
        query => format!("{path}?{query}"),
    };
    let mut parts = request.uri().clone().into_parts();
    if let Ok(path) = PathAndQuery::try_from(with_query) {
        parts.path_and_query = Some(path);
        if let Ok(uri) = actix_web::http::Uri::from_parts(parts) {
            request.match_info_mut().get_mut().update(&uri);
            request.head_mut().uri = uri;
        }
    }
}

/// The path with single slashes, none at the end, and without `.json` below `/v1`; `None` if it is
/// so already, or belongs to the documentation.
fn tidied(path: &str) -> Option<String> {
    let is_untidy = path.len() > 1 && (path.ends_with('/') || path.contains("//") || path.ends_with(".json"));
    if !is_untidy || path.starts_with("/docs/") {
        return None;
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let mut tidy = format!("/{}", segments.join("/"));
    if segments.len() > 1 && segments[0] == "v1" && tidy.ends_with(".json") {
        tidy.truncate(tidy.len() - ".json".len());
    }
    (tidy != path).then_some(tidy)
}

/// Agrees on the microversion, and says which one it is in every answer of the API proper.
///
/// # Errors
/// None of its own.
pub async fn negotiate<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match Microversion::read(request.headers()) {
        Ok(version) => {
            request.extensions_mut().insert(version);
            let mut response = next.call(request).await?;
            if response.response().extensions().get::<Early>().is_none() {
                say(version, response.headers_mut());
            }
            Ok(response.map_into_left_body())
        }
        Err(failure) => {
            let as_text = !accept::takes_json(request.headers());
            let refusal = ApiError::Early { failure, as_text };
            // The versions themselves are open to everybody; elsewhere identity is told first.
            let error = match asker(request.request()) {
                Ok(asker) if request.path() != "/" => asker.refuse(refusal).await,
                _ => refusal,
            };
            Ok(request.error_response(error).map_into_right_body())
        }
    }
}

fn say(version: Microversion, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::try_from(version.header_value()) {
        headers.insert(microversion::HEADER, value);
    }
    headers.append(VARY, HeaderValue::from_static("openstack-api-version"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tidied() {
        let cases = [
            ("/", None),
            ("/v1", None),
            ("/v1/secrets", None),
            ("/openapi.json", None),
            ("/docs/", None),
            ("/docs/swagger-ui.css", None),
            ("/v1.json", None),
            ("//", Some("/")),
            ("/v1/", Some("/v1")),
            ("/v1/secrets/", Some("/v1/secrets")),
            ("/v1//secrets///x", Some("/v1/secrets/x")),
            ("/v1/secrets.json", Some("/v1/secrets")),
            ("/v1/secrets/x/metadata/a.json/", Some("/v1/secrets/x/metadata/a")),
            ("/healthcheck/", Some("/healthcheck")),
        ];
        for (path, expected) in cases {
            assert_eq!(tidied(path).as_deref(), expected, "{path}");
        }
    }
}
