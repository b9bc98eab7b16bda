#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::AtomicU8;

use async_trait::async_trait;
use bailey_core::ca::{
    CaDescriptor, Issuance, IssuanceRequest, IssuanceState, Revocation, RevocationList, RevocationLists,
    StatusResponder,
};
use chrono::Utc;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::*;

/// A CA that signs when it is let, and says how often it began to.
struct Gated {
    descriptor: CaDescriptor,
    gate: Semaphore,
    signed: AtomicU8,
}

impl Gated {
    fn new() -> Arc<Self> {
        let descriptor = CaDescriptor {
            id: CaId::new(),
            name: "gated".into(),
            kind: "gated".into(),
            profiles: Vec::new(),
            tells_chain: false,
            revokes: false,
            leaves_traces: false,
        };
        Arc::new(Self { descriptor, gate: Semaphore::new(0), signed: AtomicU8::default() })
    }

    /// How often it began to sign.
    fn signed(&self) -> u8 {
        self.signed.load(Ordering::SeqCst)
    }

    async fn sign(&self) -> Vec<u8> {
        let number = self.signed.fetch_add(1, Ordering::SeqCst) + 1;
        self.gate.acquire().await.unwrap().forget();
        vec![number]
    }
}

fn nothing<T>() -> Result<T, CaError> {
    Err(CaError::new(CaErrorKind::Unsupported, "ask", "it only publishes"))
}

#[async_trait]
impl CertificateAuthority for Gated {
    fn descriptor(&self) -> &CaDescriptor {
        &self.descriptor
    }

    async fn issue(&self, _: &IssuanceRequest) -> Result<Issuance, CaError> {
        nothing()
    }

    async fn poll(&self, _: &IssuanceRequest, _: &IssuanceState) -> Result<Issuance, CaError> {
        nothing()
    }

    async fn revoke(&self, _: &Revocation) -> Result<bool, CaError> {
        nothing()
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        nothing()
    }

    async fn health(&self) -> Result<(), CaError> {
        nothing()
    }

    fn revocation_lists(&self) -> Option<&dyn RevocationLists> {
        Some(self)
    }

    fn status_responder(&self) -> Option<&dyn StatusResponder> {
        Some(self)
    }
}

#[async_trait]
impl RevocationLists for Gated {
    async fn revocation_list(&self, _: Option<u32>) -> Result<RevocationList, CaError> {
        Ok(RevocationList { der: self.sign().await, number: 1, next_update: Utc::now() })
    }
}

const PLAIN: &[u8] = b"plain";
const NONCE: &[u8] = b"nonce";
const REFUSED: &[u8] = b"refused";

#[async_trait]
impl StatusResponder for Gated {
    fn subject(&self, question: &[u8]) -> Option<Vec<u8>> {
        (question != NONCE).then(|| question.to_vec())
    }

    async fn status(&self, question: &[u8]) -> Result<StatusAnswer, CaError> {
        Ok(StatusAnswer { der: self.sign().await, is_for_all: question == PLAIN })
    }
}

/// Lets everything run as far as it goes.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_signature_does_for_all_who_ask_for_the_same() {
    let (published, ca) = (Published::default(), Gated::new());
    let release = async {
        settle().await;
        ca.gate.add_permits(100);
    };
    let lists = join_all((0..20).map(|_| published.list(&*ca, 1)));
    let (lists, ()) = tokio::join!(lists, release);
    assert!(lists.into_iter().all(|list| *list.unwrap() == [1]));
    assert_eq!(*published.list(&*ca, 1).await.unwrap(), [1], "a moment later");
    assert_eq!(*published.list(&*ca, 2).await.unwrap(), [2], "another generation's");

    let answers = join_all((0..20).map(|_| published.answer(&*ca, PLAIN))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().unwrap().der == [3]));
    for number in 4..6 {
        assert_eq!(published.answer(&*ca, NONCE).await.unwrap().unwrap().der, [number]);
    }
    for number in 6..8 {
        assert_eq!(published.answer(&*ca, REFUSED).await.unwrap().unwrap().der, [number]);
    }
    assert_eq!(published.answer(&*ca, PLAIN).await.unwrap().unwrap().der, [3]);
}

#[tokio::test]
async fn what_was_begun_before_a_revocation_is_not_told_after_it() {
    let (published, ca) = (Arc::new(Published::default()), Gated::new());
    let begun = tokio::spawn({
        let (published, ca) = (Arc::clone(&published), Arc::clone(&ca));
        async move { tokio::join!(published.list(&*ca, 1), published.answer(&*ca, PLAIN)).0.map(drop) }
    });
    settle().await;
    assert_eq!(ca.signed(), 2);
    published.revoked(ca.descriptor.id).await;
    ca.gate.add_permits(100);
    begun.await.unwrap().unwrap();
    assert_eq!(*published.list(&*ca, 1).await.unwrap(), [3]);
    assert_eq!(published.answer(&*ca, PLAIN).await.unwrap().unwrap().der, [4]);
    published.revoked(ca.descriptor.id).await;
    assert_eq!(*published.list(&*ca, 1).await.unwrap(), [5]);
    assert_eq!(published.answer(&*ca, PLAIN).await.unwrap().unwrap().der, [6]);
}

#[tokio::test]
async fn nobody_waits_for_more_than_so_many_signatures() {
    let (published, ca) = (Arc::new(Published::default()), Gated::new());
    ca.gate.add_permits(1);
    let remembered = published.answer(&*ca, PLAIN).await.unwrap();
    let asked: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (published, ca) = (Arc::clone(&published), Arc::clone(&ca));
            tokio::spawn(async move { published.answer(&*ca, NONCE).await.unwrap().unwrap() })
        })
        .collect();
    settle().await;
    for question in [NONCE, REFUSED] {
        let told = timeout(Duration::from_secs(5), published.answer(&*ca, question)).await.unwrap();
        assert_eq!(told.unwrap().unwrap(), StatusAnswer::try_later());
    }
    assert_eq!(StatusAnswer::try_later().der, [0x30, 3, 0x0a, 1, 3]);
    assert_eq!(published.answer(&*ca, PLAIN).await.unwrap(), remembered);
    assert_eq!(usize::from(ca.signed()), AT_ONCE + 1);
    ca.gate.add_permits(100);
    assert!(join_all(asked).await.into_iter().all(|answer| answer.unwrap().der.len() == 1));
    assert_eq!(published.answer(&*ca, NONCE).await.unwrap().unwrap().der.len(), 1, "there is room again");
}

#[test]
fn who_was_late_brings_no_deleted_ca_back() {
    let (published, ca) = (Published::default(), Gated::new());
    let (id, open) = (ca.descriptor.id, || Arc::clone(&ca) as Arc<_>);
    let early = published.place(id);
    assert!(published.opened(&early).is_none());
    let late = published.place(id);
    let opened = published.open(early, open);
    assert!(Arc::ptr_eq(&opened, &published.opened(&published.place(id)).unwrap()));
    published.deleted(id);
    assert!(published.opened(&published.place(id)).is_none());
    let _ = published.open(late, open);
    assert!(published.opened(&published.place(id)).is_none());
}
