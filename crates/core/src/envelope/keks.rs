//! Project KEKs as a process holds them: rows by id, the active one of each project with the
//! encryptions reserved for it, and what to do when a row in memory is out of date.

use std::sync::{Arc, PoisonError, RwLock};

use moka::sync::Cache;

use crate::budget::{ATTEMPTS, Allowance, Budget, Turn};
use crate::clock::Clock;
use crate::crypto::{CryptoBackend, KekContext};
use crate::ids::{DeploymentId, KekId, ProjectId, StoreId};
use crate::sensitive::SecretBytes;
use crate::store::{Place, StoreError, StoreErrorKind};
use crate::vault::{KekState, ProjectKek, Vault};

use super::format::corrupt;

/// How many KEKs, and how many projects' active ones, are held at most.
const HELD: u64 = 10_000;

/// Whether a KEK's row may come from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Cached,
    Reread,
}

/// A KEK's row with the context its wrapping is bound to.
pub(super) struct Kek {
    context: KekContext,
    row: ProjectKek,
}

impl Kek {
    pub(super) const fn id(&self) -> KekId {
        self.row.id
    }
}

/// The active KEK of one project.
#[derive(Default)]
struct Slot {
    granted: RwLock<Option<Arc<Allowance<Arc<Kek>>>>>,
    turn: Turn,
}

impl Slot {
    fn take(&self) -> Option<Arc<Kek>> {
        self.granted.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.take().cloned()
    }

    fn grant(&self, allowance: Option<Arc<Allowance<Arc<Kek>>>>) {
        *self.granted.write().unwrap_or_else(PoisonError::into_inner) = allowance;
    }

    fn is_granted(&self, kek: KekId) -> bool {
        self.granted
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .is_some_and(|allowance| allowance.key().id() == kek)
    }
}

pub(super) struct Keks {
    deployment: DeploymentId,
    store: StoreId,
    vault: Arc<dyn Vault>,
    clock: Clock,
    budget: Budget,
    rows: Cache<KekId, Arc<Kek>>,
    slots: Cache<ProjectId, Arc<Slot>>,
}

impl Keks {
    pub(super) fn new(
        deployment: DeploymentId,
        store: StoreId,
        vault: Arc<dyn Vault>,
        clock: Clock,
        budget: Budget,
    ) -> Self {
        Self { deployment, store, vault, clock, budget, rows: Cache::new(HELD), slots: Cache::new(HELD) }
    }

    /// The project's active KEK, for one encryption; makes one if there is none.
    pub(super) async fn take(&self, backend: &dyn CryptoBackend, project: &ProjectId) -> Result<Arc<Kek>, StoreError> {
        let slot = self.slots.get(project).unwrap_or_else(|| self.slots.get_with(project.clone(), Arc::default));
        match slot.take() {
            Some(kek) => Ok(kek),
            None => slot.turn.take(|| slot.take(), self.grant(backend, project, &slot)).await,
        }
    }

    /// Reserves a block and takes the first encryption of it.
    async fn grant(
        &self,
        backend: &dyn CryptoBackend,
        project: &ProjectId,
        slot: &Slot,
    ) -> Result<Arc<Kek>, StoreError> {
        for _ in 0..ATTEMPTS {
            if let Some(allowance) = self.reserve(backend, project).await? {
                let taken = allowance.take().cloned();
                slot.grant(Some(Arc::new(allowance)));
                if let Some(kek) = taken {
                    return Ok(kek);
                }
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "reserve encryptions", "others reserve all the time"))
    }

    /// One step towards a reserved block: `None` when another process was faster, or when the step
    /// made way for a new KEK.
    async fn reserve(
        &self,
        backend: &dyn CryptoBackend,
        project: &ProjectId,
    ) -> Result<Option<Allowance<Arc<Kek>>>, StoreError> {
        let Some(row) = self.vault.active_kek(self.store, project).await? else {
            return self.create(backend, project).await;
        };
        let Some(block) = self.budget.next_block(row.reserved) else {
            self.vault.demote_kek(row.id, false).await?;
            return Ok(None);
        };
        let reserved = self.vault.reserve(row.id, row.reserved, block).await?;
        Ok(reserved.then(|| Allowance::new(self.hold(row), block)))
    }

