//! Orders.

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, Responder};
use bailey_core::request::{CreateOrder, DeleteOrder, GetOrder, ListOrders, UpdateOrder, UpdateOrders};

use crate::dto::new_order::{self, NewOrderBody};
use crate::dto::order::{self, OrderBody, OrderListBody, OrderListParams, OrderRefBody};
use crate::dto::paging;
use crate::error::ApiError;
use crate::extract::accept::AcceptsJson;
use crate::extract::asker::Asker;
use crate::extract::body::Body;
use crate::extract::idempotency::{Idempotency, IdempotencyParams};
use crate::extract::links::Links;
use crate::extract::params::Params;
use crate::extract::path::{OrderInPath, OrderParams};
use crate::handler::fallback;
use crate::state::State;

/// Orders a key, a key pair or a certificate
///
/// The order is kept at once and worked on afterwards: GET tells how far it is.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", operation_id = "create_order",
    params(IdempotencyParams), request_body = NewOrderBody,
    responses((status = 202, description = "The order is taken", body = OrderRefBody,
        headers(("location" = String, description = "Its href")))))]
pub async fn create(
    asker: Asker,
    _: AcceptsJson,
    links: Links,
    idempotency: Idempotency,
    body: Body,
) -> Result<impl Responder, ApiError> {
    let idempotency = idempotency.of(&body);
    let id = asker.ask(CreateOrder { order: new_order::read(body).into(), idempotency }).await?;
    let order_ref = links.order(id);
    Ok(HttpResponse::Accepted().insert_header((LOCATION, order_ref.clone())).json(OrderRefBody { order_ref }))
}

/// Lists the project's orders
///
/// By creation.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", operation_id = "list_orders", params(OrderListParams),
    responses((status = 200, description = "A page of orders", body = OrderListBody)))]
pub async fn list(
    asker: Asker,
    _: AcceptsJson,
    state: Data<State>,
    params: Params,
    links: Links,
) -> Result<Json<OrderListBody>, ApiError> {
    let limits = &state.config.limits;
    let page = asker.ask(ListOrders { query: order::query(&params, limits).into() }).await?;
    Ok(Json(OrderListBody::new(page, paging::asked(&params, limits), &links)))
}

/// Tells how far an order is
#[utoipa::path(get, path = "/v1/orders/{order}", tag = "orders", operation_id = "get_order", params(OrderParams),
    responses((status = 200, description = "The order", body = OrderBody)))]
pub async fn get(asker: Asker, _: AcceptsJson, order: OrderInPath, links: Links) -> Result<Json<OrderBody>, ApiError> {
    let found = asker.ask(GetOrder { id: order.0 }).await?;
    Ok(Json(OrderBody::new(found, &links)))
}

/// Deletes an order
///
/// What it has made stays; what it hasn't made yet is not made.
#[utoipa::path(delete, path = "/v1/orders/{order}", tag = "orders", operation_id = "delete_order", params(OrderParams),
    responses((status = 204, description = "It is gone")))]
pub async fn delete(asker: Asker, order: OrderInPath) -> Result<impl Responder, ApiError> {
    asker.ask(DeleteOrder { id: order.0 }).await?;
    Ok(HttpResponse::NoContent())
}

/// Changes what a pending certificate order asks for
///
/// As long as its CA wasn't asked. There is no such method where there is no CA.
#[utoipa::path(put, path = "/v1/orders/{order}", tag = "orders", operation_id = "change_order", params(OrderParams),
    request_body = NewOrderBody,
    responses((status = 204, description = "The order is changed"),
        (status = 405, description = "There is no CA", body = crate::dto::error::ErrorBody),
        (status = 409, description = "Its CA was asked already", body = crate::dto::error::ErrorBody)))]
pub async fn change(asker: Asker, order: OrderInPath, body: Body) -> Result<HttpResponse, ApiError> {
    let can_be = asker.ask(UpdateOrder { id: order.0, change: new_order::read_change(body).into() }).await?;
    Ok(if can_be { HttpResponse::NoContent().finish() } else { fallback::method_not_allowed("DELETE, GET") })
}

/// Orders as a whole can't be changed: told to those who might, if they could.
pub async fn update(asker: Asker) -> Result<HttpResponse, ApiError> {
    asker.ask(UpdateOrders {}).await?;
    Ok(fallback::method_not_allowed("GET, POST"))
}
