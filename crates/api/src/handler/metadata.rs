//! User metadata of secrets.

use actix_web::http::header::LOCATION;
use actix_web::web::Json;
use actix_web::{HttpResponse, Responder};
use bailey_core::request::{AddMetadatum, DeleteMetadatum, GetMetadata, GetMetadatum, PutMetadata, PutMetadatum};

use crate::dto::error::ErrorBody;
use crate::dto::metadata::{self, MetadataBody, MetadataRefBody, MetadatumBody};
use crate::error::ApiError;
use crate::extract::accept::AcceptsJson;
use crate::extract::asker::Asker;
use crate::extract::body::Body;
use crate::extract::links::Links;
use crate::extract::path::{KeyInPath, MetadatumParams, SecretInPath, SecretParams};

/// Tells a secret's user metadata
#[utoipa::path(get, path = "/v1/secrets/{id}/metadata", tag = "metadata", operation_id = "get_metadata",
    params(SecretParams),
    responses((status = 200, description = "All of it", body = MetadataBody)))]
pub async fn get_all(asker: Asker, secret: SecretInPath) -> Result<Json<MetadataBody>, ApiError> {
    let metadata = asker.ask(GetMetadata { id: secret.id }).await?;
    Ok(Json(MetadataBody { metadata }))
}

/// Replaces a secret's user metadata
#[utoipa::path(put, path = "/v1/secrets/{id}/metadata", tag = "metadata", operation_id = "put_metadata",
    params(SecretParams), request_body = MetadataBody,
    responses((status = 201, description = "It is stored", body = MetadataRefBody)))]
pub async fn put_all(
    asker: Asker,
    _: AcceptsJson,
    secret: SecretInPath,
    links: Links,
    body: Body,
) -> Result<impl Responder, ApiError> {
    let metadata_ref = links.metadata(&secret.text);
    asker.ask(PutMetadata { id: secret.id, metadata: metadata::read_all(body).into() }).await?;
    Ok(HttpResponse::Created().json(MetadataRefBody { metadata_ref }))
}

/// Adds one key to a secret's user metadata
#[utoipa::path(post, path = "/v1/secrets/{id}/metadata", tag = "metadata", operation_id = "add_metadatum",
    params(SecretParams), request_body = MetadatumBody,
    responses(
        (status = 201, description = "It is added", body = MetadatumBody,
            headers(("location" = String, description = "Its href"))),
        (status = 409, description = "The key is there already", body = ErrorBody)))]
pub async fn add(
    asker: Asker,
    _: AcceptsJson,
    secret: SecretInPath,
    links: Links,
    body: Body,
) -> Result<impl Responder, ApiError> {
    let added = asker.ask(AddMetadatum { id: secret.id, metadatum: metadata::read_one(body).into() }).await?;
    let location = (LOCATION, links.metadatum(&secret.text, &added.key));
    Ok(HttpResponse::Created().insert_header(location).json(MetadatumBody::from(added)))
}

/// Tells one key of a secret's user metadata
#[utoipa::path(get, path = "/v1/secrets/{id}/metadata/{key}", tag = "metadata", operation_id = "get_metadatum",
    params(MetadatumParams),
    responses((status = 200, description = "Key and value", body = MetadatumBody)))]
pub async fn get(
    asker: Asker,
    _: AcceptsJson,
    secret: SecretInPath,
    key: KeyInPath,
) -> Result<Json<MetadatumBody>, ApiError> {
    let metadatum = asker.ask(GetMetadatum { id: secret.id, key: key.0 }).await?;
    Ok(Json(metadatum.into()))
}

/// Changes one key of a secret's user metadata
#[utoipa::path(put, path = "/v1/secrets/{id}/metadata/{key}", tag = "metadata", operation_id = "put_metadatum",
    params(MetadatumParams),
    request_body = MetadatumBody,
    responses(
        (status = 200, description = "It is changed", body = MetadatumBody),
        (status = 409, description = "The key in the body is another one", body = ErrorBody)))]
pub async fn put(
    asker: Asker,
    _: AcceptsJson,
    secret: SecretInPath,
    key: KeyInPath,
    body: Body,
) -> Result<Json<MetadatumBody>, ApiError> {
    let metadatum = metadata::read_one(body).into();
    let changed = asker.ask(PutMetadatum { id: secret.id, key: key.0, metadatum }).await?;
    Ok(Json(changed.into()))
}

/// Removes one key of a secret's user metadata, if it is there
#[utoipa::path(delete, path = "/v1/secrets/{id}/metadata/{key}", tag = "metadata", operation_id = "delete_metadatum",
    params(MetadatumParams),
    responses((status = 204, description = "It is not there")))]
pub async fn delete(
    asker: Asker,
    _: AcceptsJson,
    secret: SecretInPath,
    key: KeyInPath,
) -> Result<impl Responder, ApiError> {
    asker.ask(DeleteMetadatum { id: secret.id, key: key.0 }).await?;
    Ok(HttpResponse::NoContent())
}
