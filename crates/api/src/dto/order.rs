//! Orders as clients see them.

use bailey_core::failure::Failure;
use bailey_core::order::{Order, OrderError, OrderQuery};
use bailey_core::secret::{Page, PageRequest};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::config::Limits;
use crate::dto::paging::{self, PageBody};
use crate::dto::{new_order, time};
use crate::extract::links::Links;
use crate::extract::params::Params;

/// Where a new order is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderRef, example = json!({
    "order_ref": "http://localhost:9311/v1/orders/01968a3e-8f4b-7cc3-98c4-dc0c0c07398f",
}))]
pub struct OrderRefBody {
    /// The order's href.
    pub order_ref: String,
}

/// How far an order is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order, example = json!({
    "created": "2030-02-28T19:14:44.180394", "updated": "2030-02-28T19:14:44.980394", "status": "ACTIVE",
    "type": "key", "meta": {"name": "disk", "algorithm": "aes", "bit_length": 256, "expiration": null},
    "sub_status": "Unknown", "sub_status_message": "Unknown", "creator_id": "admin",
    "secret_ref": "http://localhost:9311/v1/secrets/01968a3e-8f4b-7cc3-98c4-dc0c0c07398f",
    "order_ref": "http://localhost:9311/v1/orders/01968a3e-8f4b-7cc3-98c4-dc0c0c07398e",
}))]
pub struct OrderBody {
    /// When it was given, in UTC.
    created: String,
    /// When it last changed, in UTC.
    updated: String,
    /// PENDING, ACTIVE once its product is there, or ERROR.
    #[schema(schema_with = status)]
    status: &'static str,
    /// What it makes.
    #[schema(schema_with = new_order::order_type)]
    r#type: &'static str,
    /// What was said of the product, but its passphrase.
    #[schema(value_type = Object)]
    meta: Box<RawValue>,
    /// How far it is, more closely.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sub_status: Option<String>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sub_status_message: Option<String>,
    /// An HTTP status that tells why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_status_code: Option<String>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_reason: Option<String>,
    /// Who gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    creator_id: Option<String>,
    /// The key it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    secret_ref: Option<String>,
    /// The container with the key pair or the certificate that it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    container_ref: Option<String>,
    /// Its href.
    order_ref: String,
}

fn status() -> utoipa::openapi::Object {
    crate::dto::new_secret::one_of(&["PENDING", "ACTIVE", "ERROR"])
}

impl OrderBody {
    /// Writes an order.
    #[must_use]
    pub fn new(order: Order, links: &Links) -> Self {
        let (error_status_code, error_reason) = match order.error {
            Some(OrderError { code, reason }) => (Some(code), Some(reason)),
            None => (None, None),
        };
        Self {
            created: time::format(order.created_at),
            updated: time::format(order.updated_at),
            status: order.status.as_str(),
            r#type: order.order_type.as_str(),
            meta: RawValue::from_string(order.meta).unwrap_or_default(),
            sub_status: order.sub_status,
            sub_status_message: order.sub_status_message,
            error_status_code,
            error_reason,
            creator_id: order.creator.map(String::from),
            secret_ref: order.secret.map(|id| links.secret(id)),
            container_ref: order.container.map(|id| links.container(id)),
            order_ref: links.order(order.id),
        }
    }
}

/// Part of the list of orders.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderList)]
pub struct OrderListBody {
    /// The orders on this page.
    orders: Vec<OrderBody>,
    #[serde(flatten)]
    page: PageBody,
}

impl OrderListBody {
    /// Writes a page. Its links drop the filter, as Barbican's do.
    #[must_use]
    pub fn new(page: Page<Order>, asked: PageRequest, links: &Links) -> Self {
        let href = |page: &str| format!("{}?{page}", links.orders());
        Self {
            page: PageBody::of(&page, asked, href),
            orders: page.items.into_iter().map(|order| OrderBody::new(order, links)).collect(),
        }
    }
}

/// The parameters of `GET /v1/orders`. None is ever malformed but what is repeated.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters in the OpenAPI document; they are read by hand")]
pub struct OrderListParams {
    /// Most orders on the page; nonsense counts as the default.
    limit: Option<String>,
    /// How many orders to leave out first; nonsense counts as 0.
    offset: Option<String>,
    /// Part of the text of `meta`; `%` and `_` are wildcards.
    meta: Option<String>,
}

/// Reads the query string of `GET /v1/orders`.
///
/// # Errors
/// `Invalid` for a repeated parameter.
pub fn query(params: &Params, limits: &Limits) -> Result<OrderQuery, Failure> {
    let meta = params.one("meta")?.map(str::to_owned);
    Ok(OrderQuery { meta, page: paging::read(params, limits)? })
}
