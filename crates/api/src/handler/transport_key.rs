//! Transport keys.

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, Responder};
use bailey_core::request::{CreateTransportKey, DeleteTransportKey, GetTransportKey, ListTransportKeys};

use crate::dto::paging;
use crate::dto::transport_key::{
    self, NewTransportKeyBody, TransportKeyBody, TransportKeyListBody, TransportKeyListParams, TransportKeyRefBody,
};
use crate::error::ApiError;
use crate::extract::accept::AcceptsJson;
use crate::extract::asker::Asker;
use crate::extract::body::Body;
use crate::extract::links::Links;
use crate::extract::params::Params;
use crate::extract::path::{TransportKeyInPath, TransportKeyParams};
use crate::state::State;

/// Lists the transport keys
///
/// By creation, each as its href.
#[utoipa::path(get, path = "/v1/transport_keys", tag = "transport-keys", operation_id = "list_transport_keys",
    params(TransportKeyListParams),
    responses((status = 200, description = "A page of hrefs", body = TransportKeyListBody)))]
pub async fn list(
    asker: Asker,
    _: AcceptsJson,
    state: Data<State>,
    params: Params,
    links: Links,
) -> Result<Json<TransportKeyListBody>, ApiError> {
    let limits = &state.config.limits;
    let query = transport_key::read_query(&params, limits).into();
    let page = asker.ask(ListTransportKeys { query }).await?;
    Ok(Json(TransportKeyListBody::new(page, paging::asked(&params, limits), &links)))
}

/// Registers a transport key
///
/// For clients to find. Only the stores' own keys, which are there by themselves, can be used here.
#[utoipa::path(post, path = "/v1/transport_keys", tag = "transport-keys", operation_id = "create_transport_key",
    request_body = NewTransportKeyBody,
    responses((status = 201, description = "It is registered", body = TransportKeyRefBody,
        headers(("location" = String, description = "Its href")))))]
pub async fn create(asker: Asker, _: AcceptsJson, links: Links, body: Body) -> Result<impl Responder, ApiError> {
    let id = asker.ask(CreateTransportKey { key: transport_key::read(body).into() }).await?;
    let transport_key_ref = links.transport_key(id);
    let location = (LOCATION, transport_key_ref.clone());
    Ok(HttpResponse::Created().insert_header(location).json(TransportKeyRefBody { transport_key_ref }))
}

/// Tells one transport key
#[utoipa::path(get, path = "/v1/transport_keys/{transport_key}", tag = "transport-keys",
    operation_id = "get_transport_key", params(TransportKeyParams),
    responses((status = 200, description = "The key", body = TransportKeyBody)))]
pub async fn get(asker: Asker, _: AcceptsJson, key: TransportKeyInPath) -> Result<Json<TransportKeyBody>, ApiError> {
    let key = asker.ask(GetTransportKey { id: key.0 }).await?;
    Ok(Json(key.into()))
}

/// Withdraws a transport key
///
/// Nothing more is unwrapped with it. A store gets another one by itself.
#[utoipa::path(delete, path = "/v1/transport_keys/{transport_key}", tag = "transport-keys",
    operation_id = "delete_transport_key", params(TransportKeyParams),
    responses((status = 204, description = "It is gone")))]
pub async fn delete(asker: Asker, _: AcceptsJson, key: TransportKeyInPath) -> Result<impl Responder, ApiError> {
    asker.ask(DeleteTransportKey { id: key.0 }).await?;
    Ok(HttpResponse::NoContent())
}
