//! Secret stores, and which one a project prefers.

use actix_web::web::Json;
use actix_web::{HttpResponse, Responder};
use bailey_core::request::{GetDefaultStore, GetPreferredStore, GetStore, ListStores, PreferNoStore, PreferStore};

use crate::dto::error::ErrorBody;
use crate::dto::secret_store::{StoreBody, StoreListBody};
use crate::error::ApiError;
use crate::extract::accept::AcceptsJson;
use crate::extract::asker::Asker;
use crate::extract::links::Links;
use crate::extract::path::{StoreInPath, StoreParams};

/// Lists the secret stores
///
/// All of them at once, by creation. With a single store there is no such resource, unless the operator
/// wants it.
#[utoipa::path(get, path = "/v1/secret-stores", tag = "secret-stores", operation_id = "list_stores",
    responses(
        (status = 200, description = "The stores", body = StoreListBody),
        (status = 404, description = "There is only one", body = crate::dto::error::ErrorBody)))]
pub async fn list(asker: Asker, _: AcceptsJson, links: Links) -> Result<Json<StoreListBody>, ApiError> {
    let stores = asker.ask(ListStores {}).await?;
    Ok(Json(StoreListBody::new(stores, &links)))
}

/// Tells the store of projects that prefer none
#[utoipa::path(get, path = "/v1/secret-stores/global-default", tag = "secret-stores",
    operation_id = "get_default_store",
    responses(
        (status = 200, description = "The store", body = StoreBody),
        (status = 404, description = "There is only one", body = crate::dto::error::ErrorBody)))]
pub async fn get_default(asker: Asker, _: AcceptsJson, links: Links) -> Result<Json<StoreBody>, ApiError> {
    let store = asker.ask(GetDefaultStore {}).await?;
    Ok(Json(StoreBody::new(store, &links)))
}

/// Tells the store that the project prefers
#[utoipa::path(get, path = "/v1/secret-stores/preferred", tag = "secret-stores",
    operation_id = "get_preferred_store",
    responses(
        (status = 200, description = "The store", body = StoreBody),
        (status = 404, description = "It prefers none", body = crate::dto::error::ErrorBody)))]
pub async fn get_preferred(asker: Asker, _: AcceptsJson, links: Links) -> Result<Json<StoreBody>, ApiError> {
    let store = asker.ask(GetPreferredStore {}).await?;
    Ok(Json(StoreBody::new(store, &links)))
}

/// Tells one secret store
#[utoipa::path(get, path = "/v1/secret-stores/{store}", tag = "secret-stores", operation_id = "get_store",
    params(StoreParams),
    responses((status = 200, description = "The store", body = StoreBody)))]
pub async fn get(asker: Asker, _: AcceptsJson, store: StoreInPath, links: Links) -> Result<Json<StoreBody>, ApiError> {
    let store = asker.ask(GetStore { id: store.0 }).await?;
    Ok(Json(StoreBody::new(store, &links)))
}

/// Has the project prefer a secret store
///
/// What is stored from now on goes there. What is stored already stays where it is.
#[utoipa::path(post, path = "/v1/secret-stores/{store}/preferred", tag = "secret-stores",
    operation_id = "prefer_store", params(StoreParams),
    responses((status = 204, description = "The project prefers it"),
        (status = 409, description = "The configuration says where the project's payloads go", body = ErrorBody)))]
pub async fn prefer(asker: Asker, _: AcceptsJson, store: StoreInPath) -> Result<impl Responder, ApiError> {
    asker.ask(PreferStore { id: store.0 }).await?;
    Ok(HttpResponse::NoContent())
}

/// Has the project prefer no secret store
///
/// Whichever store is named.
#[utoipa::path(delete, path = "/v1/secret-stores/{store}/preferred", tag = "secret-stores",
    operation_id = "prefer_no_store", params(StoreParams),
    responses((status = 204, description = "The project prefers none"),
        (status = 409, description = "The configuration says where the project's payloads go", body = ErrorBody)))]
pub async fn prefer_none(asker: Asker, _: AcceptsJson, store: StoreInPath) -> Result<impl Responder, ApiError> {
    asker.ask(PreferNoStore { id: store.0 }).await?;
    Ok(HttpResponse::NoContent())
}
