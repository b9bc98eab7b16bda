//! Parts of the path.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use bailey_core::failure::{Failure, Parsed};
use bailey_core::ids::{ConsumerId, EntityId, ProjectId};
use bailey_core::request::{CaPath, ContainerPath, EntityPath, OrderPath, SecretPath, StorePath, TransportKeyPath};
use percent_encoding::percent_decode_str;
use utoipa::IntoParams;

use crate::error::ApiError;

/// The secret in the path. A malformed id is an unknown one.
#[derive(Debug)]
pub struct SecretInPath {
    /// The id, or the complaint that it is none.
    pub id: SecretPath,
    /// The id as it stood there.
    pub text: String,
}

impl FromRequest for SecretInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self { id: id(request), text: segment(request, "id") }))
    }
}

/// What a path names that is looked up while Barbican routes: that it isn't there is told before anything
/// else but that the credentials are no good.
#[derive(Debug)]
pub enum Named {
    /// A secret.
    Secret(SecretPath),
    /// A container.
    Container(ContainerPath),
    /// A secret store.
    Store(StorePath),
    /// An order.
    Order(OrderPath),
    /// A transport key.
    TransportKey(TransportKeyPath),
    /// A CA.
    Ca(CaPath),
    /// All CAs, which are there only where some are offered.
    Cas,
}

/// What paths of CAs begin with.
const CAS: &str = "/v1/cas";

/// What the path names, if it names anything.
pub fn named(request: &HttpRequest) -> Option<Named> {
    let has = |name| request.match_info().get(name).is_some();
    if has("id") {
        Some(Named::Secret(id(request)))
    } else if has("container") {
        Some(Named::Container(container(request)))
    } else if has("order") {
        Some(Named::Order(order(request)))
    } else if has("store") {
        Some(Named::Store(store(request)))
    } else if has("transport_key") {
        Some(Named::TransportKey(transport_key(request)))
    } else if has("ca") {
        Some(Named::Ca(ca(request)))
    } else {
        request.match_pattern().filter(|pattern| pattern.starts_with(CAS)).map(|_| Named::Cas)
    }
}

fn id(request: &HttpRequest) -> SecretPath {
    // No stored key contains NUL, and no database likes to be asked for one.
    let key_exists = !segment(request, "key").contains('\0');
    match segment(request, "id").parse() {
        Ok(id) if key_exists => Parsed::Valid(id),
        Ok(_) => Parsed::Complaint(Failure::not_found("Secret metadata not found")),
        Err(_) => Parsed::Complaint(Failure::not_found("Provided secret id is invalid")),
    }
}

/// The container in the path. A malformed id is an unknown one.
#[derive(Debug)]
pub struct ContainerInPath(pub ContainerPath);

impl FromRequest for ContainerInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(container(request))))
    }
}

fn container(request: &HttpRequest) -> ContainerPath {
    let unknown = |_| Failure::not_found("Provided container id is invalid");
    segment(request, "container").parse().map_err(unknown).into()
}

/// Something in the path that has consumers, of whichever kind.
#[derive(Debug)]
pub struct ConsumedInPath {
    /// As the id of a secret.
    pub secret: SecretPath,
    /// As the id of a container.
    pub container: ContainerPath,
}

impl FromRequest for ConsumedInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = segment(request, "consumed");
        let unknown = |_| Failure::not_found("Provided id is invalid");
        ready(Ok(Self {
            secret: text.parse().map_err(unknown).into(),
            container: text.parse().map_err(unknown).into(),
        }))
    }
}

/// Whose consumer the path names. No consumer's id was ever told, so a malformed one is as unknown as any.
#[derive(Debug)]
pub struct ConsumerInPath(pub EntityPath);

impl FromRequest for ConsumerInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let entity = match (segment(request, "consumer").parse::<ConsumerId>(), named(request)) {
            (Ok(_), Some(Named::Secret(id))) => id.map(EntityId::from),
            (Ok(_), Some(Named::Container(id))) => id.map(EntityId::from),
            _ => Parsed::Complaint(Failure::not_found("Provided consumer id is invalid")),
        };
        ready(Ok(Self(entity)))
    }
}

