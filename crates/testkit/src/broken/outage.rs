//! A store that goes down and comes back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bailey_core::ids::{KekId, ProjectId, WriteId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::Spec;
use bailey_core::store::{
    Descriptor, Halves, Inventory, KeyPairs, KeyRotation, Place, RetrieveRequest, SecretStore, StoreError,
    StoreErrorKind, StoreReference, StoreRequest, StoredWrite,
};

/// How a store that is down fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fails {
    /// It refuses at once.
    AtOnce,
    /// It never answers what is asked meanwhile.
    Never,
    /// It refuses so many calls, then works.
    Times(u32),
}

/// Switches stores off and on, and counts what reaches them.
#[derive(Default)]
pub struct Outage {
    fails: Mutex<Option<Fails>>,
    calls: Mutex<BTreeMap<&'static str, usize>>,
}

impl Outage {
    /// From now on they fail like this, or work.
    pub fn set(&self, fails: Option<Fails>) {
        *self.fails.lock().unwrap() = fails;
    }

    /// How many calls of an operation have reached them, answered or not.
    pub fn calls(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().get(operation).copied().unwrap_or_default()
    }

    /// How many calls have reached them but for `health`.
    pub fn work(&self) -> usize {
        self.calls.lock().unwrap().iter().filter(|(operation, _)| **operation != "health").map(|(_, count)| count).sum()
    }

    async fn pass(&self, operation: &'static str) -> Result<(), StoreError> {
        *self.calls.lock().unwrap().entry(operation).or_default() += 1;
        let fails = match &mut *self.fails.lock().unwrap() {
            Some(Fails::Times(0)) | None => return Ok(()),
            Some(Fails::Times(left)) => {
                *left -= 1;
                Fails::AtOnce
            }
            Some(fails) => *fails,
        };
        match fails {
            Fails::Never => std::future::pending().await,
            _ => Err(StoreError::new(StoreErrorKind::Unavailable, operation, "switched off")),
        }
    }
}

/// A store that an [`Outage`] switches.
pub struct OutageStore {
    inner: Arc<dyn SecretStore>,
    outage: Arc<Outage>,
}

impl OutageStore {
    /// `inner`, as long as `outage` lets it.
    pub fn new(inner: Arc<dyn SecretStore>, outage: Arc<Outage>) -> Self {
        Self { inner, outage }
    }
}

#[async_trait]
impl SecretStore for OutageStore {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn store(&self, request: StoreRequest<'_>) -> Result<StoreReference, StoreError> {
        self.outage.pass("store").await?;
        self.inner.store(request).await
    }

    async fn retrieve(&self, request: RetrieveRequest<'_>) -> Result<SecretBytes, StoreError> {
        self.outage.pass("retrieve").await?;
        self.inner.retrieve(request).await
    }

    async fn delete(&self, place: &Place, reference: &StoreReference) -> Result<(), StoreError> {
        self.outage.pass("delete").await?;
        self.inner.delete(place, reference).await
    }

    async fn generate_symmetric(&self, place: &Place, spec: &Spec) -> Result<StoreReference, StoreError> {
        self.outage.pass("generate").await?;
        self.inner.generate_symmetric(place, spec).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.outage.pass("health").await?;
        self.inner.health().await
    }

    fn key_pairs(&self) -> Option<&dyn KeyPairs> {
        self.inner.key_pairs().map(|_| self as _)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        self.inner.inventory().map(|_| self as _)
    }

    fn key_rotation(&self) -> Option<&dyn KeyRotation> {
        self.inner.key_rotation().map(|_| self as _)
    }
}

#[async_trait]
impl KeyPairs for OutageStore {
    fn listed(&self) -> &[(&'static str, i32)] {
        self.inner.key_pairs().unwrap().listed()
    }

    async fn generate_asymmetric(
        &self,
        places: Halves<&Place>,
        spec: &Spec,
    ) -> Result<Halves<StoreReference>, StoreError> {
        self.outage.pass("generate_pair").await?;
        self.inner.key_pairs().unwrap().generate_asymmetric(places, spec).await
    }
}

#[async_trait]
impl Inventory for OutageStore {
    async fn list(
        &self,
        kek: Option<KekId>,
        after: Option<WriteId>,
        limit: u64,
    ) -> Result<Vec<StoredWrite>, StoreError> {
        self.outage.pass("list").await?;
        self.inner.inventory().unwrap().list(kek, after, limit).await
    }
}

#[async_trait]
impl KeyRotation for OutageStore {
    async fn rotate(&self, project: &ProjectId, reencrypt: bool) -> Result<Option<KekId>, StoreError> {
        self.outage.pass("rotate").await?;
        self.inner.key_rotation().unwrap().rotate(project, reencrypt).await
    }

    async fn to_reencrypt(&self) -> Result<Vec<KekId>, StoreError> {
        self.outage.pass("list_keks").await?;
        self.inner.key_rotation().unwrap().to_reencrypt().await
    }

    async fn rewrap(&self, limit: u64) -> Result<u64, StoreError> {
        self.outage.pass("rewrap").await?;
        self.inner.key_rotation().unwrap().rewrap(limit).await
    }
}
