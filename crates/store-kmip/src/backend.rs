//! [`KmipStore`]: the contract of a secret store, spelled in operations of KMIP.

use async_trait::async_trait;
use bailey_core::ids::{DeploymentId, StoreId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{
    Descriptor, Inventory, KeyPairs, Place, RetrieveRequest, SecretStore, StoreError, StoreErrorKind, StoreReference,
    StoreRequest,
};

use crate::client::Client;
use crate::config::{Config, Generation};
use crate::error::error;
use crate::inventory::Known;
use crate::marks::Marks;
use crate::object::{Object, Shape, algorithm};
use crate::placing::{Draft, Refused};
use crate::reference::Reference;
use crate::seal::{Owner, Salt};

/// Bit lengths of the keys that are made; those of AES by the server, if it is to.
const SYMMETRIC_BITS: [i32; 7] = [64, 128, 160, 192, 256, 384, 512];
const AES_BITS: [i32; 3] = [128, 192, 256];

/// A secret store in a KMIP server, which keeps the payloads as objects.
pub struct KmipStore {
    descriptor: Descriptor,
    pub(crate) owner: Owner,
    pub(crate) client: Client,
    pub(crate) known: Known,
}

impl KmipStore {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(deployment: DeploymentId, store: StoreId, name: String, config: Config) -> Self {
        let descriptor = Descriptor {
            id: store,
            name,
            kind: "kmip",
            max_payload: config.max_payload,
            secret_types: SecretType::ALL.to_vec(),
            symmetric_bits: SYMMETRIC_BITS.to_vec(),
        };
        Self { descriptor, owner: Owner { deployment, store }, client: Client::new(config), known: Known::default() }
    }

    /// Registers a payload; as an opaque object if the server doesn't take it for what it is, or gives it back
    /// changed.
    async fn keep(&self, place: &Place, object: Object, payload: &SecretBytes) -> Result<StoreReference, StoreError> {
        let is_opaque = object.shape == Shape::OPAQUE;
        match self.register(place, object, payload).await {
            Err(Refused::Content(_)) if !is_opaque => {
                self.register(place, Object::opaque(payload), payload).await.map_err(Refused::into_error)
            }
            kept => kept.map_err(Refused::into_error),
        }
    }

    async fn register(&self, place: &Place, object: Object, payload: &SecretBytes) -> Result<StoreReference, Refused> {
        let (shape, salt) = (object.shape, Salt::draw()?);
        let code = salt.code(&self.owner, place, shape, payload.expose());
        let marks = Marks { store: self.owner.store, place: place.clone(), shape, salt, code: Some(code) };
        let expected = SecretBytes::new(object.value.expose().to_vec());
        let placed = self.place(Draft::registered(&self.owner, &marks, object), &marks).await?;
        if placed.value.expose() != expected.expose() {
            self.client.destroy(&placed.id).await?;
            return Err(Refused::Content(error(
                StoreErrorKind::Unavailable,
                "register object",
                "the server gives other bytes back than it was given",
            )));
        }
        Ok(Reference { shape, write: place.write, code, id: placed.id }.to_store())
    }

    /// A key of AES that the server draws.
    async fn create(&self, place: &Place, bits: i32) -> Result<StoreReference, Refused> {
        let (shape, salt) = (Shape::SYMMETRIC, Salt::draw()?);
        let marks = Marks { store: self.owner.store, place: place.clone(), shape, salt, code: None };
        let placed = self.place(Draft::created(&self.owner, &marks, algorithm::AES, bits), &marks).await?;
        if i32::try_from(placed.value.len() * 8) != Ok(bits) {
            self.client.destroy(&placed.id).await?;
            let context = "the server makes keys of another length than it was asked for";
            return Err(Refused::Content(error(StoreErrorKind::Unavailable, "create key", context)));
        }
        let code = marks.salt.code(&self.owner, place, shape, placed.value.expose());
        Ok(Reference { shape, write: place.write, code, id: placed.id }.to_store())
    }
}

#[async_trait]
impl SecretStore for KmipStore {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn store(&self, request: StoreRequest<'_>) -> Result<StoreReference, StoreError> {
        let StoreRequest { place, secret_type, spec, payload } = request;
        if payload.len() > self.descriptor.max_payload {
            return Err(unsupported("store payload", "a payload above its largest"));
        }
        self.keep(place, Object::of(secret_type, spec, payload), payload).await
    }

    async fn retrieve(&self, request: RetrieveRequest<'_>) -> Result<SecretBytes, StoreError> {
        let RetrieveRequest { place, reference, .. } = request;
        let reference = Reference::read(reference, place.write)?;
        let (value, marks) = self.client.get(&reference.id, reference.shape).await?;
        let corrupt = || error(StoreErrorKind::Corrupt, "get object", format!("write {}", place.write));
        let payload = reference.shape.payload(value).ok_or_else(corrupt)?;
        let fits =
            |marks: &Marks| marks.salt.fits(&reference.code, &self.owner, place, reference.shape, payload.expose());
        if marks.as_ref().is_some_and(fits) { Ok(payload) } else { Err(corrupt()) }
    }

    async fn delete(&self, place: &Place, reference: &StoreReference) -> Result<(), StoreError> {
        let reference = Reference::read(reference, place.write)?;
        self.remove(place, &reference).await
    }

    async fn generate_symmetric(&self, place: &Place, spec: &Spec) -> Result<StoreReference, StoreError> {
        let bits = spec.bit_length.filter(|bits| self.descriptor.symmetric_bits.contains(bits));
        let bits = bits.ok_or_else(|| unsupported("generate key", "a bit length that it doesn't list"))?;
        let is_aes = spec.algorithm.as_ref().is_some_and(|algorithm| algorithm.eq_ignore_ascii_case("aes"));
        if is_aes && AES_BITS.contains(&bits) && self.client.config().generation == Generation::Server {
            match self.create(place, bits).await {
                // A server that makes no keys still keeps them.
                Err(Refused::Content(_)) => {}
                created => return created.map_err(Refused::into_error),
            }
        }
        let key = draw(bits)?;
        let key = if spec.is_des() { key.with_odd_parity() } else { key };
        self.keep(place, Object::of(SecretType::Symmetric, spec, &key), &key).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.client.check().await
    }

    fn key_pairs(&self) -> Option<&dyn KeyPairs> {
        (self.client.config().generation == Generation::Server).then_some(self)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        Some(self)
    }
}

fn draw(bits: i32) -> Result<SecretBytes, StoreError> {
    let length = usize::try_from(bits / 8).map_err(|_| unsupported("generate key", "a negative length"))?;
    let mut key = vec![0; length];
    let failed = |_| error(StoreErrorKind::Unavailable, "draw random bytes", "the system has none");
    getrandom::fill(&mut key).map_err(failed)?;
    Ok(SecretBytes::new(key))
}

pub(crate) fn unsupported(operation: &'static str, context: &str) -> StoreError {
    error(StoreErrorKind::Unsupported, operation, context)
}
