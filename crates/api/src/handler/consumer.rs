//! Consumers of secrets and of containers.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use bailey_core::request::{
    AddContainerConsumer, AddSecretConsumer, GetConsumer, ListContainerConsumers, ListSecretConsumers,
    RemoveContainerConsumer, RemoveSecretConsumer,
};

use crate::dto::consumer::{self, ConsumerListBody, ConsumerListParams, ContainerUseBody, SecretUseBody};
use crate::dto::container::{ContainerBody, ContainerConsumerBody};
use crate::dto::error::ErrorBody;
use crate::dto::paging;
use crate::dto::secret::{ConsumerBody, SecretBody};
use crate::error::ApiError;
use crate::extract::accept::AcceptsJson;
use crate::extract::asker::{Asker, asker};
use crate::extract::body::Body;
use crate::extract::links::Links;
use crate::extract::microversion::Microversion;
use crate::extract::params::Params;
use crate::extract::path::{
    ConsumedInPath, ConsumerInPath, ContainerConsumerParams, ContainerInPath, ContainerParams, SecretConsumerParams,
    SecretInPath, SecretParams,
};
use crate::state::State;

/// Lists who registered with a secret
///
/// In the order in which they came.
#[utoipa::path(get, path = "/v1/secrets/{id}/consumers", tag = "consumers", operation_id = "list_secret_consumers",
    params(SecretParams, ConsumerListParams),
    responses((status = 200, description = "A page of consumers", body = ConsumerListBody<ConsumerBody>)))]
pub async fn list_of_secret(
    asker: Asker,
    _: AcceptsJson,
    state: Data<State>,
    secret: SecretInPath,
    params: Params,
    links: Links,
) -> Result<Json<ConsumerListBody<ConsumerBody>>, ApiError> {
    let limits = &state.config.limits;
    let page = paging::read(&params, limits).into();
    let found = asker.ask(ListSecretConsumers { id: secret.id, page }).await?;
    Ok(Json(ConsumerListBody::new(found, paging::asked(&params, limits), &links)))
}

/// Registers a consumer with a secret
///
/// From microversion 1.2 on a secret with consumers is spared from deletion. Registering it again changes nothing.
#[utoipa::path(post, path = "/v1/secrets/{id}/consumers", tag = "consumers", operation_id = "add_secret_consumer",
    params(SecretParams), request_body = SecretUseBody,
    responses((status = 200, description = "It is registered; the secret with all its consumers", body = SecretBody,
        headers(("location" = String, description = "Href of the consumers")))))]
pub async fn add_to_secret(
    asker: Asker,
    _: AcceptsJson,
    secret: SecretInPath,
    links: Links,
    body: Body,
) -> Result<impl Responder, ApiError> {
    let usage = consumer::read_secret_use(body).into();
    let secret = asker.ask(AddSecretConsumer { id: secret.id, usage }).await?;
    let location = (LOCATION, links.consumers(secret.id));
    let body = SecretBody::new(secret, &links, Microversion::CONSUMERS);
    Ok(HttpResponse::Ok().insert_header(location).json(body))
}

/// Ends a consumer's registration with a secret
///
/// For the project that registered it, and for the secret's own.
#[utoipa::path(delete, path = "/v1/secrets/{id}/consumers", tag = "consumers", operation_id = "remove_secret_consumer",
    params(SecretParams), request_body = SecretUseBody,
    responses((status = 200, description = "It is no more; the secret with its other consumers", body = SecretBody)))]
pub async fn remove_from_secret(
    asker: Asker,
    _: AcceptsJson,
    secret: SecretInPath,
    links: Links,
    body: Body,
) -> Result<Json<SecretBody>, ApiError> {
    let usage = consumer::read_secret_use(body).into();
    let secret = asker.ask(RemoveSecretConsumer { id: secret.id, usage }).await?;
    Ok(Json(SecretBody::new(secret, &links, Microversion::CONSUMERS)))
}

/// Looks for a consumer of a secret by its id
///
/// Ids of consumers are never told, so there is none to be found.
#[utoipa::path(get, path = "/v1/secrets/{id}/consumers/{consumer}", tag = "consumers",
    operation_id = "get_secret_consumer", params(SecretConsumerParams),
    responses((status = 404, description = "There is none", body = ErrorBody)))]
pub async fn get_of_secret(asker: Asker, _: AcceptsJson, consumer: ConsumerInPath) -> Result<HttpResponse, ApiError> {
    get(asker, consumer, "SecretConsumer retrieval").await
}

