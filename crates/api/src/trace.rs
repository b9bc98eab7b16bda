//! The span of a request, as traces have it: which route, which answer. Never the path, whose ids and keys are
//! the client's, nor a query or a header.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HeaderName;
use actix_web::http::{Method, StatusCode};
use bailey_core::ids::RequestId;
use bailey_core::trace::{TARGET, TraceContext};
use bailey_queue::trace::{context_of, continue_from, rename, tell};
use tracing::Span;
use tracing::field::Empty;

use crate::measure;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Begins the span, as a part of the client's if that is traced; nothing, where nobody traces. `log` is what
/// lines of the log belong to, and learns the trace's id.
pub fn begin(request: &ServiceRequest, id: &RequestId, log: &Span) -> Span {
    let method = measure::label(request.method());
    let span = tracing::info_span!(
        target: TARGET,
        parent: log,
        "http",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        bailey.request_id = %id,
    );
    if span.is_disabled() {
        return span;
    }
    if let Some(parent) = parent(request) {
        continue_from(&span, parent);
    }
    if let Some(context) = context_of(&span) {
        tell(log, context);
    }
    span
}

/// The one `traceparent`; several are none.
fn parent(request: &ServiceRequest) -> Option<TraceContext> {
    let mut all = request.headers().get_all(TRACEPARENT);
    let first = all.next()?;
    if all.next().is_some() { None } else { first.to_str().ok()?.parse().ok() }
}

/// Notes the answer. `route` is its template.
pub fn end(span: &Span, method: &Method, route: Option<&str>, status: StatusCode) {
    if span.is_disabled() {
        return;
    }
    if let Some(route) = route {
        rename(span, format!("{} {route}", measure::label(method)));
        span.record("http.route", route);
    }
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}
