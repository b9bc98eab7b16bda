//! Containers.

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, Responder};
use bailey_core::request::{
    AddContainerSecret, CreateContainer, DeleteContainer, GetContainer, ListContainers, RemoveContainerSecret,
};

use crate::dto::container::{ContainerBody, ContainerListBody, ContainerRefBody};
use crate::dto::container_query::{self, ContainerListParams};
use crate::dto::error::ErrorBody;
use crate::dto::new_container::{self, GivenReferenceBody, NewContainerBody};
use crate::dto::paging;
use crate::error::ApiError;
use crate::extract::accept::AcceptsJson;
use crate::extract::asker::Asker;
use crate::extract::body::Body;
use crate::extract::idempotency::{Idempotency, IdempotencyParams};
use crate::extract::links::Links;
use crate::extract::params::Params;
use crate::extract::path::{ContainerInPath, ContainerParams};
use crate::state::State;

/// Creates a container
///
/// Its secrets must be the caller's project's, and be there.
#[utoipa::path(post, path = "/v1/containers", tag = "containers", operation_id = "create_container",
    params(IdempotencyParams), request_body = NewContainerBody,
    responses(
        (status = 201, description = "The container is there", body = ContainerRefBody,
            headers(("location" = String, description = "Its href"))),
        (status = 404, description = "A secret is not there", body = ErrorBody)))]
pub async fn create(
    asker: Asker,
    _: AcceptsJson,
    links: Links,
    idempotency: Idempotency,
    body: Body,
) -> Result<impl Responder, ApiError> {
    let idempotency = idempotency.of(&body);
    let container = new_container::read(body, &links).into();
    let container_ref = links.container(asker.ask(CreateContainer { container, idempotency }).await?);
    Ok(created(container_ref))
}

fn created(container_ref: String) -> HttpResponse {
    let location = (LOCATION, container_ref.clone());
    HttpResponse::Created().insert_header(location).json(ContainerRefBody { container_ref })
}

/// Lists the project's containers
///
/// By creation.
#[utoipa::path(get, path = "/v1/containers", tag = "containers", operation_id = "list_containers",
    params(ContainerListParams),
    responses((status = 200, description = "A page of containers", body = ContainerListBody)))]
pub async fn list(
    asker: Asker,
    _: AcceptsJson,
    state: Data<State>,
    params: Params,
    links: Links,
) -> Result<Json<ContainerListBody>, ApiError> {
    let limits = &state.config.limits;
    let page = asker.ask(ListContainers { query: container_query::read(&params, limits).into() }).await?;
    Ok(Json(ContainerListBody::new(page, paging::asked(&params, limits), &links)))
}

/// Tells what a container is and holds
#[utoipa::path(get, path = "/v1/containers/{container}", tag = "containers", operation_id = "get_container",
    params(ContainerParams),
    responses((status = 200, description = "The container", body = ContainerBody)))]
pub async fn get(
    asker: Asker,
    _: AcceptsJson,
    container: ContainerInPath,
    links: Links,
) -> Result<Json<ContainerBody>, ApiError> {
    let found = asker.ask(GetContainer { id: container.0 }).await?;
    Ok(Json(ContainerBody::new(found, &links)))
}

/// Deletes a container
///
/// Its secrets stay.
#[utoipa::path(delete, path = "/v1/containers/{container}", tag = "containers", operation_id = "delete_container",
    params(ContainerParams),
    responses((status = 204, description = "It is gone")))]
pub async fn delete(asker: Asker, container: ContainerInPath) -> Result<impl Responder, ApiError> {
    asker.ask(DeleteContainer { id: container.0 }).await?;
    Ok(HttpResponse::NoContent())
}

/// Puts a secret into a generic container
#[utoipa::path(post, path = "/v1/containers/{container}/secrets", tag = "containers",
    operation_id = "add_container_secret",
    params(ContainerParams), request_body = GivenReferenceBody,
    responses(
        (status = 201, description = "It is in the container", body = ContainerRefBody,
            headers(("location" = String, description = "The container's href"))),
        (status = 409, description = "It is there already under this name", body = ErrorBody)))]
pub async fn add_secret(
    asker: Asker,
    _: AcceptsJson,
    container: ContainerInPath,
    links: Links,
    body: Body,
) -> Result<impl Responder, ApiError> {
    let reference = new_container::read_reference(body).into();
    let container = asker.ask(AddContainerSecret { id: container.0, reference }).await?;
    Ok(created(links.container(container)))
}

/// Takes a secret out of a container
#[utoipa::path(delete, path = "/v1/containers/{container}/secrets", tag = "containers",
    operation_id = "remove_container_secret",
    params(ContainerParams), request_body = GivenReferenceBody,
    responses((status = 204, description = "It is not in the container under this name")))]
pub async fn remove_secret(asker: Asker, container: ContainerInPath, body: Body) -> Result<impl Responder, ApiError> {
    asker.ask(RemoveContainerSecret { id: container.0, reference: new_container::read_reference(body).into() }).await?;
    Ok(HttpResponse::NoContent())
}
