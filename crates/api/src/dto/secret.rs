//! Secrets as clients see them.

use bailey_core::consumer::SecretConsumer;
use bailey_core::ids::TransportKeyId;
use bailey_core::secret::{CreatedSecret, Page, PageRequest, Secret};
use bailey_core::spec::ContentType;
use serde::Serialize;
use utoipa::ToSchema;

use crate::dto::paging::PageBody;
use crate::dto::{new_secret, time};
use crate::extract::links::Links;
use crate::extract::microversion::Microversion;
use crate::extract::params::Params;

/// Where a new secret is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecretRef, example = json!({
    "secret_ref": "http://localhost:9311/v1/secrets/01968a3e-8f4b-7cc3-98c4-dc0c0c07398f",
}))]
pub struct SecretRefBody {
    /// The secret's href.
    pub secret_ref: String,
    /// The href of the key that its payload may be wrapped to, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    transport_key_ref: Option<String>,
}

impl SecretRefBody {
    /// Writes where a new secret is.
    #[must_use]
    pub fn new(made: CreatedSecret, links: &Links) -> Self {
        let transport_key_ref = made.transport_key.map(|key| links.transport_key(key));
        Self { secret_ref: links.secret(made.id), transport_key_ref }
    }
}

/// What is known of a secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secret, example = json!({
    "created": "2030-02-28T19:14:44.180394", "updated": "2030-02-28T19:14:44.180394", "status": "ACTIVE",
    "name": "database password", "secret_type": "passphrase", "expiration": null,
    "algorithm": null, "bit_length": null, "mode": null, "creator_id": "admin",
    "content_types": {"default": "text/plain"},
    "secret_ref": "http://localhost:9311/v1/secrets/01968a3e-8f4b-7cc3-98c4-dc0c0c07398f",
}))]
pub struct SecretBody {
    /// When it was made, in UTC.
    created: String,
    /// When it last changed, in UTC.
    updated: String,
    /// Always ACTIVE.
    status: &'static str,
    /// Label.
    #[schema(required)]
    name: Option<String>,
    /// Kind of the payload.
    #[schema(schema_with = new_secret::secret_type)]
    secret_type: &'static str,
    /// When it ceases to be, in UTC.
    #[schema(required)]
    expiration: Option<String>,
    /// Label: the payload's algorithm.
    #[schema(required)]
    algorithm: Option<String>,
    /// Label: the payload's size in bits.
    #[schema(required)]
    bit_length: Option<i32>,
    /// Label: the payload's mode.
    #[schema(required)]
    mode: Option<String>,
    /// Who made it.
    #[schema(required)]
    creator_id: Option<String>,
    /// The payload's content type; absent while there is no payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    content_types: Option<ContentTypesBody>,
    /// Its href.
    secret_ref: String,
    /// Who registered an interest; from microversion 1.1 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    consumers: Option<Vec<ConsumerBody>>,
    /// The href of its store's transport key, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    transport_key_ref: Option<String>,
}

/// The content types a payload has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ContentTypes)]
pub struct ContentTypesBody {
    /// The one it was stored with.
    default: &'static str,
}

/// A registered interest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecretConsumer)]
pub struct ConsumerBody {
    /// Name of the service.
    service: String,
    /// Kind of the resource that uses the secret.
    resource_type: String,
    /// Its id.
    resource_id: String,
}

impl SecretBody {
    /// Writes a secret for a client that speaks `version`.
    #[must_use]
    pub fn new(secret: Secret, links: &Links, version: Microversion) -> Self {
        let consumers = || secret.consumers.into_iter().map(ConsumerBody::from).collect();
        Self {
            created: time::format(secret.created_at),
            updated: time::format(secret.updated_at),
            status: "ACTIVE",
            name: secret.name,
            secret_type: secret.secret_type.as_str(),
            expiration: secret.expires_at.map(time::format),
            algorithm: secret.spec.algorithm,
            bit_length: secret.spec.bit_length,
            mode: secret.spec.mode,
            creator_id: secret.creator.map(String::from),
            content_types: secret.content_type.map(|kind: ContentType| ContentTypesBody { default: kind.as_str() }),
            secret_ref: links.secret(secret.id),
            consumers: (version >= Microversion::CONSUMERS).then(consumers),
            transport_key_ref: None,
        }
    }

    /// The same with its store's transport key.
    #[must_use]
    pub fn with_transport_key(self, key: Option<TransportKeyId>, links: &Links) -> Self {
        Self { transport_key_ref: key.map(|key| links.transport_key(key)), ..self }
    }
}

impl From<SecretConsumer> for ConsumerBody {
    fn from(consumer: SecretConsumer) -> Self {
        let SecretConsumer { service, resource_type, resource_id, .. } = consumer;
        Self { service, resource_type, resource_id }
    }
}

/// Part of the list of secrets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecretList)]
pub struct SecretListBody {
    /// The secrets on this page.
    secrets: Vec<SecretBody>,
    #[serde(flatten)]
    page: PageBody,
}

impl SecretListBody {
    /// Writes a page; an empty one has no links.
    #[must_use]
    pub fn new(page: Page<Secret>, asked: PageRequest, links: &Links, params: &Params, version: Microversion) -> Self {
        let filters = params.without(&["limit", "offset"]);
        let separator = if filters.is_empty() { "" } else { "&" };
        let href = |page: &str| format!("{}?{page}{separator}{filters}", links.secrets());
        Self {
            page: PageBody::of(&page, asked, href),
            secrets: page.items.into_iter().map(|secret| SecretBody::new(secret, links, version)).collect(),
        }
    }
}
