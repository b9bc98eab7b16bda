//! The envelope's optional extensions: the life of its KEKs, and the list of what it holds.

use async_trait::async_trait;

use crate::crypto::CryptoBackend;
use crate::ids::{KekId, ProjectId, WriteId};
use crate::store::{Inventory, KeyRotation, StoreError, StoreErrorKind, StoredWrite};

use super::{EnvelopeStore, format};

#[async_trait]
impl<C: CryptoBackend> Inventory for EnvelopeStore<C> {
    async fn list(
        &self,
        kek: Option<KekId>,
        after: Option<WriteId>,
        limit: u64,
    ) -> Result<Vec<StoredWrite>, StoreError> {
        let found = self.vault.list_ciphertexts(self.descriptor.id, kek, after, limit).await?;
        let stored = found.into_iter().map(|ciphertext| StoredWrite {
            reference: format::reference(ciphertext.place.write),
            place: ciphertext.place,
            kek: Some(ciphertext.kek),
            created_at: ciphertext.created_at,
        });
        Ok(stored.collect())
    }
}

#[async_trait]
impl<C: CryptoBackend> KeyRotation for EnvelopeStore<C> {
    async fn rotate(&self, project: &ProjectId, reencrypt: bool) -> Result<Option<KekId>, StoreError> {
        let Some(active) = self.vault.active_kek(self.descriptor.id, project).await? else { return Ok(None) };
        self.vault.demote_kek(active.id, reencrypt).await?;
        self.keks.forget_active(project, active.id);
        Ok(Some(active.id))
    }

    async fn to_reencrypt(&self) -> Result<Vec<KekId>, StoreError> {
        self.vault.list_keks_to_reencrypt(self.descriptor.id).await
    }

    /// What can't be opened is passed over, however much it is, and reported only after the others are rewrapped.
    async fn rewrap(&self, limit: u64) -> Result<u64, StoreError> {
        let mkek = self.backend.active_mkek().await?;
        let (mut after, mut unopened) = (None, None);
        loop {
            let found = self.vault.list_keks_not_under(self.descriptor.id, mkek, after, limit).await?;
            let Some(last) = found.last() else { return unopened.map_or(Ok(0), Err) };
            after = Some(last.id);
            let mut opened = 0;
            for row in &found {
                let context = self.keks.context(&row.project, row.id);
                match self.backend.rewrap_kek(&context, &row.wrapped).await {
                    Ok(wrapped) => {
                        // Lost to another process, or to a newer MKEK: found again if it still matters.
                        let _rewrapped = self.vault.rewrap_kek(row.id, &row.wrapped, &wrapped).await?;
                        self.keks.forget(row.id);
                        opened += 1;
                    }
                    Err(error) if error.kind == StoreErrorKind::Corrupt => unopened = Some(error),
                    Err(error) => return Err(error),
                }
            }
            if opened > 0 {
                return Ok(opened);
            }
        }
    }
}
