//! Deadline and metrics around a certificate authority, so that no plugin has to bring its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bailey_core::ca::{
    CaDescriptor, CaError, CaErrorKind, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState,
    NewSubAuthority, Renewal, RenewalWindow, Revocation, RevocationList, RevocationLists, StatusAnswer,
    StatusResponder, SubAuthorities, SubAuthority,
};
use bailey_core::ids::CaId;

use crate::Config;

/// A CA whose calls end within a deadline and are counted.
///
/// Nothing is tried again here: the order that wants a certificate is, and the plugin knows what came of the call
/// before.
pub struct GuardedAuthority {
    inner: Arc<dyn CertificateAuthority>,
    deadline: Duration,
}

impl GuardedAuthority {
    /// Guards `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn CertificateAuthority>, config: &Config) -> Self {
        Self { inner, deadline: config.ca_deadline() }
    }

    async fn guard<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, CaError>> + Send,
    ) -> Result<T, CaError> {
        let (name, begun_at) = (&self.inner.descriptor().name, Instant::now());
        let late = || CaError::new(CaErrorKind::Unavailable, operation, "deadline exceeded");
        let result = tokio::time::timeout(self.deadline, work).await.unwrap_or_else(|_| Err(late()));
        metrics::histogram!("bailey_ca_seconds", "ca" => name.clone(), "operation" => operation)
            .record(begun_at.elapsed().as_secs_f64());
        let outcome = result.as_ref().map_or_else(|error| outcome(error.kind), |_| "ok");
        metrics::counter!("bailey_ca_calls_total", "ca" => name.clone(), "operation" => operation,
            "outcome" => outcome)
        .increment(1);
        result
    }

    fn lacks<T>(operation: &'static str) -> Result<T, CaError> {
        Err(CaError::new(CaErrorKind::Unsupported, operation, "the CA has no such extension"))
    }
}

const fn outcome(kind: CaErrorKind) -> &'static str {
    match kind {
        CaErrorKind::NotFound => "not_found",
        CaErrorKind::Corrupt => "corrupt",
        CaErrorKind::Unsupported => "unsupported",
        CaErrorKind::Unavailable => "unavailable",
        CaErrorKind::Internal => "internal",
    }
}

#[async_trait]
impl CertificateAuthority for GuardedAuthority {
    fn descriptor(&self) -> &CaDescriptor {
        self.inner.descriptor()
    }

    async fn issue(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        self.guard("issue", self.inner.issue(request)).await
    }

    async fn poll(&self, request: &IssuanceRequest, state: &IssuanceState) -> Result<Issuance, CaError> {
        self.guard("poll", self.inner.poll(request, state)).await
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, CaError> {
        self.guard("revoke", self.inner.revoke(revocation)).await
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        self.guard("chain", self.inner.chain()).await
    }

    async fn health(&self) -> Result<(), CaError> {
        self.guard("health", self.inner.health()).await
    }

    fn revocation_lists(&self) -> Option<&dyn RevocationLists> {
        self.inner.revocation_lists().map(|_| self as _)
    }

    fn status_responder(&self) -> Option<&dyn StatusResponder> {
        self.inner.status_responder().map(|_| self as _)
    }

    fn renewal(&self) -> Option<&dyn Renewal> {
        self.inner.renewal().map(|_| self as _)
    }

    fn sub_authorities(&self) -> Option<&dyn SubAuthorities> {
        self.inner.sub_authorities().map(|_| self as _)
    }
}

#[async_trait]
impl RevocationLists for GuardedAuthority {
    async fn revocation_list(&self, generation: Option<u32>) -> Result<RevocationList, CaError> {
        let Some(lists) = self.inner.revocation_lists() else { return Self::lacks("crl") };
        self.guard("crl", lists.revocation_list(generation)).await
    }
}

#[async_trait]
impl StatusResponder for GuardedAuthority {
    fn subject(&self, question: &[u8]) -> Option<Vec<u8>> {
        self.inner.status_responder().and_then(|responder| responder.subject(question))
    }

    async fn status(&self, question: &[u8]) -> Result<StatusAnswer, CaError> {
        let Some(responder) = self.inner.status_responder() else { return Self::lacks("status") };
        self.guard("status", responder.status(question)).await
    }
}

#[async_trait]
impl Renewal for GuardedAuthority {
    async fn renewal_window(&self, certificate: &[u8]) -> Result<RenewalWindow, CaError> {
        let Some(renewal) = self.inner.renewal() else { return Self::lacks("renewal") };
        self.guard("renewal", renewal.renewal_window(certificate)).await
    }
}

#[async_trait]
impl SubAuthorities for GuardedAuthority {
    async fn create(&self, new: &NewSubAuthority) -> Result<SubAuthority, CaError> {
        let Some(below) = self.inner.sub_authorities() else { return Self::lacks("create") };
        self.guard("create", below.create(new)).await
    }

    fn open(&self, id: CaId, name: &str) -> Arc<dyn CertificateAuthority> {
        match self.inner.sub_authorities() {
            Some(below) => Arc::new(Self { inner: below.open(id, name), deadline: self.deadline }),
            None => Arc::clone(&self.inner),
        }
    }

    async fn delete(&self, id: CaId) -> Result<(), CaError> {
        let Some(below) = self.inner.sub_authorities() else { return Self::lacks("delete") };
        self.guard("delete", below.delete(id)).await
    }
}
