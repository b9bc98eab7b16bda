//! The traits that the envelope and the backends ask for.

use async_trait::async_trait;
use bailey_core::crypto::WrappedKek;
use bailey_core::ids::{KekId, MasterKeyId, ProjectId, StoreId, WorkerId, WriteId};
use bailey_core::store::{Place, StoreError};
use bailey_core::vault::{Ciphertext, Inserted, MasterKey, MasterKeyPurpose, MasterKeyRegister, ProjectKek, Vault};
use chrono::{DateTime, Utc};

use crate::{VaultDb, ciphertext, kek, master_key, report};

#[async_trait]
impl Vault for VaultDb {
    async fn insert_ciphertext(&self, store: StoreId, ciphertext: &Ciphertext) -> Result<Inserted, StoreError> {
        Ok(ciphertext::insert(&self.db, store, ciphertext).await?)
    }

    async fn find_ciphertext(&self, store: StoreId, write: WriteId) -> Result<Option<Ciphertext>, StoreError> {
        Ok(ciphertext::find(&self.db, store, write).await?)
    }

    async fn delete_ciphertext(&self, store: StoreId, place: &Place) -> Result<(), StoreError> {
        Ok(ciphertext::delete(&self.db, store, place).await?)
    }

    async fn list_ciphertexts(
        &self,
        store: StoreId,
        kek: Option<KekId>,
        after: Option<WriteId>,
        limit: u64,
    ) -> Result<Vec<Ciphertext>, StoreError> {
        Ok(ciphertext::list(&self.db, store, kek, after, limit).await?)
    }

    async fn active_kek(&self, store: StoreId, project: &ProjectId) -> Result<Option<ProjectKek>, StoreError> {
        Ok(kek::active(&self.db, store, project).await?)
    }

    async fn find_kek(&self, store: StoreId, kek: KekId) -> Result<Option<ProjectKek>, StoreError> {
        Ok(kek::find(&self.db, store, kek).await?)
    }

    async fn insert_kek(&self, kek: &ProjectKek) -> Result<bool, StoreError> {
        Ok(kek::insert(&self.db, kek).await?)
    }

    async fn list_keks_not_under(
        &self,
        store: StoreId,
        mkek: MasterKeyId,
        after: Option<KekId>,
        limit: u64,
    ) -> Result<Vec<ProjectKek>, StoreError> {
        Ok(kek::list_not_under(&self.db, store, mkek, after, limit).await?)
    }

    async fn rewrap_kek(&self, kek: KekId, old: &WrappedKek, new: &WrappedKek) -> Result<bool, StoreError> {
        Ok(kek::rewrap(&self.db, kek, old, new).await?)
    }

    async fn reserve(&self, kek: KekId, seen: u64, block: u64) -> Result<bool, StoreError> {
        Ok(kek::reserve(&self.db, kek, seen, block).await?)
    }

    async fn demote_kek(&self, kek: KekId, reencrypt: bool) -> Result<(), StoreError> {
        Ok(kek::demote(&self.db, kek, reencrypt).await?)
    }

    async fn list_keks_to_reencrypt(&self, store: StoreId) -> Result<Vec<KekId>, StoreError> {
        Ok(kek::list_to_reencrypt(&self.db, store).await?)
    }

    async fn health(&self) -> Result<(), StoreError> {
        Ok(self.db.ping().await?)
    }
}

#[async_trait]
impl MasterKeyRegister for VaultDb {
    async fn list(&self, purpose: MasterKeyPurpose) -> Result<Vec<MasterKey>, StoreError> {
        Ok(master_key::list(&self.db, purpose).await?)
    }

    async fn reserve(&self, key: MasterKeyId, seen: u64, block: u64) -> Result<bool, StoreError> {
        Ok(master_key::reserve(&self.db, key, seen, block).await?)
    }

    async fn report(&self, worker: WorkerId, keys: &[MasterKeyId], now: DateTime<Utc>) -> Result<(), StoreError> {
        Ok(report::replace(&self.db, worker, keys, now).await?)
    }
}
