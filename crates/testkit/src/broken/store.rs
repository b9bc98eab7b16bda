//! Secret stores that break one promise each.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use anyhow::Result;
use async_trait::async_trait;
use bailey_core::ids::{KekId, WriteId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{
    Descriptor, Halves, Inventory, KeyPairs, Place, RetrieveRequest, SecretStore, StoreError, StoreErrorKind,
    StoreReference, StoreRequest, StoredWrite,
};

use crate::conformance::secret_store::{StoreFixture, Tampering};
use crate::envelope::MemoryStoreFixture;
use crate::memory::random;

/// Which promise a store breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// Says that it stored and doesn't.
    Forgets,
    /// Keeps payloads in the instance that stored them.
    KeepsToItself,
    /// Stores under a used write id, over what was there.
    Overwrites,
    /// Says that it deleted and doesn't.
    KeepsDeleted,
    /// Fails when what is to be deleted isn't there.
    DeletesOnce,
    /// Deletes by the reference, whatever the place.
    DeletesForOthers,
    /// Returns by the reference, whatever the place.
    IgnoresPlace,
    /// Answers a question with the payload of the question before.
    SwapsAnswers,
    /// Cuts the last byte off what is long.
    Truncates,
    /// Puts the payload into the reference.
    LeaksIntoReference,
    /// Keeps the payload readable.
    LeaksIntoBackEnd,
    /// Tells the payload in an error.
    LeaksIntoErrors,
    /// Lists a key size that it can't make.
    ListsTooMuch,
    /// Makes key sizes that it doesn't list.
    MakesUnlistedSizes,
    /// Takes secret types that it doesn't list.
    TakesUnlistedTypes,
    /// Makes the same key each time.
    MakesOneKey,
    /// Makes DES keys without regard to their parity.
    ForgetsParity,
    /// Makes every key with the parity of DES.
    SetsParityAlways,
    /// Returns zeros where what is stored was changed.
    HidesTampering,
    /// Verifies from memory.
    VerifiesFromMemory,
    /// Leaves a write out of its inventory.
    ForgetsToList,
    /// Makes the same key pair each time.
    MakesOnePair,
    /// Makes pairs of halves that don't belong together.
    MixesHalves,
    /// Makes key pairs under used write ids, over what was there.
    OverwritesByPairs,
    /// Keeps one half of a key pair when there is no place for the other.
    KeepsHalfAPair,
    /// Makes key pairs that it doesn't list.
    MakesUnlistedPairs,
}

/// Stores with one fault over one shelf.
pub struct BrokenStoreFixture {
    fault: StoreFault,
    inner: MemoryStoreFixture,
    leaked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl BrokenStoreFixture {
    /// Over an empty shelf.
    pub fn new(fault: StoreFault) -> Self {
        Self { fault, inner: MemoryStoreFixture::default(), leaked: Arc::default() }
    }
}

#[async_trait]
impl StoreFixture for BrokenStoreFixture {
    async fn instance(&self) -> Result<Arc<dyn SecretStore>> {
        let inner = self.inner.instance().await?;
        let mut descriptor = inner.descriptor().clone();
        if self.fault == StoreFault::ListsTooMuch {
            descriptor.symmetric_bits.push(512);
        }
        let (fault, leaked) = (self.fault, Arc::clone(&self.leaked));
        Ok(Arc::new(BrokenStore { fault, inner, descriptor, leaked, seen: Mutex::default(), last: Mutex::default() }))
    }

    async fn dump(&self) -> Result<Vec<Vec<u8>>> {
        let mut dump = self.inner.dump().await?;
        dump.extend(self.leaked.lock().unwrap().iter().cloned());
        Ok(dump)
    }

    fn tampering(&self) -> Option<&dyn Tampering> {
        self.inner.tampering()
    }
}

struct BrokenStore {
    fault: StoreFault,
    inner: Arc<dyn SecretStore>,
    descriptor: Descriptor,
    leaked: Arc<Mutex<Vec<Vec<u8>>>>,
    /// What this instance stored or returned.
    seen: Mutex<HashMap<Place, (StoreReference, Vec<u8>)>>,
    /// What it returned last.
    last: Mutex<Option<Vec<u8>>>,
}

impl BrokenStore {
    fn is(&self, fault: StoreFault) -> bool {
        self.fault == fault
    }

