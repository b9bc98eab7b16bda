//! What can be asked, one module per resource.

pub mod acl;
pub mod ca;
pub mod ca_choice;
pub mod challenge;
pub mod consumer;
pub mod container;
pub mod container_secret;
pub mod health;
pub mod metadata;
pub mod order;
pub mod payload;
pub(crate) mod placement;
pub mod quota;
pub mod revocation;
pub mod secret;
pub mod secret_store;
pub mod sub_authority;
mod transport;
pub mod transport_key;

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use bailey_core::request::{FindContainer, FindOrder, FindSecret, Identify};

use crate::Worker;

/// Whether the credentials are good.
///
/// # Errors
/// As every authenticator.
pub async fn identify(worker: &Worker, call: Call, _: Identify) -> Result<(), Failure> {
    worker.session(call).await.map(drop)
}

/// Whether there is a secret.
///
/// # Errors
/// `NotFound`, also when the caller mustn't know; `Unavailable`.
pub async fn find_secret(worker: &Worker, call: Call, request: FindSecret) -> Result<(), Failure> {
    worker.session(call).await?.find(request.id).await
}

/// Whether there is a container.
///
/// # Errors
/// `NotFound`, also when the caller mustn't know; `Unavailable`.
pub async fn find_container(worker: &Worker, call: Call, request: FindContainer) -> Result<(), Failure> {
    worker.session(call).await?.find_container(request.id).await
}

/// Whether there is an order.
///
/// # Errors
/// `NotFound`, also for other projects' orders; `Unavailable`.
pub async fn find_order(worker: &Worker, call: Call, request: FindOrder) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    order::find(worker, &session, request.id).await.map(drop)
}
