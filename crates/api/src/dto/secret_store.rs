//! Secret stores as clients see them.

use std::borrow::Cow;

use bailey_core::store::ConfiguredStore;
use serde::Serialize;
use utoipa::ToSchema;

use crate::dto::time;
use crate::extract::links::Links;

/// The configured secret stores.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecretStoreList)]
pub struct StoreListBody {
    /// All of them.
    secret_stores: Vec<StoreBody>,
}

/// A configured secret store.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecretStore, example = json!({
    "name": "simple", "status": "ACTIVE",
    "created": "2030-02-28T19:14:44.180394", "updated": "2030-02-28T19:14:44.180394",
    "secret_store_plugin": "store_crypto", "crypto_plugin": "simple_crypto", "global_default": true,
    "secret_store_ref": "http://localhost:9311/v1/secret-stores/01968a3e-8f4b-7cc3-98c4-dc0c0c07398f",
}))]
pub struct StoreBody {
    /// Its configured name.
    name: String,
    /// Always ACTIVE.
    status: &'static str,
    /// When it was first configured, in UTC.
    created: String,
    /// When its name last changed, in UTC.
    updated: String,
    /// Its kind, by the name that Barbican has for it.
    #[schema(value_type = String)]
    secret_store_plugin: Cow<'static, str>,
    /// What encrypts in it, by the name that Barbican has for it; null in stores that keep secrets themselves.
    #[schema(required)]
    crypto_plugin: Option<&'static str>,
    /// Whether payloads of projects without a preference go there.
    global_default: bool,
    /// Its href.
    secret_store_ref: String,
}

impl StoreListBody {
    /// Writes all stores.
    #[must_use]
    pub fn new(stores: Vec<ConfiguredStore>, links: &Links) -> Self {
        Self { secret_stores: stores.into_iter().map(|store| StoreBody::new(store, links)).collect() }
    }
}

impl StoreBody {
    /// Writes one store.
    #[must_use]
    pub fn new(store: ConfiguredStore, links: &Links) -> Self {
        let (secret_store_plugin, crypto_plugin) = plugins(store.kind);
        Self {
            name: store.name,
            status: "ACTIVE",
            created: time::format(store.created_at),
            updated: time::format(store.updated_at),
            secret_store_plugin,
            crypto_plugin,
            global_default: store.is_default,
            secret_store_ref: links.store(store.id),
        }
    }
}

/// What Barbican calls the plugins that do what a kind of store does: clients know these names. A kind
/// that Barbican has nothing like goes by its own.
fn plugins(kind: Cow<'static, str>) -> (Cow<'static, str>, Option<&'static str>) {
    match kind.as_ref() {
        "simple" => ("store_crypto".into(), Some("simple_crypto")),
        "pkcs11" => ("store_crypto".into(), Some("p11_crypto")),
        "kmip" => ("kmip_plugin".into(), None),
        _ => (kind, None),
    }
}
