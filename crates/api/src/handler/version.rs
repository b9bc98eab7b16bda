//! Which versions there are.

use actix_web::http::header::LOCATION;
use actix_web::web::Json;
use actix_web::{HttpRequest, HttpResponse};
use bailey_core::failure::{Failure, FailureKind};

use crate::dto::version::{BuildBody, VersionBody, VersionsBody};
use crate::error::ApiError;
use crate::extract::accept;
use crate::extract::asker::Asker;
use crate::extract::links::Links;
use crate::extract::microversion::Microversion;
use crate::extract::params::Params;

/// Lists the versions of the API
///
/// Needs no credentials. `?build` tells Bailey's own version instead.
#[utoipa::path(get, path = "/", tag = "versions", operation_id = "list_versions",
    params(("build" = Option<String>, Query, description = "Ask for the build instead")),
    responses(
        (status = 200, description = "The build", body = BuildBody),
        (status = 300, description = "The versions", body = VersionsBody),
        (status = 302, description = "Where the API is, for `Accept: application/json-home`",
            headers(("location" = String)))))]
pub async fn list(
    request: HttpRequest,
    params: Params,
    links: Links,
    version: Microversion,
) -> Result<HttpResponse, ApiError> {
    let headers = request.headers();
    if accept::names(headers, JSON_HOME) {
        return Ok(HttpResponse::Found().insert_header((LOCATION, links.api())).finish());
    }
    if !accept::takes_json(headers) {
        return Err(not_acceptable());
    }
    if params.has("build") {
        return Ok(HttpResponse::Ok().json(BuildBody { build: env!("CARGO_PKG_VERSION") }));
    }
    Ok(HttpResponse::MultipleChoices().json(VersionsBody::new(&links, version)))
}

/// Describes version 1 of the API
#[utoipa::path(get, path = "/v1", tag = "versions", operation_id = "get_version",
    responses((status = 200, description = "The version", body = VersionBody)))]
pub async fn describe(
    asker: Asker,
    request: HttpRequest,
    links: Links,
    version: Microversion,
) -> Result<Json<VersionBody>, ApiError> {
    asker.identify().await?;
    if !accept::takes_json(request.headers()) && !accept::names(request.headers(), JSON_HOME) {
        return Err(not_acceptable());
    }
    Ok(Json(VersionBody::new(&links, version)))
}

/// A form that only version documents are asked for in; there is nothing in it.
const JSON_HOME: &str = "application/json-home";

fn not_acceptable() -> ApiError {
    Failure::new(FailureKind::NotAcceptable, "").into()
}
