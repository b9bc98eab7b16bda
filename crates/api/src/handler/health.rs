//! How Bailey is. Nobody needs credentials to ask.

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use bailey_core::access::{Call, Credentials};
use bailey_core::health::HealthReport;
use bailey_core::ids::RequestId;
use bailey_core::request::CheckHealth;

use crate::dto::health::{HealthBody, ReadinessBody};
use crate::extract::accept;
use crate::state::State;

/// Tells whether Bailey can do its work
///
/// Asks the worker for its database, its vault and every secret store. The answer is plain text
/// unless JSON is asked for by name.
#[utoipa::path(get, path = "/healthcheck", tag = "health", operation_id = "check_health",
    responses(
        (status = 200, description = "Everything works", content(
            (HealthBody = "application/json"),
            (String = "text/plain", example = "OK"))),
        (status = 503, description = "Something is down", content(
            (HealthBody = "application/json"),
            (String = "text/plain", example = "vault: no connection")))))]
pub async fn check(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let health = if state.config.http.is_disabled().await {
        HealthBody::trouble(vec!["DISABLED BY FILE".into()])
    } else {
        HealthBody::from(ask(&state, call(&request)).await)
    };
    if !health.is_healthy {
        tracing::warn!(reasons = ?health.reasons, "not healthy");
    }
    let status = if health.is_healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = HttpResponse::build(status);
    if accept::names(request.headers(), "application/json") {
        response.json(health)
    } else {
        response.content_type("text/plain; charset=UTF-8").body(health.reasons.join("\n"))
    }
}

fn call(request: &HttpRequest) -> Call {
    let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::new);
    Call::new(Credentials::default(), request_id)
}

/// How the worker is; the sentence says why it can't be asked.
async fn ask(state: &State, call: Call) -> Result<HealthReport, String> {
    match tokio::time::timeout(state.config.http.health_time(), state.queue.call(call, CheckHealth {})).await {
        Ok(answer) => answer.map_err(|failure| failure.reason.into_owned()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// Tells whether clients should be sent here
///
/// Asks the worker for what no request can do without: database, vault, worker key and the default store. Not
/// ready either: a server that is about to stop, or is taken out of service.
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "check_readiness",
    responses(
        (status = 200, description = "They should", body = ReadinessBody),
        (status = 503, description = "They shouldn't", body = ReadinessBody)))]
pub async fn ready(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let readiness = if state.is_ending() {
        ReadinessBody::trouble("process", "stopping")
    } else if state.config.http.is_disabled().await {
        ReadinessBody::trouble("process", "disabled by file")
    } else {
        ReadinessBody::from(ask(&state, call(&request)).await)
    };
    if !readiness.ready {
        // Supervisors ask every second or so.
        tracing::debug!(parts = ?readiness.parts, "not ready");
    }
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status).json(readiness)
}

/// Tells that the process serves
///
/// Asks nobody: whoever gets this answer knows that the process is alive, not that it can work.
#[utoipa::path(get, path = "/livez", tag = "health", operation_id = "check_life",
    responses((status = 200, description = "It does", content((String = "text/plain", example = "OK")))))]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=UTF-8").body("OK")
}
