//! A CA that does what a test has it do, once each, and then issues.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bailey_core::ca::{
    CaDescriptor, CaError, CaErrorKind, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, Pending,
    Revocation, RevocationLists,
};
use bailey_db::Engine;
use bailey_testkit::memory::{MemoryAuthority, MemoryCa};
use tokio::sync::Notify;

use crate::certificates::over_ca;
use crate::harness::Harness;

/// What it does when it is asked for a certificate.
#[derive(Debug, Clone, Copy)]
pub enum Mood {
    /// Refuses.
    Reject,
    /// Is to be asked again after this time.
    Wait(Duration),
    /// Has a fault.
    Fail,
    /// Issues when it is let to.
    Hold,
}

pub struct Moody {
    descriptor: CaDescriptor,
    inner: MemoryCa,
    authority: Arc<MemoryAuthority>,
    moods: Mutex<VecDeque<Mood>>,
    reached: Notify,
    open: Notify,
}

/// A worker with such a CA alone, which looks for what is due to be renewed all the time.
pub async fn with_moody_ca(engine: Engine) -> (Harness, Arc<Moody>) {
    with_tracing_ca(engine, true).await
}

/// The same; it leaves traces or doesn't.
pub async fn with_tracing_ca(engine: Engine, leaves_traces: bool) -> (Harness, Arc<Moody>) {
    let authority = Arc::new(MemoryAuthority::new().unwrap());
    let inner = MemoryCa::new(Arc::clone(&authority), 0);
    let descriptor = CaDescriptor { leaves_traces, ..inner.descriptor().clone() };
    let (moods, reached, open) = (Mutex::default(), Notify::new(), Notify::new());
    let ca = Arc::new(Moody { descriptor, inner, authority, moods, reached, open });
    (over_ca(engine, Arc::clone(&ca) as _).await.with_quick_rotation(), ca)
}

impl Moody {
    /// Does these next, one after the other.
    pub fn will(&self, moods: impl IntoIterator<Item = Mood>) {
        self.moods.lock().unwrap().extend(moods);
    }

    /// How many certificates it has issued.
    pub fn signed(&self) -> u64 {
        self.authority.signed()
    }

    /// Waits until it is asked for what it holds.
    pub async fn reached(&self) {
        tokio::time::timeout(Duration::from_secs(30), self.reached.notified()).await.unwrap();
    }

    /// Lets it issue what it holds.
    pub fn let_go(&self) {
        self.open.notify_one();
    }
}

#[async_trait]
impl CertificateAuthority for Moody {
    fn descriptor(&self) -> &CaDescriptor {
        &self.descriptor
    }

    async fn issue(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        let mood = self.moods.lock().unwrap().pop_front();
        match mood {
            Some(Mood::Reject) => return Ok(Issuance::rejected("Not today")),
            Some(Mood::Wait(retry_after)) => {
                let state = IssuanceState("waits".into());
                return Ok(Issuance::Pending(Pending { state, retry_after, waits_for: "better days".into() }));
            }
            Some(Mood::Fail) => return Err(CaError::new(CaErrorKind::Internal, "issue", "a bad day")),
            Some(Mood::Hold) => {
                self.reached.notify_one();
                self.open.notified().await;
            }
            None => {}
        }
        self.inner.issue(request).await
    }

    async fn poll(&self, request: &IssuanceRequest, _: &IssuanceState) -> Result<Issuance, CaError> {
        self.issue(request).await
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, CaError> {
        self.inner.revoke(revocation).await
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        self.inner.chain().await
    }

    async fn health(&self) -> Result<(), CaError> {
        self.inner.health().await
    }

    fn revocation_lists(&self) -> Option<&dyn RevocationLists> {
        self.inner.revocation_lists()
    }
}
