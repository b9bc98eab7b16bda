//! The optional extensions of a guarded store. Their calls take batches or primes, so they have a deadline of their own.

use async_trait::async_trait;
use bailey_core::ids::{KekId, ProjectId, WriteId};
use bailey_core::spec::Spec;
use bailey_core::store::{
    Halves, Inventory, KeyPairs, KeyRotation, Place, StoreError, StoreErrorKind, StoreReference, StoredWrite,
};

use super::Guarded;

impl Guarded {
    /// Is only asked for what the store has: `Guarded` passes itself as no other extension.
    fn rotation(&self) -> Result<&dyn KeyRotation, StoreError> {
        self.store().key_rotation().ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, "rotate keys", ""))
    }
}

#[async_trait]
impl Inventory for Guarded {
    async fn list(
        &self,
        kek: Option<KekId>,
        after: Option<WriteId>,
        limit: u64,
    ) -> Result<Vec<StoredWrite>, StoreError> {
        let inventory = self.store().inventory();
        let inventory = inventory.ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, "list", ""))?;
        self.guard("list", self.batch_deadline, self.persist(|| inventory.list(kek, after, limit))).await
    }
}

#[async_trait]
impl KeyPairs for Guarded {
    fn listed(&self) -> &[(&'static str, i32)] {
        self.store().key_pairs().map_or(&[], KeyPairs::listed)
    }

    async fn generate_asymmetric(
        &self,
        places: Halves<&Place>,
        spec: &Spec,
    ) -> Result<Halves<StoreReference>, StoreError> {
        let pairs = self.store().key_pairs();
        let pairs = pairs.ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, "make key pair", ""))?;
        self.guard("generate_pair", self.batch_deadline, pairs.generate_asymmetric(places, spec)).await
    }
}

#[async_trait]
impl KeyRotation for Guarded {
    /// Not tried again: a second try would give up the KEK that the first one's successor made.
    async fn rotate(&self, project: &ProjectId, reencrypt: bool) -> Result<Option<KekId>, StoreError> {
        self.guard("rotate", self.batch_deadline, self.rotation()?.rotate(project, reencrypt)).await
    }

    async fn to_reencrypt(&self) -> Result<Vec<KekId>, StoreError> {
        let rotation = self.rotation()?;
        self.guard("list_keks", self.batch_deadline, self.persist(|| rotation.to_reencrypt())).await
    }

    async fn rewrap(&self, limit: u64) -> Result<u64, StoreError> {
        let rotation = self.rotation()?;
        self.guard("rewrap", self.batch_deadline, self.persist(|| rotation.rewrap(limit))).await
    }
}