    fn see(&self, place: &Place, reference: &StoreReference, payload: &[u8]) {
        self.seen.lock().unwrap().insert(place.clone(), (reference.clone(), payload.to_vec()));
    }

    /// The reference that the inner store made.
    fn inner_reference(&self, reference: &StoreReference) -> StoreReference {
        let length = if self.is(StoreFault::LeaksIntoReference) { 16 } else { reference.0.len() };
        StoreReference(reference.0.iter().take(length).copied().collect())
    }

    /// What is stored with this reference or under this write id, wherever that belongs.
    async fn find(&self, found: impl Fn(&StoredWrite) -> bool) -> Result<Option<StoredWrite>, StoreError> {
        let listed = self.inner.inventory().unwrap().list(None, None, 1 << 20).await?;
        Ok(listed.into_iter().find(found))
    }

    async fn keep_pair(
        &self,
        places: Halves<&Place>,
        private: &rcgen::KeyPair,
        public: &rcgen::KeyPair,
    ) -> Result<Halves<StoreReference>, StoreError> {
        Ok(Halves {
            private: self.keep_key(places.private, private.serialize_pem().into_bytes()).await?,
            public: self.keep_key(places.public, public.public_key_pem().into_bytes()).await?,
        })
    }

    async fn keep_key(&self, place: &Place, key: Vec<u8>) -> Result<StoreReference, StoreError> {
        let (payload, spec) = (SecretBytes::new(key), &Spec::default());
        let request = StoreRequest { place, secret_type: SecretType::Symmetric, spec, payload: &payload };
        self.inner.store(request).await
    }
}

#[async_trait]
impl SecretStore for BrokenStore {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn store(&self, request: StoreRequest<'_>) -> Result<StoreReference, StoreError> {
        let StoreRequest { place, payload, spec, secret_type } = request;
        let secret_type = if self.is(StoreFault::TakesUnlistedTypes) { SecretType::Opaque } else { secret_type };
        if self.is(StoreFault::Overwrites)
            && let Some(stored) = self.find(|stored| stored.place.write == place.write).await?
        {
            self.inner.delete(&stored.place, &stored.reference).await?;
        }
        let stored = self.inner.store(StoreRequest { place, payload, spec, secret_type }).await;
        let mut reference = stored.map_err(|error| {
            let told = String::from_utf8_lossy(payload.expose()).into_owned();
            if self.is(StoreFault::LeaksIntoErrors) { StoreError { context: told, ..error } } else { error }
        })?;
        match self.fault {
            StoreFault::Forgets => self.inner.delete(place, &reference).await?,
            StoreFault::LeaksIntoReference => reference.0.extend_from_slice(payload.expose()),
            StoreFault::LeaksIntoBackEnd => self.leaked.lock().unwrap().push(payload.expose().to_vec()),
            _ => {}
        }
        self.see(place, &reference, payload.expose());
        Ok(reference)
    }

    async fn retrieve(&self, request: RetrieveRequest<'_>) -> Result<SecretBytes, StoreError> {
        let RetrieveRequest { place, reference, verify } = request;
        let inner = self.inner_reference(reference);
        let seen = self.seen.lock().unwrap().get(place).cloned();
        let retrieved = match (self.fault, seen) {
            (StoreFault::KeepsToItself, None) => {
                Err(StoreError::new(StoreErrorKind::NotFound, "look", place.write.to_string()))
            }
            (StoreFault::VerifiesFromMemory, Some((seen, payload))) if seen == *reference => {
                Ok(SecretBytes::new(payload))
            }
            (StoreFault::IgnoresPlace, _) => {
                let stored = self.find(|stored| stored.reference == inner).await?;
                let place = stored.map_or_else(|| place.clone(), |stored| stored.place);
                self.inner.retrieve(RetrieveRequest { place: &place, reference: &inner, verify }).await
            }
            _ => self.inner.retrieve(RetrieveRequest { place, reference: &inner, verify }).await,
        };
        let payload = match retrieved {
            Err(error) if error.kind == StoreErrorKind::Corrupt && self.is(StoreFault::HidesTampering) => {
                return Ok(SecretBytes::new(vec![0; 16]));
            }
            retrieved => retrieved?,
        };
        self.see(place, reference, payload.expose());
        match self.fault {
            StoreFault::Truncates if payload.len() > 255 => {
                Ok(SecretBytes::new(payload.expose()[..payload.len() - 1].to_vec()))
            }
            StoreFault::SwapsAnswers => {
                let before = self.last.lock().unwrap().replace(payload.expose().to_vec());
                Ok(before.map_or(payload, SecretBytes::new))
            }
            _ => Ok(payload),
        }
    }

