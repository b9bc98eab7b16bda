//! How Bailey is. Nobody needs credentials to ask.

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use bailey_core::access::{Call, Credentials};
use bailey_core::ids::RequestId;
use bailey_core::request::CheckHealth;

use crate::dto::health::HealthBody;
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
        let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::new);
        ask(&state, Call::new(Credentials::default(), request_id)).await
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

async fn ask(state: &State, call: Call) -> HealthBody {
    match tokio::time::timeout(state.config.http.health_time(), state.queue.call(call, CheckHealth {})).await {
        Ok(Ok(report)) => HealthBody::from(report),
        Ok(Err(failure)) => HealthBody::from(failure),
        Err(_) => HealthBody::trouble(vec!["worker: no answer in time".into()]),
    }
}

/// Tells that the process serves
///
/// Asks nobody: whoever gets this answer knows that the process is alive, not that it can work.
#[utoipa::path(get, path = "/livez", tag = "health", operation_id = "check_life",
    responses((status = 200, description = "It does", content((String = "text/plain", example = "OK")))))]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=UTF-8").body("OK")
}