/// What a path with a container has.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
pub struct ContainerParams {
    /// The container's id.
    container: uuid::Uuid,
}

/// The order in the path. A malformed id is an unknown one.
#[derive(Debug)]
pub struct OrderInPath(pub OrderPath);

impl FromRequest for OrderInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(order(request))))
    }
}

fn order(request: &HttpRequest) -> OrderPath {
    segment(request, "order").parse().map_err(|_| Failure::not_found("The order was not found")).into()
}

/// What a path with an order has.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
pub struct OrderParams {
    /// The order's id.
    order: uuid::Uuid,
}

/// What a path with a secret has.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
pub struct SecretParams {
    /// The secret's id.
    id: uuid::Uuid,
}

/// What a path with a consumer of a secret has.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
pub struct SecretConsumerParams {
    /// The secret's id.
    id: uuid::Uuid,
    /// The consumer's id.
    consumer: uuid::Uuid,
}

/// What a path with a consumer of a container has.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
pub struct ContainerConsumerParams {
    /// The container's id.
    container: uuid::Uuid,
    /// The consumer's id.
    consumer: uuid::Uuid,
}

/// What a path with a key of user metadata has.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
pub struct MetadatumParams {
    /// The secret's id.
    id: uuid::Uuid,
    /// The key, in lower case.
    key: String,
}

/// What a path with a project has.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
pub struct ProjectParams {
    /// The project's id, as the identity service names it.
    project: String,
}

/// The project in the path. What can be no project's id is unknown.
#[derive(Debug)]
pub struct ProjectInPath(pub Parsed<ProjectId>);

impl FromRequest for ProjectInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let unknown = |_| Failure::not_found("No project has such an id");
        ready(Ok(Self(ProjectId::new(segment(request, "project")).map_err(unknown).into())))
    }
}

/// The key of user metadata in the path, as given.
#[derive(Debug)]
pub struct KeyInPath(pub String);

impl FromRequest for KeyInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(segment(request, "key"))))
    }
}

/// The secret store in the path. A malformed id is an unknown one.
#[derive(Debug)]
pub struct StoreInPath(pub StorePath);

impl FromRequest for StoreInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(store(request))))
    }
}

fn store(request: &HttpRequest) -> StorePath {
    let unknown = |_| Failure::not_found("The secret store was not found");
    segment(request, "store").parse().map_err(unknown).into()
}

/// What a path with a secret store has.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
pub struct StoreParams {
    /// The store's id.
    store: uuid::Uuid,
}

/// The transport key in the path. A malformed id is an unknown one.
#[derive(Debug)]
pub struct TransportKeyInPath(pub TransportKeyPath);

impl FromRequest for TransportKeyInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(transport_key(request))))
    }
}

fn transport_key(request: &HttpRequest) -> TransportKeyPath {
    let unknown = |_| Failure::not_found("Provided transport key id is invalid");
    segment(request, "transport_key").parse().map_err(unknown).into()
}

/// What a path with a transport key has.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
pub struct TransportKeyParams {
    /// The key's id.
    transport_key: uuid::Uuid,
}

/// The CA in the path. A malformed id is an unknown one.
#[derive(Debug)]
pub struct CaInPath(pub CaPath);

impl FromRequest for CaInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(ca(request))))
    }
}

fn ca(request: &HttpRequest) -> CaPath {
    let unknown = |_| Failure::not_found("The certificate authority was not found");
    segment(request, "ca").parse().map_err(unknown).into()
}

/// What a path with a CA has.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path in the OpenAPI document")]
pub struct CaParams {
    /// The CA's id.
    ca: uuid::Uuid,
}

/// A segment, decoded; bytes that are not UTF-8 are replaced, and then match nothing stored.
fn segment(request: &HttpRequest, name: &str) -> String {
    percent_decode_str(request.match_info().query(name)).decode_utf8_lossy().into_owned()
}
