//! Whether CAs can be used: told to operators, and not to clients, whose orders wait.

use std::sync::Arc;

use bailey_core::ca::CertificateAuthority;
use bailey_core::told::Complaint;

use crate::Worker;

/// A configured CA, and what was told of it last.
pub(super) struct Watched {
    authority: Arc<dyn CertificateAuthority>,
    complaint: Complaint,
}

impl Watched {
    /// Every one of a worker.
    pub(super) fn all(worker: &Worker) -> Vec<Self> {
        let watched = |authority: &Arc<_>| Self { authority: Arc::clone(authority), complaint: Complaint::default() };
        worker.authorities.iter().map(watched).collect()
    }

    /// Asks it, and tells what is new.
    pub(super) async fn look(&mut self) {
        let ca = &self.authority.descriptor().name;
        let health = self.authority.health().await;
        metrics::gauge!("bailey_ca_usable", "ca" => ca.clone()).set(if health.is_ok() { 1.0 } else { 0.0 });
        match health {
            Ok(()) if self.complaint.is_over() => tracing::info!(ca, "a CA can be used again"),
            Ok(()) => {}
            Err(error) => {
                if self.complaint.is_news(&error) {
                    tracing::warn!(ca, %error, "a CA can't be used, so orders for it wait");
                }
            }
        }
    }
}