    async fn delete(&self, place: &Place, reference: &StoreReference) -> Result<(), StoreError> {
        let inner = self.inner_reference(reference);
        match self.fault {
            StoreFault::KeepsDeleted => return Ok(()),
            StoreFault::DeletesOnce => {
                self.inner.retrieve(RetrieveRequest { place, reference: &inner, verify: true }).await?;
            }
            StoreFault::DeletesForOthers => {
                let stored = self.find(|stored| stored.reference == inner).await?;
                let place = stored.map_or_else(|| place.clone(), |stored| stored.place);
                return self.inner.delete(&place, &inner).await;
            }
            _ => {}
        }
        self.seen.lock().unwrap().remove(place);
        self.inner.delete(place, &inner).await
    }

    async fn generate_symmetric(&self, place: &Place, spec: &Spec) -> Result<StoreReference, StoreError> {
        let is_listed = spec.bit_length.is_some_and(|bits| self.descriptor.symmetric_bits.contains(&bits));
        let bytes = spec.bit_length.map_or(0, |bits| bits as usize / 8);
        let reference = match self.fault {
            StoreFault::MakesOneKey if is_listed => self.keep_key(place, (0..=255).take(bytes).collect()).await?,
            StoreFault::MakesUnlistedSizes if bytes > 0 => {
                self.keep_key(place, std::iter::repeat_with(random).flatten().take(bytes).collect()).await?
            }
            StoreFault::ForgetsParity => self.inner.generate_symmetric(place, &renamed("AES", spec)).await?,
            StoreFault::SetsParityAlways => self.inner.generate_symmetric(place, &renamed("DES", spec)).await?,
            _ => self.inner.generate_symmetric(place, spec).await?,
        };
        Ok(reference)
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.inner.health().await
    }

    fn key_pairs(&self) -> Option<&dyn KeyPairs> {
        Some(self)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        if self.is(StoreFault::ForgetsToList) { Some(self) } else { self.inner.inventory() }
    }
}

fn renamed(algorithm: &str, spec: &Spec) -> Spec {
    Spec { algorithm: Some(algorithm.into()), ..spec.clone() }
}

#[async_trait]
impl KeyPairs for BrokenStore {
    fn listed(&self) -> &[(&'static str, i32)] {
        self.inner.key_pairs().unwrap().listed()
    }

    async fn generate_asymmetric(
        &self,
        places: Halves<&Place>,
        spec: &Spec,
    ) -> Result<Halves<StoreReference>, StoreError> {
        static ONE: LazyLock<rcgen::KeyPair> = LazyLock::new(|| rcgen::KeyPair::generate().unwrap());
        let inner = self.inner.key_pairs().unwrap();
        let is_listed = spec.algorithm.as_deref() == Some("ec") && spec.bit_length == Some(256);
        let Halves { private, public } = places;
        let other = rcgen::KeyPair::generate().unwrap();
        match self.fault {
            StoreFault::MakesOnePair if is_listed => self.keep_pair(places, &ONE, &ONE).await,
            StoreFault::MixesHalves if is_listed => self.keep_pair(places, &ONE, &other).await,
            StoreFault::MakesUnlistedPairs if !is_listed => self.keep_pair(places, &other, &other).await,
            StoreFault::OverwritesByPairs => {
                for place in [private, public] {
                    if let Some(stored) = self.find(|stored| stored.place.write == place.write).await? {
                        self.inner.delete(&stored.place, &stored.reference).await?;
                    }
                }
                inner.generate_asymmetric(places, spec).await
            }
            StoreFault::KeepsHalfAPair if is_listed => self.keep_pair(places, &other, &other).await,
            _ => inner.generate_asymmetric(places, spec).await,
        }
    }
}

#[async_trait]
impl Inventory for BrokenStore {
    /// Leaves out the first.
    async fn list(
        &self,
        kek: Option<KekId>,
        after: Option<WriteId>,
        limit: u64,
    ) -> Result<Vec<StoredWrite>, StoreError> {
        let listed = self.inner.inventory().unwrap().list(kek, after, limit).await?;
        Ok(listed.into_iter().skip(usize::from(after.is_none())).collect())
    }
}
