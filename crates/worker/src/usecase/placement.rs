//! Bytes in a store: placed before the metadata refers to them, destroyed after it no longer does.

use std::sync::Arc;

use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{MasterKeyId, ProjectId, SecretId, StoreId, WriteId};
use bailey_core::secret::Secret;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{ContentType, SecretType, Spec};
use bailey_core::store::{Halves, Place, RetrieveRequest, SecretStore, StoreErrorKind, StoreReference, StoreRequest};
use bailey_db::target::SecretTarget;
use bailey_db::{Placement, deletion, installation, project_store, write};

use crate::Worker;
use crate::error::store_failure;

/// A payload in its store that no row refers to yet.
pub(crate) struct Placed {
    store: Arc<dyn SecretStore>,
    pub(crate) place: Place,
    /// What the row needs to refer to it.
    pub(crate) placement: Placement,
}

/// What became of bytes that nothing refers to any more.
pub(crate) enum Destroyed {
    /// They are gone.
    Yes,
    /// They stay on the list of deletions until a backup has been made.
    Held,
}

impl Worker {
    /// Places a payload of the content type that `secret` has or will have in its project's store, under a fresh
    /// write id. When it returns, the bytes are durable; a crash after that leaves an orphan.
    pub(crate) async fn place(&self, secret: &Secret, payload: &SecretBytes) -> Result<Placed, Failure> {
        self.place_checked(self.store_of(&secret.project).await?, secret, payload).await
    }

    /// As [`place`](Self::place), in this store, if it takes such a payload.
    pub(crate) async fn place_checked(
        &self,
        store: &Arc<dyn SecretStore>,
        secret: &Secret,
        payload: &SecretBytes,
    ) -> Result<Placed, Failure> {
        check_supported(store.as_ref(), secret.secret_type, payload.len())?;
        self.place_in(store, secret, payload).await
    }

    /// Where a project's new payloads and keys go: the store assigned to it, else the one it prefers, else the
    /// default. No other one takes its place when it fails.
    pub(crate) async fn store_of(&self, project: &ProjectId) -> Result<&Arc<dyn SecretStore>, Failure> {
        if let Some(assigned) = self.stores.assigned(project) {
            return Ok(assigned);
        }
        // Where there is nothing to choose from, nobody has to be asked.
        if self.stores.count() == 1 {
            return Ok(self.stores.default());
        }
        match project_store::find(self.db.reader(), project).await? {
            Some(preferred) => self.stores.get(preferred).map_err(|_| {
                tracing::error!(%project, store = %preferred, "the store that a project prefers is not configured");
                Failure::new(FailureKind::NotSupported, "The project's preferred secret store is not configured")
            }),
            None => Ok(self.stores.default()),
        }
    }

    /// As [`place`](Self::place), in a store that is known to take it.
    pub(crate) async fn place_in(
        &self,
        store: &Arc<dyn SecretStore>,
        secret: &Secret,
        payload: &SecretBytes,
    ) -> Result<Placed, Failure> {
        let place = Place { project: secret.project.clone(), secret: secret.id, write: WriteId::new() };
        let Secret { secret_type, spec, content_type, .. } = secret;
        let request = StoreRequest { place: &place, secret_type: *secret_type, spec, payload };
        let reference = store.store(request).await.map_err(|error| store_failure(&error))?;
        self.seal_placed(store, place, &reference, *content_type).await
    }

    /// Makes a symmetric key of `spec`'s size in a store, as the payload of a secret.
    pub(crate) async fn generate_in(
        &self,
        store: &Arc<dyn SecretStore>,
        secret: &Secret,
        spec: &Spec,
    ) -> Result<Placed, Failure> {
        let place = Place { project: secret.project.clone(), secret: secret.id, write: WriteId::new() };
        let made = store.generate_symmetric(&place, spec).await;
        let reference = made.map_err(|error| store_failure(&error))?;
        self.seal_placed(store, place, &reference, secret.content_type).await
    }

    /// Makes a key pair in a store, as the payloads of two secrets; none if the store doesn't make such ones.
    pub(crate) async fn generate_pair_in(
        &self,
        store: &Arc<dyn SecretStore>,
        secrets: &Halves<Secret>,
        spec: &Spec,
    ) -> Result<Option<Halves<Placed>>, Failure> {
        let is_asked = |&(algorithm, bits): &(&str, i32)| {
            spec.algorithm.as_deref() == Some(algorithm) && spec.bit_length == Some(bits)
        };
        let Some(pairs) = store.key_pairs().filter(|pairs| pairs.listed().iter().any(is_asked)) else {
            return Ok(None);
        };
        let place =
            |secret: &Secret| Place { project: secret.project.clone(), secret: secret.id, write: WriteId::new() };
        let (private, public) = (place(&secrets.private), place(&secrets.public));
        let made = match pairs.generate_asymmetric(Halves { private: &private, public: &public }, spec).await {
            Err(error) if error.kind == StoreErrorKind::Unsupported => return Ok(None),
            made => made.map_err(|error| store_failure(&error))?,
        };
        let private = self.seal_placed(store, private, &made.private, secrets.private.content_type).await?;
        match self.seal_placed(store, public, &made.public, secrets.public.content_type).await {
            Ok(public) => Ok(Some(Halves { private, public })),
            Err(failure) => {
                self.take_back(&private).await;
                Err(failure)
            }
        }
    }