/// Lists who registered with a container
///
/// By name.
#[utoipa::path(get, path = "/v1/containers/{container}/consumers", tag = "consumers",
    operation_id = "list_container_consumers", params(ContainerParams, ConsumerListParams),
    responses((status = 200, description = "A page of consumers", body = ConsumerListBody<ContainerConsumerBody>)))]
pub async fn list_of_container(
    asker: Asker,
    _: AcceptsJson,
    state: Data<State>,
    container: ContainerInPath,
    params: Params,
    links: Links,
) -> Result<Json<ConsumerListBody<ContainerConsumerBody>>, ApiError> {
    let limits = &state.config.limits;
    let page = paging::read(&params, limits).into();
    let found = asker.ask(ListContainerConsumers { id: container.0, page }).await?;
    Ok(Json(ConsumerListBody::new(found, paging::asked(&params, limits), &links)))
}

/// Registers a consumer with a container
///
/// Registering it again changes nothing.
#[utoipa::path(post, path = "/v1/containers/{container}/consumers", tag = "consumers",
    operation_id = "add_container_consumer", params(ContainerParams), request_body = ContainerUseBody,
    responses((status = 200, description = "It is registered; the container with all its consumers",
        body = ContainerBody, headers(("location" = String, description = "Href of the consumers")))))]
pub async fn add_to_container(
    asker: Asker,
    _: AcceptsJson,
    container: ContainerInPath,
    links: Links,
    body: Body,
) -> Result<impl Responder, ApiError> {
    let usage = consumer::read_container_use(body).into();
    let container = asker.ask(AddContainerConsumer { id: container.0, usage }).await?;
    let location = (LOCATION, links.consumers(container.id));
    Ok(HttpResponse::Ok().insert_header(location).json(ContainerBody::new(container, &links)))
}

/// Ends a consumer's registration with a container
///
/// For the project that registered it, and for the container's own.
#[utoipa::path(delete, path = "/v1/containers/{container}/consumers", tag = "consumers",
    operation_id = "remove_container_consumer", params(ContainerParams), request_body = ContainerUseBody,
    responses((status = 200, description = "It is no more; the container with its other consumers",
        body = ContainerBody)))]
pub async fn remove_from_container(
    asker: Asker,
    _: AcceptsJson,
    container: ContainerInPath,
    links: Links,
    body: Body,
) -> Result<Json<ContainerBody>, ApiError> {
    let usage = consumer::read_container_use(body).into();
    let container = asker.ask(RemoveContainerConsumer { id: container.0, usage }).await?;
    Ok(Json(ContainerBody::new(container, &links)))
}

/// Looks for a consumer of a container by its id
///
/// Ids of consumers are never told, so there is none to be found.
#[utoipa::path(get, path = "/v1/containers/{container}/consumers/{consumer}", tag = "consumers",
    operation_id = "get_container_consumer", params(ContainerConsumerParams),
    responses((status = 404, description = "There is none", body = ErrorBody)))]
pub async fn get_of_container(
    asker: Asker,
    _: AcceptsJson,
    consumer: ConsumerInPath,
) -> Result<HttpResponse, ApiError> {
    get(asker, consumer, "ContainerConsumer retrieval").await
}

async fn get(asker: Asker, consumer: ConsumerInPath, label: &'static str) -> Result<HttpResponse, ApiError> {
    match asker.ask(GetConsumer { entity: consumer.0 }).await.map_err(|error| error.labelled(label))? {}
}

/// Lists who registered with a secret or container, at the address that Barbican tells those who register.
pub async fn list_of_either(
    request: HttpRequest,
    _: AcceptsJson,
    state: Data<State>,
    used: ConsumedInPath,
    params: Params,
    links: Links,
) -> Result<HttpResponse, ApiError> {
    let limits = &state.config.limits;
    let (page, asked) = (|| paging::read(&params, limits).into(), paging::asked(&params, limits));
    match asker(&request)?.ask(ListSecretConsumers { id: used.secret, page: page() }).await {
        Err(error) if error.status_code() == StatusCode::NOT_FOUND => {
            let found = asker(&request)?.ask(ListContainerConsumers { id: used.container, page: page() }).await?;
            Ok(HttpResponse::Ok().json(ConsumerListBody::new(found, asked, &links)))
        }
        found => Ok(HttpResponse::Ok().json(ConsumerListBody::new(found?, asked, &links))),
    }
}
