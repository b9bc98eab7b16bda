//! Access control lists of secrets and of containers.

use actix_web::web::Json;
use actix_web::{HttpResponse, Responder};
use bailey_core::ids::EntityId;
use bailey_core::request::{DeleteAcl, EntityPath, GetAcl, PatchAcl, PutAcl};

use crate::dto::acl::{self, AclBody, AclRefBody, NewAclBody};
use crate::error::ApiError;
use crate::extract::accept::AcceptsJson;
use crate::extract::asker::Asker;
use crate::extract::body::Body;
use crate::extract::links::Links;
use crate::extract::path::{ContainerInPath, ContainerParams, SecretInPath, SecretParams};

/// What messages call the two kinds of ACLs.
const OF_SECRET: Labels =
    Labels { retrieval: "SecretACL(s) retrieval", update: "SecretACL(s) Update", deletion: "SecretACL(s) deletion" };
const OF_CONTAINER: Labels = Labels {
    retrieval: "ContainerACL(s) retrieval",
    update: "ContainerACL(s) Update",
    deletion: "ContainerACL(s) deletion",
};

struct Labels {
    retrieval: &'static str,
    update: &'static str,
    deletion: &'static str,
}

/// Tells a secret's ACL
#[utoipa::path(get, path = "/v1/secrets/{id}/acl", tag = "acls", operation_id = "get_secret_acl",
    params(SecretParams),
    responses((status = 200, description = "The ACL, or what holds without one", body = AclBody)))]
pub async fn get_of_secret(asker: Asker, _: AcceptsJson, secret: SecretInPath) -> Result<Json<AclBody>, ApiError> {
    get(asker, secret.id.map(EntityId::from), OF_SECRET).await
}

/// Tells a container's ACL
#[utoipa::path(get, path = "/v1/containers/{container}/acl", tag = "acls", operation_id = "get_container_acl",
    params(ContainerParams),
    responses((status = 200, description = "The ACL, or what holds without one", body = AclBody)))]
pub async fn get_of_container(
    asker: Asker,
    _: AcceptsJson,
    container: ContainerInPath,
) -> Result<Json<AclBody>, ApiError> {
    get(asker, container.0.map(EntityId::from), OF_CONTAINER).await
}

async fn get(asker: Asker, entity: EntityPath, labels: Labels) -> Result<Json<AclBody>, ApiError> {
    let acl = asker.ask(GetAcl { entity }).await.map_err(|error| error.labelled(labels.retrieval))?;
    Ok(Json(acl.into()))
}

/// Replaces a secret's ACL
///
/// What isn't said is as it is by default; where nothing is said, the ACL is removed.
#[utoipa::path(put, path = "/v1/secrets/{id}/acl", tag = "acls", operation_id = "put_secret_acl",
    params(SecretParams), request_body = NewAclBody,
    responses((status = 200, description = "It is stored", body = AclRefBody)))]
pub async fn put_of_secret(
    asker: Asker,
    _: AcceptsJson,
    secret: SecretInPath,
    links: Links,
    body: Body,
) -> Result<Json<AclRefBody>, ApiError> {
    let request = PutAcl { entity: secret.id.map(EntityId::from), acl: acl::read(body).into() };
    updated(asker.ask(request).await, &links, OF_SECRET)
}

/// Replaces a container's ACL
///
/// What isn't said is as it is by default; where nothing is said, the ACL is removed.
#[utoipa::path(put, path = "/v1/containers/{container}/acl", tag = "acls", operation_id = "put_container_acl",
    params(ContainerParams), request_body = NewAclBody,
    responses((status = 200, description = "It is stored", body = AclRefBody)))]
pub async fn put_of_container(
    asker: Asker,
    _: AcceptsJson,
    container: ContainerInPath,
    links: Links,
    body: Body,
) -> Result<Json<AclRefBody>, ApiError> {
    let request = PutAcl { entity: container.0.map(EntityId::from), acl: acl::read(body).into() };
    updated(asker.ask(request).await, &links, OF_CONTAINER)
}

/// Changes a secret's ACL, or makes one
///
/// What isn't said stays; the list of users is replaced as a whole.
#[utoipa::path(patch, path = "/v1/secrets/{id}/acl", tag = "acls", operation_id = "patch_secret_acl",
    params(SecretParams), request_body = NewAclBody,
    responses((status = 200, description = "It is changed", body = AclRefBody)))]
pub async fn patch_of_secret(
    asker: Asker,
    _: AcceptsJson,
    secret: SecretInPath,
    links: Links,
    body: Body,
) -> Result<Json<AclRefBody>, ApiError> {
    let request = PatchAcl { entity: secret.id.map(EntityId::from), change: acl::read(body).into() };
    updated(asker.ask(request).await, &links, OF_SECRET)
}

/// Changes a container's ACL, or makes one
///
/// What isn't said stays; the list of users is replaced as a whole.
#[utoipa::path(patch, path = "/v1/containers/{container}/acl", tag = "acls", operation_id = "patch_container_acl",
    params(ContainerParams), request_body = NewAclBody,
    responses((status = 200, description = "It is changed", body = AclRefBody)))]
pub async fn patch_of_container(
    asker: Asker,
    _: AcceptsJson,
    container: ContainerInPath,
    links: Links,
    body: Body,
) -> Result<Json<AclRefBody>, ApiError> {
    let request = PatchAcl { entity: container.0.map(EntityId::from), change: acl::read(body).into() };
    updated(asker.ask(request).await, &links, OF_CONTAINER)
}

fn updated(of: Result<EntityId, ApiError>, links: &Links, labels: Labels) -> Result<Json<AclRefBody>, ApiError> {
    let of = of.map_err(|error| error.labelled(labels.update))?;
    Ok(Json(AclRefBody { acl_ref: links.acl(of) }))
}

/// Removes a secret's ACL, if there is one
#[utoipa::path(delete, path = "/v1/secrets/{id}/acl", tag = "acls", operation_id = "delete_secret_acl",
    params(SecretParams),
    responses((status = 200, description = "There is none; the body is null", body = Option<AclBody>)))]
pub async fn delete_of_secret(asker: Asker, _: AcceptsJson, secret: SecretInPath) -> Result<impl Responder, ApiError> {
    delete(asker, secret.id.map(EntityId::from), OF_SECRET).await
}

/// Removes a container's ACL, if there is one
#[utoipa::path(delete, path = "/v1/containers/{container}/acl", tag = "acls", operation_id = "delete_container_acl",
    params(ContainerParams),
    responses((status = 200, description = "There is none; the body is null", body = Option<AclBody>)))]
pub async fn delete_of_container(
    asker: Asker,
    _: AcceptsJson,
    container: ContainerInPath,
) -> Result<impl Responder, ApiError> {
    delete(asker, container.0.map(EntityId::from), OF_CONTAINER).await
}

async fn delete(asker: Asker, entity: EntityPath, labels: Labels) -> Result<HttpResponse, ApiError> {
    asker.ask(DeleteAcl { entity }).await.map_err(|error| error.labelled(labels.deletion))?;
    Ok(HttpResponse::Ok().json(()))
}
