//! Master keys as a process holds them: versions by id, reread from their source when one is
//! unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use crate::ids::MasterKeyId;
use crate::sensitive::SecretBytes;

/// Length of every master key in bytes: AES-256.
pub const MASTER_KEY_LENGTH: usize = 32;

/// Why keys could not be read; names the file and the line, never the key.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct KeySourceError(pub String);

/// The versions of one master key. A key is [`MASTER_KEY_LENGTH`] bytes.
pub type MasterKeys = BTreeMap<MasterKeyId, SecretBytes>;

type Load = dyn Fn() -> Result<MasterKeys, KeySourceError> + Send + Sync;
type Shared = BTreeMap<MasterKeyId, Arc<SecretBytes>>;

/// Holds the versions of one master key and knows how to read them anew.
pub struct KeyRing {
    keys: RwLock<Shared>,
    required: RwLock<BTreeSet<MasterKeyId>>,
    load: Box<Load>,
}

impl KeyRing {
    /// Reads the keys from `load`, now and whenever [`get`](Self::get) meets an unknown version.
    ///
    /// # Errors
    /// Whatever `load` says.
    pub fn new(
        load: impl Fn() -> Result<MasterKeys, KeySourceError> + Send + Sync + 'static,
    ) -> Result<Self, KeySourceError> {
        let ring = Self { keys: RwLock::default(), required: RwLock::default(), load: Box::new(load) };
        ring.reload()?;
        Ok(ring)
    }

    /// Reads the source again. What it no longer has is forgotten.
    ///
    /// # Errors
    /// Whatever the source says; the keys held so far stay.
    pub fn reload(&self) -> Result<(), KeySourceError> {
        let keys = (self.load)()?.into_iter().map(|(id, key)| (id, Arc::new(key))).collect();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// The key with this id, reading the source again if it isn't known yet.
    ///
    /// # Errors
    /// Whatever the source says when it is read again.
    pub fn get(&self, id: MasterKeyId) -> Result<Option<Arc<SecretBytes>>, KeySourceError> {
        if let Some(key) = self.held(id) {
            return Ok(Some(key));
        }
        self.reload()?;
        Ok(self.held(id))
    }

    /// Says which versions are in use, wherever they are.
    pub fn require(&self, ids: impl IntoIterator<Item = MasterKeyId>) {
        *self.required.write().unwrap_or_else(PoisonError::into_inner) = ids.into_iter().collect();
    }

    /// A version in use that isn't held: something can't be read without it.
    #[must_use]
    pub fn missing(&self) -> Option<MasterKeyId> {
        let required = self.required.read().unwrap_or_else(PoisonError::into_inner);
        required.iter().copied().find(|id| self.held(*id).is_none())
    }

    /// The ids of all versions held, oldest first.
    #[must_use]
    pub fn ids(&self) -> Vec<MasterKeyId> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn held(&self, id: MasterKeyId) -> Option<Arc<SecretBytes>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeyRing").field(&self.ids()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_version_in_use_that_is_not_held_is_missing() {
        let [held, other] = [MasterKeyId::new(), MasterKeyId::new()];
        let ring = KeyRing::new(move || Ok([(held, SecretBytes::new(vec![0; MASTER_KEY_LENGTH]))].into())).unwrap();
        assert_eq!(ring.missing(), None);
        ring.require([held, other]);
        assert_eq!(ring.missing(), Some(other));
        ring.require([held]);
        assert_eq!(ring.missing(), None);
    }
}