    async fn seal_placed(
        &self,
        store: &Arc<dyn SecretStore>,
        place: Place,
        reference: &StoreReference,
        content_type: Option<ContentType>,
    ) -> Result<Placed, Failure> {
        let id = store.descriptor().id;
        let sealed = match self.sealer.seal(id, &place, reference).await {
            Ok(sealed) => sealed,
            Err(failure) => {
                // Nobody else knows the write id, so nobody can refer to the bytes. What fails here is an orphan.
                let _ = store.delete(&place, reference).await;
                return Err(failure);
            }
        };
        let placement =
            Placement { store: id, write: place.write, reference: sealed.bytes, key: sealed.key, content_type };
        Ok(Placed { store: Arc::clone(store), place, placement })
    }

    /// Takes back a payload whose row was not written: condemns its write id, so that nobody can
    /// refer to it any more, then destroys it. What fails here is left to the sweeper.
    pub(crate) async fn take_back(&self, placed: &Placed) {
        if let Err(failure) = self.condemn_and_destroy(&placed.store, &placed.place, &placed.placement).await {
            tracing::warn!(%failure, write = %placed.place.write, "a payload without a row is left to the sweeper");
        }
    }

    async fn condemn_and_destroy(
        &self,
        store: &Arc<dyn SecretStore>,
        place: &Place,
        placement: &Placement,
    ) -> Result<(), Failure> {
        let write = place.write;
        if self.db.write(move |tx| Box::pin(write::condemn(tx, write))).await? == write::Condemned::Live {
            return Ok(());
        }
        let reference = self.sealer.open(placement.store, place, placement.key, &placement.reference)?;
        store.delete(place, &reference).await.map_err(|error| store_failure(&error))
    }

    /// Reads a payload through its sealed reference. `verify` bypasses caches.
    ///
    /// `None` when the store has no such bytes: whether that is a fault depends on the row.
    pub(crate) async fn read_placed(
        &self,
        project: &ProjectId,
        secret: SecretId,
        placement: &Placement,
        verify: bool,
    ) -> Result<Option<SecretBytes>, Failure> {
        let store = self.stores.get(placement.store)?;
        let place = Place { project: project.clone(), secret, write: placement.write };
        let reference = self.sealer.open(placement.store, &place, placement.key, &placement.reference)?;
        match store.retrieve(RetrieveRequest { place: &place, reference: &reference, verify }).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(store_failure(&error)),
        }
    }

    /// Destroys what a deleted or replaced row referred to, now. What fails here is on the list of
    /// deletions and done later.
    pub(crate) async fn destroy_now(&self, target: &SecretTarget) {
        let Some(placement) = &target.placement else { return };
        let place = Place { project: target.secret.project.clone(), secret: target.secret.id, write: placement.write };
        self.destroy_placed(&place, placement).await;
    }

    /// As [`destroy_now`](Self::destroy_now), for what a placement referred to.
    pub(crate) async fn destroy_placed(&self, place: &Place, placement: &Placement) {
        if let Err(failure) = self.destroy(placement.store, place, placement.key, &placement.reference).await {
            tracing::warn!(%failure, write = %place.write, "a deleted payload will be destroyed later");
        }
    }

    /// Whether a backup keeps everything from being destroyed.
    pub(crate) async fn holds_destruction(&self) -> Result<bool, Failure> {
        Ok(installation::holds_destruction(self.db.reader(), self.clock.now()).await?)
    }

    /// Destroys the bytes of a dead write, then forgets the write. Idempotent.
    ///
    /// The row that referred to them was gone when this was called. So a backup of the metadata that still has
    /// the row was begun before, and its hold is seen here.
    pub(crate) async fn destroy(
        &self,
        store: StoreId,
        place: &Place,
        key: MasterKeyId,
        sealed: &[u8],
    ) -> Result<Destroyed, Failure> {
        if self.holds_destruction().await? {
            return Ok(Destroyed::Held);
        }
        let reference = self.sealer.open(store, place, key, sealed)?;
        self.stores.get(store)?.delete(place, &reference).await.map_err(|error| store_failure(&error))?;
        let write = place.write;
        self.db.write(move |tx| Box::pin(deletion::finish(tx, write))).await?;
        Ok(Destroyed::Yes)
    }
}

/// Complains if a store doesn't keep such a payload.
pub(crate) fn check_supported(store: &dyn SecretStore, kind: SecretType, length: usize) -> Result<(), Failure> {
    let descriptor = store.descriptor();
    if !descriptor.secret_types.contains(&kind) {
        return Err(Failure::new(FailureKind::NotSupported, "The secret store does not keep secrets of this type"));
    }
    if length > descriptor.max_payload {
        return Err(Failure::new(FailureKind::TooLarge, "The payload is larger than the secret store takes"));
    }
    Ok(())
}
