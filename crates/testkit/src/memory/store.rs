//! A secret store over an ideal cipher.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bailey_core::clock::Clock;
use bailey_core::encoding::Context;
use bailey_core::ids::{KekId, StoreId, WriteId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{
    Descriptor, Halves, Inventory, KeyPairs, Place, RetrieveRequest, SecretStore, StoreError, StoreErrorKind,
    StoreReference, StoreRequest, StoredWrite,
};
use chrono::{DateTime, Utc};
use rcgen::KeyPair;

use super::cipher::{IdealCipher, random};

/// The back-end that several [`MemoryStore`]s share.
#[derive(Default)]
pub struct MemoryShelf {
    rows: Mutex<BTreeMap<WriteId, Row>>,
    cipher: IdealCipher,
}

struct Row {
    place: Place,
    bytes: Vec<u8>,
    created_at: DateTime<Utc>,
}

impl MemoryShelf {
    /// What is kept for each write.
    pub fn stored(&self) -> BTreeMap<WriteId, Vec<u8>> {
        self.rows.lock().unwrap().iter().map(|(write, row)| (*write, row.bytes.clone())).collect()
    }

    /// Replaces what is kept for a write, as a vandal would.
    pub fn replace(&self, write: WriteId, bytes: Vec<u8>) {
        if let Some(row) = self.rows.lock().unwrap().get_mut(&write) {
            row.bytes = bytes;
        }
    }
}

/// A store that keeps payloads itself, without KEKs.
pub struct MemoryStore {
    descriptor: Descriptor,
    shelf: Arc<MemoryShelf>,
}

impl MemoryStore {
    /// A store over `shelf`.
    pub fn new(id: StoreId, shelf: Arc<MemoryShelf>) -> Self {
        let descriptor = Descriptor {
            id,
            name: "memory".into(),
            kind: "memory",
            max_payload: 1 << 16,
            secret_types: SecretType::ALL.into_iter().filter(|kind| *kind != SecretType::Certificate).collect(),
            symmetric_bits: vec![128, 256],
        };
        Self { descriptor, shelf }
    }

    /// As [`new`](Self::new), and it keeps certificates, too.
    pub fn of_every_type(id: StoreId, shelf: Arc<MemoryShelf>) -> Self {
        let mut store = Self::new(id, shelf);
        store.descriptor.secret_types = SecretType::ALL.to_vec();
        store
    }

    fn keep(&self, place: &Place, payload: &[u8]) -> Result<StoreReference, StoreError> {
        let mut rows = self.shelf.rows.lock().unwrap();
        if rows.contains_key(&place.write) {
            return Err(error(StoreErrorKind::Conflict, place));
        }
        let bytes = self.shelf.cipher.encrypt(&[], binding(place).as_bytes(), payload);
        rows.insert(place.write, Row { place: place.clone(), bytes, created_at: Clock::system().now() });
        Ok(reference(place.write))
    }
}

#[async_trait]
impl SecretStore for MemoryStore {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn store(&self, request: StoreRequest<'_>) -> Result<StoreReference, StoreError> {
        let listed = self.descriptor.secret_types.contains(&request.secret_type);
        if !listed || request.payload.len() > self.descriptor.max_payload {
            return Err(error(StoreErrorKind::Unsupported, request.place));
        }
        self.keep(request.place, request.payload.expose())
    }

    async fn retrieve(&self, request: RetrieveRequest<'_>) -> Result<SecretBytes, StoreError> {
        let RetrieveRequest { place, reference: given, .. } = request;
        if *given != reference(place.write) {
            return Err(error(StoreErrorKind::Corrupt, place));
        }
        let rows = self.shelf.rows.lock().unwrap();
        let row = rows.get(&place.write).ok_or_else(|| error(StoreErrorKind::NotFound, place))?;
        let payload = self.shelf.cipher.decrypt(&[], binding(place).as_bytes(), &row.bytes);
        payload.map(SecretBytes::new).ok_or_else(|| error(StoreErrorKind::Corrupt, place))
    }

    async fn delete(&self, place: &Place, given: &StoreReference) -> Result<(), StoreError> {
        if *given != reference(place.write) {
            return Err(error(StoreErrorKind::Corrupt, place));
        }
        self.shelf.rows.lock().unwrap().retain(|_, row| row.place != *place);
        Ok(())
    }

    async fn generate_symmetric(&self, place: &Place, spec: &Spec) -> Result<StoreReference, StoreError> {
        let bits = spec.bit_length.filter(|bits| self.descriptor.symmetric_bits.contains(bits));
        let bits = bits.ok_or_else(|| error(StoreErrorKind::Unsupported, place))?;
        let key = SecretBytes::new(random()[..bits as usize / 8].to_vec());
        let key = if spec.is_des() { key.with_odd_parity() } else { key };
        self.keep(place, key.expose())
    }

    async fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn key_pairs(&self) -> Option<&dyn KeyPairs> {
        Some(self)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        Some(self)
    }
}

#[async_trait]
impl KeyPairs for MemoryStore {
    fn listed(&self) -> &[(&'static str, i32)] {
        &[("ec", 256)]
    }

    async fn generate_asymmetric(
        &self,
        places: Halves<&Place>,
        spec: &Spec,
    ) -> Result<Halves<StoreReference>, StoreError> {
        let Halves { private, public } = places;
        if (spec.algorithm.as_deref(), spec.bit_length) != (Some("ec"), Some(256)) {
            return Err(error(StoreErrorKind::Unsupported, private));
        }
        let pair = KeyPair::generate().unwrap();
        let private_reference = self.keep(private, pair.serialize_pem().as_bytes())?;
        match self.keep(public, pair.public_key_pem().as_bytes()) {
            Ok(public) => Ok(Halves { private: private_reference, public }),
            Err(error) => {
                self.delete(private, &private_reference).await?;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Inventory for MemoryStore {
    async fn list(
        &self,
        kek: Option<KekId>,
        after: Option<WriteId>,
        limit: u64,
    ) -> Result<Vec<StoredWrite>, StoreError> {
        let rows = self.shelf.rows.lock().unwrap();
        let above = rows.iter().filter(|(write, _)| kek.is_none() && after.is_none_or(|after| **write > after));
        let listed = above.map(|(write, row)| StoredWrite {
            place: row.place.clone(),
            kek: None,
            created_at: row.created_at,
            reference: reference(*write),
        });
        Ok(listed.take(limit as usize).collect())
    }
}

fn reference(write: WriteId) -> StoreReference {
    StoreReference(write.uuid().as_bytes().to_vec())
}

fn binding(place: &Place) -> Context {
    Context::new("place", 1).field(place.project.as_str().as_bytes()).uuid(place.secret.uuid()).uuid(place.write.uuid())
}

fn error(kind: StoreErrorKind, place: &Place) -> StoreError {
    StoreError::new(kind, "keep in memory", place.write.to_string())
}
