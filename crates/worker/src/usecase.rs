//! What can be asked, one module per resource.

pub mod health;
pub mod metadata;
pub mod payload;
pub(crate) mod placement;
pub mod secret;

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use bailey_core::request::{FindSecret, Identify};

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