    /// A new KEK with its first block; `None` when the project got one meanwhile, or its MKEK
    /// ceased to be active.
    async fn create(
        &self,
        backend: &dyn CryptoBackend,
        project: &ProjectId,
    ) -> Result<Option<Allowance<Arc<Kek>>>, StoreError> {
        let id = KekId::new();
        let wrapped = backend.create_kek(&self.context(project, id)).await?;
        let block = self.budget.next_block(0).unwrap_or(1);
        let row = ProjectKek {
            id,
            store: self.store,
            project: project.clone(),
            state: KekState::Active,
            wrapped,
            reserved: block,
            created_at: self.clock.now(),
        };
        let inserted = self.vault.insert_kek(&row).await?;
        Ok(inserted.then(|| Allowance::new(self.hold(row), block)))
    }

    /// Drops what is reserved for a KEK that ceased to be active.
    pub(super) fn forget_active(&self, project: &ProjectId, kek: KekId) {
        if let Some(slot) = self.slots.get(project)
            && slot.is_granted(kek)
        {
            slot.grant(None);
        }
    }

    /// Encrypts under `kek`, or under its row as the vault has it now.
    pub(super) async fn encrypt(
        &self,
        backend: &dyn CryptoBackend,
        kek: &Kek,
        associated: &[u8],
        payload: &SecretBytes,
    ) -> Result<Vec<u8>, StoreError> {
        match backend.encrypt(&kek.context, &kek.row.wrapped, associated, payload).await {
            Err(error) => match self.rewrapped(kek, &error).await? {
                Some(kek) => backend.encrypt(&kek.context, &kek.row.wrapped, associated, payload).await,
                None => Err(error),
            },
            made => made,
        }
    }

    /// Decrypts under the KEK with this id.
    pub(super) async fn decrypt(
        &self,
        backend: &dyn CryptoBackend,
        place: &Place,
        id: KekId,
        freshness: Freshness,
        associated: &[u8],
        body: &[u8],
    ) -> Result<SecretBytes, StoreError> {
        let cached = if freshness == Freshness::Cached { self.rows.get(&id) } else { None };
        let was_cached = cached.is_some();
        let kek = match cached {
            Some(kek) => kek,
            None => self.reread(id).await?.ok_or_else(|| corrupt(place, "its KEK is gone"))?,
        };
        if kek.row.project != place.project {
            return Err(corrupt(place, "its KEK is another project's"));
        }
        match backend.decrypt(&kek.context, &kek.row.wrapped, associated, body).await {
            Err(error) if was_cached => match self.rewrapped(&kek, &error).await? {
                Some(kek) => backend.decrypt(&kek.context, &kek.row.wrapped, associated, body).await,
                None => Err(error),
            },
            opened => opened,
        }
    }

    /// The KEK as the vault has it now, if `error` may come from a wrapping that was replaced.
    async fn rewrapped(&self, kek: &Kek, error: &StoreError) -> Result<Option<Arc<Kek>>, StoreError> {
        if !matches!(error.kind, StoreErrorKind::Unavailable | StoreErrorKind::Corrupt) {
            return Ok(None);
        }
        Ok(self.reread(kek.id()).await?.filter(|now| now.row.wrapped != kek.row.wrapped))
    }

    /// A KEK from the vault; a retired one is none, since its wrapping is destroyed.
    async fn reread(&self, id: KekId) -> Result<Option<Arc<Kek>>, StoreError> {
        let row = self.vault.find_kek(self.store, id).await?;
        let row = row.filter(|row| row.state != KekState::Retired);
        if row.is_none() {
            self.forget(id);
        }
        Ok(row.map(|row| self.hold(row)))
    }

    /// Drops a row that is known to be out of date.
    pub(super) fn forget(&self, id: KekId) {
        self.rows.invalidate(&id);
    }

    fn hold(&self, row: ProjectKek) -> Arc<Kek> {
        let kek = Arc::new(Kek { context: self.context(&row.project, row.id), row });
        self.rows.insert(kek.id(), Arc::clone(&kek));
        kek
    }

    pub(super) fn context(&self, project: &ProjectId, kek: KekId) -> KekContext {
        KekContext { deployment: self.deployment, store: self.store, project: project.clone(), kek }
    }
}
