//! The OpenAPI document, made from the handlers, and its page for people.

use std::sync::LazyLock;

use actix_web::http::header::{ContentType, LOCATION};
use actix_web::{HttpResponse, web};
use utoipa::OpenApi as _;
use utoipa_swagger_ui::SwaggerUi;

mod complete;

use complete::Completed;

use crate::handler::{health, metadata, payload, secret, version};

/// Everything that is served, as the handlers describe it.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Bailey", description = "A key manager that speaks the OpenStack Key Manager API v1."),
    paths(
        version::list, version::describe, health::check, health::live, document,
        secret::create, secret::list, secret::get, secret::delete, payload::put, payload::get,
        metadata::get_all, metadata::put_all, metadata::add, metadata::get, metadata::put, metadata::delete,
    ),
    modifiers(&Completed)
)]
struct Document;

static DOCUMENT: LazyLock<web::Bytes> =
    LazyLock::new(|| serde_json::to_vec(&Document::openapi()).unwrap_or_default().into());

/// Describes the API
///
/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "documentation", operation_id = "get_openapi",
    responses((status = 200, description = "An OpenAPI document", body = serde_json::Value)))]
pub async fn document() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(DOCUMENT.clone())
}

/// The page for people, with all it needs: it works offline.
#[must_use]
pub fn docs() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}").config(utoipa_swagger_ui::Config::from("/openapi.json"))
}

/// The page's relative links need a slash at the end.
pub async fn to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}
