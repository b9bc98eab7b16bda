//! Certificate authorities. Where none is offered, all of this is 404.

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, Responder};
use bailey_core::request::{
    CreateSubAuthority, DeleteSubAuthority, GetCa, GetCaCertificate, GetCaChain, ListAllCas, ListCaProjects, ListCas,
};

use crate::dto::ca::{self, CaBody, CaListBody, CaListParams, CaProjectsBody, CaRefBody};
use crate::dto::error::ErrorBody;
use crate::dto::new_ca::{self, NewCaBody};
use crate::dto::paging;
use crate::error::ApiError;
use crate::extract::accept::AcceptsJson;
use crate::extract::asker::Asker;
use crate::extract::body::Body;
use crate::extract::idempotency::{Idempotency, IdempotencyParams};
use crate::extract::links::Links;
use crate::extract::params::Params;
use crate::extract::path::{CaInPath, CaParams};
use crate::state::State;

/// Certificates in PEM (RFC 8555, section 9.1).
const PEM: &str = "application/pem-certificate-chain";

/// Lists the CAs that the project's orders may name
///
/// Those that it has chosen, or all if it has chosen none, and those that it had made; by creation, each as its href.
#[utoipa::path(get, path = "/v1/cas", tag = "certificate-authorities", operation_id = "list_cas",
    params(CaListParams),
    responses((status = 200, description = "A page of hrefs", body = CaListBody),
        (status = 404, description = "CAs are not offered", body = ErrorBody)))]
pub async fn list(
    asker: Asker,
    _: AcceptsJson,
    state: Data<State>,
    params: Params,
    links: Links,
) -> Result<Json<CaListBody>, ApiError> {
    let limits = &state.config.limits;
    let page = asker.ask(ListCas { query: ca::read_query(&params, limits).into() }).await?;
    Ok(Json(CaListBody::new(page, paging::asked(&params, limits), &links.cas(), &links)))
}

/// Lists the CAs that the project may choose from
///
/// All of the configuration's, and those that the project had made.
#[utoipa::path(get, path = "/v1/cas/all", tag = "certificate-authorities", operation_id = "list_all_cas",
    params(CaListParams),
    responses((status = 200, description = "A page of hrefs", body = CaListBody),
        (status = 404, description = "CAs are not offered", body = ErrorBody)))]
pub async fn list_all(
    asker: Asker,
    _: AcceptsJson,
    state: Data<State>,
    params: Params,
    links: Links,
) -> Result<Json<CaListBody>, ApiError> {
    let limits = &state.config.limits;
    let page = asker.ask(ListAllCas { query: ca::read_query(&params, limits).into() }).await?;
    Ok(Json(CaListBody::new(page, paging::asked(&params, limits), &format!("{}/all", links.cas()), &links)))
}

/// Has a CA made below another
///
/// It is the project's alone. Its key stays where the CA above keeps its own.
#[utoipa::path(post, path = "/v1/cas", tag = "certificate-authorities", operation_id = "create_ca",
    params(IdempotencyParams), request_body = NewCaBody,
    responses((status = 201, description = "The CA is there", body = CaRefBody,
            headers(("location" = String, description = "Its href"))),
        (status = 404, description = "CAs are not offered", body = ErrorBody)))]
pub async fn create(
    asker: Asker,
    _: AcceptsJson,
    links: Links,
    idempotency: Idempotency,
    body: Body,
) -> Result<impl Responder, ApiError> {
    let idempotency = idempotency.of(&body);
    let authority = new_ca::read(body).into();
    let ca_ref = links.ca(asker.ask(CreateSubAuthority { authority, idempotency }).await?);
    Ok(HttpResponse::Created().insert_header((LOCATION, ca_ref.clone())).json(CaRefBody { ca_ref }))
}

/// Tells what a CA is
///
/// Its certificates are left out while it is out of reach.
#[utoipa::path(get, path = "/v1/cas/{ca}", tag = "certificate-authorities", operation_id = "get_ca",
    params(CaParams),
    responses((status = 200, description = "The CA", body = CaBody)))]
pub async fn get(asker: Asker, _: AcceptsJson, ca: CaInPath, links: Links) -> Result<Json<CaBody>, ApiError> {
    let found = asker.ask(GetCa { id: ca.0 }).await?;
    Ok(Json(CaBody::new(found, &links)))
}

/// Deletes a CA that the project had made
///
/// Its key is destroyed; what it issued stays valid.
#[utoipa::path(delete, path = "/v1/cas/{ca}", tag = "certificate-authorities", operation_id = "delete_ca",
    params(CaParams),
    responses((status = 204, description = "It is gone"),
        (status = 409, description = "The project prefers it, or there are CAs below it", body = ErrorBody)))]
pub async fn delete(asker: Asker, ca: CaInPath) -> Result<impl Responder, ApiError> {
    asker.ask(DeleteSubAuthority { id: ca.0 }).await?;
    Ok(HttpResponse::NoContent())
}

/// Tells the certificate that a CA signs with
#[utoipa::path(get, path = "/v1/cas/{ca}/cacert", tag = "certificate-authorities",
    operation_id = "get_ca_certificate", params(CaParams),
    responses((status = 200, description = "The certificate, PEM", body = String, content_type = PEM)))]
pub async fn get_certificate(asker: Asker, ca: CaInPath) -> Result<impl Responder, ApiError> {
    let certificate = asker.ask(GetCaCertificate { id: ca.0 }).await?;
    Ok(HttpResponse::Ok().content_type(PEM).body(certificate))
}

/// Tells the certificates that lead from a CA to its root
///
/// Its own first, the root's last.
#[utoipa::path(get, path = "/v1/cas/{ca}/intermediates", tag = "certificate-authorities",
    operation_id = "get_ca_chain", params(CaParams),
    responses((status = 200, description = "The certificates, PEM", body = String, content_type = PEM)))]
pub async fn get_chain(asker: Asker, ca: CaInPath) -> Result<impl Responder, ApiError> {
    let chain = asker.ask(GetCaChain { id: ca.0 }).await?;
    Ok(HttpResponse::Ok().content_type(PEM).body(chain))
}

/// Tells which projects have chosen a CA
#[utoipa::path(get, path = "/v1/cas/{ca}/projects", tag = "certificate-authorities",
    operation_id = "list_ca_projects", params(CaParams),
    responses((status = 200, description = "The projects", body = CaProjectsBody)))]
pub async fn list_projects(asker: Asker, _: AcceptsJson, ca: CaInPath) -> Result<Json<CaProjectsBody>, ApiError> {
    Ok(Json(asker.ask(ListCaProjects { id: ca.0 }).await?.into()))
}
