//! Transport keys, as clients see and register them.

use bailey_core::failure::Failure;
use bailey_core::ids::TransportKeyId;
use bailey_core::secret::{Page, PageRequest};
use bailey_core::transport_key::{NewTransportKey, TransportKey, TransportKeyQuery};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::config::Limits;
use crate::dto::fields::Fields;
use crate::dto::paging::{self, PageBody};
use crate::dto::time;
use crate::extract::body::Body;
use crate::extract::links::Links;
use crate::extract::params::Params;

/// A transport key to be registered.
#[derive(ToSchema)]
#[schema(as = NewTransportKey)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand, strictly")]
pub struct NewTransportKeyBody {
    /// What it belongs to.
    #[schema(min_length = 1, max_length = 255)]
    plugin_name: String,
    /// The public key.
    #[schema(min_length = 1)]
    transport_key: String,
}

/// Where a transport key is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TransportKeyRef)]
pub struct TransportKeyRefBody {
    /// Its href.
    pub transport_key_ref: String,
}

/// A transport key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TransportKey, example = json!({
    "id": "01968a3e-8f4b-7cc3-98c4-dc0c0c07398f", "plugin_name": "simple",
    "transport_key": "-----BEGIN PUBLIC KEY-----\nMCow…\n-----END PUBLIC KEY-----\n", "status": "ACTIVE",
    "created_at": "2030-02-28 19:14:44.180394", "updated_at": "2030-02-28 19:14:44.180394",
    "deleted": false, "deleted_at": null,
}))]
pub struct TransportKeyBody {
    /// Its id.
    id: String,
    /// The name of its store, or what it was registered for.
    plugin_name: String,
    /// The public key; PEM of an X25519 key if it is a store's.
    transport_key: String,
    /// Always ACTIVE.
    status: &'static str,
    /// When it was made, in UTC.
    created_at: String,
    /// When it last changed, in UTC.
    updated_at: String,
    /// Always false.
    deleted: bool,
    /// Always null.
    #[schema(required)]
    deleted_at: Option<String>,
}

impl From<TransportKey> for TransportKeyBody {
    fn from(key: TransportKey) -> Self {
        Self {
            id: key.id.to_string(),
            plugin_name: key.plugin_name,
            transport_key: key.text,
            status: "ACTIVE",
            created_at: spaced(key.created_at),
            updated_at: spaced(key.updated_at),
            deleted: false,
            deleted_at: None,
        }
    }
}

/// A time as this resource alone writes it, with a blank in the middle.
fn spaced(at: DateTime<Utc>) -> String {
    time::format(at).replace('T', " ")
}

/// The parameters of `GET /v1/transport_keys`. None is ever malformed but what is repeated.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters in the OpenAPI document; they are read by hand")]
pub struct TransportKeyListParams {
    /// Most keys on the page; nonsense counts as the default.
    limit: Option<String>,
    /// How many keys to leave out first; nonsense counts as 0.
    offset: Option<String>,
    /// Exact name of the store, or of what the key was registered for.
    plugin_name: Option<String>,
}

/// Part of the list of transport keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TransportKeyList)]
pub struct TransportKeyListBody {
    /// Hrefs of the keys on this page.
    transport_keys: Vec<String>,
    #[serde(flatten)]
    page: PageBody,
}

impl TransportKeyListBody {
    /// Writes a page; an empty one has no links, and links carry no filter.
    #[must_use]
    pub fn new(page: Page<TransportKeyId>, asked: PageRequest, links: &Links) -> Self {
        let href = |page: &str| format!("{}?{page}", links.transport_keys());
        Self {
            page: PageBody::of(&page, asked, href),
            transport_keys: page.items.into_iter().map(|id| links.transport_key(id)).collect(),
        }
    }
}

/// Reads the query string of `GET /v1/transport_keys`.
///
/// # Errors
/// `Invalid` for a repeated parameter.
pub fn read_query(params: &Params, limits: &Limits) -> Result<TransportKeyQuery, Failure> {
    let plugin_name = params.one("plugin_name")?.map(str::to_owned);
    Ok(TransportKeyQuery { plugin_name, page: paging::read(params, limits)? })
}

/// Reads `{"plugin_name": ..., "transport_key": ...}`.
///
/// # Errors
/// `UnsupportedMedia`, `TooLarge`, `Invalid` with every bad field.
pub fn read(body: Body) -> Result<NewTransportKey, Failure> {
    let mut fields = Fields::open("Transport Key", body.json()?)?;
    let plugin_name = fields.required_label("plugin_name");
    if !fields.has("transport_key") {
        fields.complain("transport_key", "is required");
    }
    let text = fields.secret_text("transport_key").map(|text| text.expose().to_owned());
    for (name, value) in [("plugin_name", &plugin_name), ("transport_key", &text)] {
        if value.as_ref().is_some_and(String::is_empty) {
            fields.complain(name, "must not be empty");
        }
    }
    fields.close()?;
    Ok(NewTransportKey { plugin_name: plugin_name.unwrap_or_default(), text: text.unwrap_or_default() })
}
