//! A store that tests take out of service, or stop between its effect and its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use bailey_core::ids::StoreId;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::Spec;
use bailey_core::store::{
    Descriptor, Halves, Inventory, KeyPairs, Place, RetrieveRequest, SecretStore, StoreError, StoreErrorKind,
    StoreReference, StoreRequest,
};
use bailey_testkit::memory::{MemoryShelf, MemoryStore};
use tokio::sync::Notify;

/// What a test does with its store.
#[derive(Default)]
pub struct Gate {
    shelf: Arc<MemoryShelf>,
    is_down: AtomicBool,
    makes_no_pairs: AtomicBool,
    pairs_asked: AtomicU32,
    /// Calls until one is held; none is, at zero.
    until_held: AtomicU32,
    reached: Notify,
    open: Notify,
}

impl Gate {
    /// The store behind the gate.
    pub fn store(self: &Arc<Self>, id: StoreId) -> Arc<dyn SecretStore> {
        Arc::new(Gated { inner: MemoryStore::new(id, Arc::clone(&self.shelf)), gate: Arc::clone(self) })
    }

    /// How many payloads the store has.
    pub fn stored(&self) -> usize {
        self.shelf.stored().len()
    }

    /// Takes the store out of service, or puts it back.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Makes no key pair any more, though it lists them.
    pub fn make_no_pairs(&self) {
        self.makes_no_pairs.store(true, Ordering::SeqCst);
    }

    /// How many key pairs the store was asked for.
    pub fn pairs_asked(&self) -> u32 {
        self.pairs_asked.load(Ordering::SeqCst)
    }

    /// Holds the n-th call from now on that stores, after it has, or that reads, before it does.
    pub fn hold(&self, nth: u32) {
        self.until_held.store(nth, Ordering::SeqCst);
    }

    /// Waits until the call is there that is to be held.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets the call go that is held.
    pub fn let_go(&self) {
        self.open.notify_one();
    }

    fn check(&self) -> Result<(), StoreError> {
        let down = || StoreError::new(StoreErrorKind::Unavailable, "store", "down");
        if self.is_down.load(Ordering::SeqCst) { Err(down()) } else { Ok(()) }
    }

    async fn pass(&self) {
        let left = self.until_held.load(Ordering::SeqCst);
        self.until_held.store(left.saturating_sub(1), Ordering::SeqCst);
        if left == 1 {
            self.reached.notify_one();
            self.open.notified().await;
        }
    }
}

struct Gated {
    inner: MemoryStore,
    gate: Arc<Gate>,
}

#[async_trait]
impl SecretStore for Gated {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn store(&self, request: StoreRequest<'_>) -> Result<StoreReference, StoreError> {
        self.gate.check()?;
        let reference = self.inner.store(request).await?;
        self.gate.pass().await;
        Ok(reference)
    }

    async fn retrieve(&self, request: RetrieveRequest<'_>) -> Result<SecretBytes, StoreError> {
        self.gate.check()?;
        self.gate.pass().await;
        self.inner.retrieve(request).await
    }

    async fn delete(&self, place: &Place, reference: &StoreReference) -> Result<(), StoreError> {
        self.gate.check()?;
        self.inner.delete(place, reference).await
    }

    async fn generate_symmetric(&self, place: &Place, spec: &Spec) -> Result<StoreReference, StoreError> {
        self.gate.check()?;
        let reference = self.inner.generate_symmetric(place, spec).await?;
        self.gate.pass().await;
        Ok(reference)
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.gate.check()
    }

    fn key_pairs(&self) -> Option<&dyn KeyPairs> {
        Some(self)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        self.inner.inventory()
    }
}

#[async_trait]
impl KeyPairs for Gated {
    fn listed(&self) -> &[(&'static str, i32)] {
        self.inner.listed()
    }

    async fn generate_asymmetric(
        &self,
        places: Halves<&Place>,
        spec: &Spec,
    ) -> Result<Halves<StoreReference>, StoreError> {
        self.gate.check()?;
        self.gate.pairs_asked.fetch_add(1, Ordering::SeqCst);
        if self.gate.makes_no_pairs.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unsupported, "make key pair", "no longer"));
        }
        let references = self.inner.generate_asymmetric(places, spec).await?;
        self.gate.pass().await;
        Ok(references)
    }
}
