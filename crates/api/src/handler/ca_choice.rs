//! Which certificate authorities a project has chosen, and which ones are preferred.

use actix_web::web::Json;
use actix_web::{HttpResponse, Responder};
use bailey_core::request::{
    ChooseCa, DismissCa, GetGlobalPreferredCa, GetPreferredCa, PreferCa, PreferCaGlobally, PreferNoCaGlobally,
};

use crate::dto::ca::CaRefBody;
use crate::dto::error::ErrorBody;
use crate::error::ApiError;
use crate::extract::accept::AcceptsJson;
use crate::extract::asker::Asker;
use crate::extract::links::Links;
use crate::extract::path::{CaInPath, CaParams};

/// Tells the CA that the project prefers
///
/// If it prefers none itself, the one that all prefer.
#[utoipa::path(get, path = "/v1/cas/preferred", tag = "certificate-authorities", operation_id = "get_preferred_ca",
    responses((status = 200, description = "The CA", body = CaRefBody),
        (status = 404, description = "None is preferred", body = ErrorBody)))]
pub async fn get_preferred(asker: Asker, _: AcceptsJson, links: Links) -> Result<Json<CaRefBody>, ApiError> {
    let ca_ref = links.ca(asker.ask(GetPreferredCa {}).await?);
    Ok(Json(CaRefBody { ca_ref }))
}

/// Tells the CA that all projects prefer that prefer none themselves
#[utoipa::path(get, path = "/v1/cas/global-preferred", tag = "certificate-authorities",
    operation_id = "get_global_preferred_ca",
    responses((status = 200, description = "The CA", body = CaRefBody),
        (status = 404, description = "None is preferred", body = ErrorBody)))]
pub async fn get_global_preferred(asker: Asker, _: AcceptsJson, links: Links) -> Result<Json<CaRefBody>, ApiError> {
    let ca_ref = links.ca(asker.ask(GetGlobalPreferredCa {}).await?);
    Ok(Json(CaRefBody { ca_ref }))
}

/// Has all prefer no CA that prefer none themselves
#[utoipa::path(post, path = "/v1/cas/unset-global-preferred", tag = "certificate-authorities",
    operation_id = "unset_global_preferred_ca",
    responses((status = 204, description = "None is preferred"),
        (status = 404, description = "CAs are not offered", body = ErrorBody)))]
pub async fn prefer_none_globally(asker: Asker) -> Result<impl Responder, ApiError> {
    asker.ask(PreferNoCaGlobally {}).await?;
    Ok(HttpResponse::NoContent())
}

/// Adds a CA to those of the project
///
/// From the first one on, the project's orders go to its own CAs only; the first one is its preferred one.
#[utoipa::path(post, path = "/v1/cas/{ca}/add-to-project", tag = "certificate-authorities",
    operation_id = "add_ca_to_project", params(CaParams),
    responses((status = 204, description = "It is one of the project's")))]
pub async fn choose(asker: Asker, ca: CaInPath) -> Result<impl Responder, ApiError> {
    asker.ask(ChooseCa { id: ca.0 }).await?;
    Ok(HttpResponse::NoContent())
}

/// Takes a CA away from those of the project
#[utoipa::path(post, path = "/v1/cas/{ca}/remove-from-project", tag = "certificate-authorities",
    operation_id = "remove_ca_from_project", params(CaParams),
    responses((status = 204, description = "It is none of the project's"),
        (status = 409, description = "The project prefers it, and has others", body = ErrorBody)))]
pub async fn dismiss(asker: Asker, ca: CaInPath) -> Result<impl Responder, ApiError> {
    asker.ask(DismissCa { id: ca.0 }).await?;
    Ok(HttpResponse::NoContent())
}

/// Has the project prefer one of its CAs
#[utoipa::path(post, path = "/v1/cas/{ca}/set-preferred", tag = "certificate-authorities",
    operation_id = "set_preferred_ca", params(CaParams),
    responses((status = 204, description = "The project prefers it")))]
pub async fn prefer(asker: Asker, ca: CaInPath) -> Result<impl Responder, ApiError> {
    asker.ask(PreferCa { id: ca.0 }).await?;
    Ok(HttpResponse::NoContent())
}

/// Has all projects prefer a CA that prefer none themselves
#[utoipa::path(post, path = "/v1/cas/{ca}/set-global-preferred", tag = "certificate-authorities",
    operation_id = "set_global_preferred_ca", params(CaParams),
    responses((status = 204, description = "They prefer it")))]
pub async fn prefer_globally(asker: Asker, ca: CaInPath) -> Result<impl Responder, ApiError> {
    asker.ask(PreferCaGlobally { id: ca.0 }).await?;
    Ok(HttpResponse::NoContent())
}
