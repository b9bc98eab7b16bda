//! The envelope: makes a secret store of a crypto backend, which encrypts but doesn't keep, and a
//! vault, which keeps but can't decrypt.
//!
//! One KEK per project and store encrypts that project's payloads; associated data binds every
//! ciphertext to its place. `docs/formats.md` describes each byte.

mod cache;
mod format;
mod keks;
mod rotation;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::budget::{ATTEMPTS, Budget};
use crate::clock::Clock;
use crate::crypto::CryptoBackend;
use crate::ids::{DeploymentId, StoreId};
use crate::sensitive::SecretBytes;
use crate::spec::{SecretType, Spec};
use crate::store::{
    Descriptor, Inventory, KeyRotation, Place, RetrieveRequest, SecretStore, StoreError, StoreErrorKind,
    StoreReference, StoreRequest,
};
use crate::vault::{Ciphertext, Inserted, Vault};

use cache::CiphertextCache;
use keks::{Freshness, Keks};

/// Sizes of the symmetric keys that an envelope makes: those that orders ask for, of which 160 is
/// HMAC-SHA-1's and what is above 256 is HMAC's or two keys of XTS.
const SYMMETRIC_BITS: [i32; 7] = [64, 128, 160, 192, 256, 384, 512];

/// Which store an envelope is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIdentity {
    /// The installation.
    pub deployment: DeploymentId,
    /// The store's permanent id.
    pub store: StoreId,
    /// Its configured name.
    pub name: String,
}

/// What can be set about an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeConfig {
    /// Largest payload in bytes.
    pub max_payload: usize,
    /// Encryptions that one KEK does before another takes its place.
    pub kek_budget: u64,
    /// Encryptions that a process reserves at a time.
    pub kek_block: u64,
    /// Bytes of ciphertext kept in memory; 0 keeps none.
    pub cache_bytes: u64,
    /// How long a ciphertext stays there.
    pub cache_ttl: Duration,
}

impl Default for EnvelopeConfig {
    fn default() -> Self {
        Self {
            max_payload: 1 << 20,
            kek_budget: 1 << 30,
            kek_block: 1 << 16,
            cache_bytes: 16 << 20,
            cache_ttl: Duration::from_secs(60),
        }
    }
}

/// Makes any crypto backend and a vault a secret store.
pub struct EnvelopeStore<C> {
    descriptor: Descriptor,
    backend: C,
    vault: Arc<dyn Vault>,
    keks: Keks,
    cache: CiphertextCache,
    clock: Clock,
}

impl<C: CryptoBackend> EnvelopeStore<C> {
    /// Asks neither `backend` nor `vault` yet.
    pub fn new(
        identity: StoreIdentity,
        config: &EnvelopeConfig,
        backend: C,
        vault: Arc<dyn Vault>,
        clock: Clock,
    ) -> Self {
        let descriptor = Descriptor {
            id: identity.store,
            name: identity.name,
            kind: backend.kind(),
            max_payload: config.max_payload,
            secret_types: SecretType::ALL.to_vec(),
            symmetric_bits: SYMMETRIC_BITS.to_vec(),
        };
        let budget = Budget { limit: config.kek_budget, block: config.kek_block };
        let keks = Keks::new(identity.deployment, identity.store, Arc::clone(&vault), clock.clone(), budget);
        let cache = CiphertextCache::new(&descriptor.name, config.cache_bytes, config.cache_ttl);
        Self { descriptor, backend, vault, keks, cache, clock }
    }

    /// Encrypts under the project's active KEK and inserts; again when the KEK ceased to be active
    /// between the two.
    async fn place(&self, place: &Place, payload: &SecretBytes) -> Result<StoreReference, StoreError> {
        for _ in 0..ATTEMPTS {
            let kek = self.keks.take(&self.backend, &place.project).await?;
            let associated = format::associated_data(self.descriptor.id, place, kek.id());
            let body = self.keks.encrypt(&self.backend, &kek, associated.as_bytes(), payload).await?;
            let ciphertext = Ciphertext {
                place: place.clone(),
                kek: kek.id(),
                bytes: format::with_version(&body),
                created_at: self.clock.now(),
            };
            match self.vault.insert_ciphertext(self.descriptor.id, &ciphertext).await? {
                Inserted::Yes => return Ok(format::reference(place.write)),
                Inserted::KeyNotActive => self.keks.forget_active(&place.project, kek.id()),
            }
        }
        Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "store payload",
            format!("the KEK of write {} changes all the time", place.write),
        ))
    }

    async fn open(
        &self,
        place: &Place,
        ciphertext: &Ciphertext,
        freshness: Freshness,
    ) -> Result<SecretBytes, StoreError> {
        if ciphertext.place != *place {
            return Err(format::corrupt(place, "its ciphertext belongs elsewhere"));
        }
        let body =
            format::body(&ciphertext.bytes).ok_or_else(|| format::corrupt(place, "its format version is unknown"))?;
        let associated = format::associated_data(self.descriptor.id, place, ciphertext.kek);
        self.keks.decrypt(&self.backend, place, ciphertext.kek, freshness, associated.as_bytes(), body).await
    }
}

#[async_trait]
impl<C: CryptoBackend> SecretStore for EnvelopeStore<C> {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn store(&self, request: StoreRequest<'_>) -> Result<StoreReference, StoreError> {
        if !self.descriptor.secret_types.contains(&request.secret_type) {
            return Err(unsupported("store payload", "a secret type that it doesn't list"));
        }
        if request.payload.len() > self.descriptor.max_payload {
            return Err(unsupported("store payload", "a payload above its largest"));
        }
        self.place(request.place, request.payload).await
    }

    async fn retrieve(&self, request: RetrieveRequest<'_>) -> Result<SecretBytes, StoreError> {
        let RetrieveRequest { place, reference, verify } = request;
        format::check_reference(reference, place)?;
        if !verify
            && let Some(ciphertext) = self.cache.get(place.write)
            && let Ok(payload) = self.open(place, &ciphertext, Freshness::Cached).await
        {
            return Ok(payload);
        }
        // What couldn't be opened from memory may be out of date; the vault has the last word.
        let ciphertext = self.vault.find_ciphertext(self.descriptor.id, place.write).await?.ok_or_else(|| {
            StoreError::new(StoreErrorKind::NotFound, "retrieve payload", format!("write {}", place.write))
        })?;
        let freshness = if verify { Freshness::Reread } else { Freshness::Cached };
        let payload = self.open(place, &ciphertext, freshness).await?;
        if !verify {
            self.cache.fill(ciphertext);
        }
        Ok(payload)
    }

    async fn delete(&self, place: &Place, reference: &StoreReference) -> Result<(), StoreError> {
        format::check_reference(reference, place)?;
        self.cache.bury(place.write);
        self.vault.delete_ciphertext(self.descriptor.id, place).await
    }

    async fn generate_symmetric(&self, place: &Place, spec: &Spec) -> Result<StoreReference, StoreError> {
        let bits = spec.bit_length.filter(|bits| self.descriptor.symmetric_bits.contains(bits));
        let length = bits
            .and_then(|bits| usize::try_from(bits / 8).ok())
            .ok_or_else(|| unsupported("generate key", "a bit length that it doesn't list"))?;
        let key = self.backend.random(length).await?;
        let key = if spec.is_des() { key.with_odd_parity() } else { key };
        self.place(place, &key).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.backend.health().await?;
        self.vault.health().await
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        Some(self)
    }

    fn key_rotation(&self) -> Option<&dyn KeyRotation> {
        Some(self)
    }
}

fn unsupported(operation: &'static str, context: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, operation, context)
}
