//! What every [`SecretStore`] must do.

mod binding;
mod capability;
mod keeping;
mod pairs;
mod rotation;
mod secrecy;
mod tampering;

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use bailey_core::ids::{KekId, ProjectId, WriteId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{
    Descriptor, Halves, KeyPairs, Place, RetrieveRequest, SecretStore, StoreError, StoreErrorKind, StoreReference,
    StoreRequest,
};

use super::{Case, Open, Suite, case, expect_failure, fresh_place, fresh_project, mentions};

/// What the suite needs of whoever runs a store.
#[async_trait]
pub trait StoreFixture: Send + Sync {
    /// Another instance over the same back-end, with empty caches.
    async fn instance(&self) -> Result<Arc<dyn SecretStore>>;

    /// Everything that the back-end keeps outside itself, as whoever copies it has it.
    async fn dump(&self) -> Result<Vec<Vec<u8>>>;

    /// A way to what is stored, where there is one beside the store.
    fn tampering(&self) -> Option<&dyn Tampering> {
        None
    }

    /// A way to activate another MKEK, for stores with `KeyRotation`.
    fn master_keys(&self) -> Option<&dyn MasterKeys> {
        None
    }
}

/// Reads and replaces what is stored, behind the store's back.
#[async_trait]
pub trait Tampering: Send + Sync {
    /// The bytes stored for a write.
    async fn read(&self, write: WriteId) -> Result<Vec<u8>>;

    /// Replaces them.
    async fn replace(&self, write: WriteId, bytes: Vec<u8>) -> Result<()>;
}

/// Changes the MKEK behind a store.
#[async_trait]
pub trait MasterKeys: Send + Sync {
    /// Adds an MKEK and activates it, for all instances.
    async fn rotate(&self) -> Result<()>;

    /// Takes every MKEK but the active one away from instances that are opened from now on.
    async fn withhold_old(&self) -> Result<()>;
}

/// What a case needs the implementation to declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Symmetric,
    UnlistedType,
    Inventory,
    KeyPairs,
    KeyRotation,
    MasterKeys,
    Tampering,
}

/// The suite over fixtures that `open` opens; asks one of them what is declared.
///
/// # Errors
/// When no fixture can be opened.
pub async fn suite(open: Open<dyn StoreFixture>) -> Result<Suite<dyn StoreFixture>> {
    let fixture = open().await.context("open a fixture")?;
    let store = fixture.instance().await?;
    let rotates = store.key_rotation().is_some() && store.inventory().is_some();
    let applies = |needs: &Needs| match needs {
        Needs::Nothing => true,
        Needs::Symmetric => !store.descriptor().symmetric_bits.is_empty(),
        Needs::UnlistedType => store.descriptor().secret_types.len() < SecretType::ALL.len(),
        Needs::Inventory => store.inventory().is_some(),
        Needs::KeyPairs => store.key_pairs().is_some(),
        Needs::KeyRotation => rotates,
        Needs::MasterKeys => rotates && fixture.master_keys().is_some(),
        Needs::Tampering => fixture.tampering().is_some(),
    };
    let cases = [
        keeping::cases(),
        binding::cases(),
        capability::cases(),
        pairs::cases(),
        secrecy::cases(),
        tampering::cases(),
        rotation::cases(),
    ];
    Ok(Suite::choose(cases.into_iter().flatten().collect(), open, applies))
}

type Fixture = Arc<dyn StoreFixture>;
type StoreCase = Case<dyn StoreFixture, Needs>;

const CANARY: &[u8] = b"canary kX7vQ2mZ9tR4wL1nB8dG5hJ3cF6sP0yA";

/// A payload that was stored.
struct Kept {
    place: Place,
    reference: StoreReference,
    payload: Vec<u8>,
}

async fn put(store: &dyn SecretStore, place: &Place, payload: &[u8]) -> Result<StoreReference, StoreError> {
    put_as(store, place, payload, store.descriptor().secret_types[0]).await
}

async fn put_as(
    store: &dyn SecretStore,
    place: &Place,
    payload: &[u8],
    secret_type: SecretType,
) -> Result<StoreReference, StoreError> {
    let payload = SecretBytes::new(payload.to_vec());
    store.store(StoreRequest { place, secret_type, spec: &Spec::default(), payload: &payload }).await
}

/// Stores a payload for a new secret of `project`.
async fn keep(store: &dyn SecretStore, project: &ProjectId, payload: &[u8]) -> Result<Kept> {
    let place = fresh_place(project);
    let reference = put(store, &place, payload).await.context("store")?;
    Ok(Kept { place, reference, payload: payload.to_vec() })
}

async fn get(
    store: &dyn SecretStore,
    place: &Place,
    reference: &StoreReference,
    verify: bool,
) -> Result<SecretBytes, StoreError> {
    store.retrieve(RetrieveRequest { place, reference, verify }).await
}

/// That the payload comes back, from the bytes themselves and from whatever is cached.
async fn expect_kept(store: &dyn SecretStore, kept: &Kept, when: &str) -> Result<()> {
    for verify in [true, false, false] {
        let payload = get(store, &kept.place, &kept.reference, verify).await.with_context(|| when.to_owned())?;
        ensure!(payload.expose() == kept.payload, "{when}: {} bytes came back as other ones", kept.payload.len());
    }
    Ok(())
}

/// That nothing comes back, and why.
async fn expect_lost(store: &dyn SecretStore, kept: &Kept, kinds: &[StoreErrorKind], when: &str) -> Result<()> {
    let payload = get(store, &kept.place, &kept.reference, true).await;
    expect_failure(payload, kinds, &kept.payload, when)
}

/// The KEK that a write is encrypted under, as the inventory says.
async fn kek_of(store: &dyn SecretStore, write: WriteId) -> Result<Option<KekId>> {
    let inventory = store.inventory().context("no inventory")?;
    let mut after = None;
    loop {
        let page = inventory.list(None, after, 100).await?;
        let Some(last) = page.last() else { anyhow::bail!("the inventory doesn't list the write") };
        after = Some(last.place.write);
        if let Some(found) = page.iter().find(|stored| stored.place.write == write) {
            return Ok(found.kek);
        }
    }
}
