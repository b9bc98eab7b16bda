//! What a store's or a CA's error means to a client.

use bailey_core::ca::{CaError, CaErrorKind};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::store::{StoreError, StoreErrorKind};

/// Maps a store's error. The reason of an internal failure goes to the log only, so it may name
/// the operation; it never holds a secret because [`StoreError`] never does.
pub(crate) fn store_failure(error: &StoreError) -> Failure {
    let text = || match &error.source {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    match error.kind {
        StoreErrorKind::Unavailable | StoreErrorKind::Stuck => {
            Failure::unavailable("The secret store is unavailable").with_detail(text())
        }
        StoreErrorKind::Unsupported => {
            Failure::new(FailureKind::NotSupported, "The secret store does not support this secret")
        }
        StoreErrorKind::Corrupt | StoreErrorKind::NotFound => Failure::new(FailureKind::Corrupt, text()),
        StoreErrorKind::Conflict | StoreErrorKind::Internal => Failure::internal(text()),
    }
}

/// Maps a CA's error, as [`store_failure`] does a store's.
pub(crate) fn ca_failure(error: &CaError) -> Failure {
    let text = match &error.source {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    match error.kind {
        CaErrorKind::Unavailable => {
            let failure = Failure::unavailable("The certificate authority is unavailable").with_detail(text);
            Failure { retry_after: error.retry_after.or(failure.retry_after), ..failure }
        }
        CaErrorKind::Unsupported => {
            Failure::new(FailureKind::NotSupported, "The certificate authority does not support this")
        }
        CaErrorKind::NotFound => Failure::not_found("The certificate authority knows no such certificate"),
        CaErrorKind::Corrupt => Failure::new(FailureKind::Corrupt, text),
        CaErrorKind::Internal => Failure::internal(text),
    }
}
