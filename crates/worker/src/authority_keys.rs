//! The keys of CAs: payloads in a secret store, of secrets that nobody reaches over the API.

use std::sync::Weak;

use async_trait::async_trait;
use bailey_core::ca::{CaError, CaErrorKind, Keys};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{CaId, ProjectId, SecretId, StoreId};
use bailey_core::secret::Secret;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{ContentType, SecretType, Spec};
use bailey_db::{Error, ca, secret, target};
use chrono::{DateTime, Utc};

use crate::Worker;
use crate::usecase::placement::check_supported;

/// The keys of one CA.
///
/// They are secrets of [`ProjectId::own`], so all that holds of payloads holds of them: they are counted by the
/// audit, moved between stores, re-encrypted and backed up.
pub struct AuthorityKeys {
    /// What has the stores; made after the CAs that it has.
    pub worker: Weak<Worker>,
    /// Whose keys they are.
    pub ca: CaId,
    /// Where new ones go; the default store, if nothing is said.
    pub store: Option<StoreId>,
}

#[async_trait]
impl Keys for AuthorityKeys {
    async fn load(&self, name: &str) -> Result<Option<SecretBytes>, CaError> {
        let worker = self.worker.upgrade().ok_or_else(stopping)?;
        let found = worker.authority_key(self.ca, name).await;
        found.map_err(|failure| failed("load CA key", failure))
    }

    async fn keep(&self, name: &str, key: &SecretBytes) -> Result<(), CaError> {
        let worker = self.worker.upgrade().ok_or_else(stopping)?;
        let kept = worker.keep_authority_key(self, name, key).await;
        kept.map_err(|failure| failed("keep CA key", failure))
    }

    async fn forget(&self, name: &str) -> Result<(), CaError> {
        let worker = self.worker.upgrade().ok_or_else(stopping)?;
        let forgotten = worker.forget_authority_key(self.ca, name).await;
        forgotten.map_err(|failure| failed("forget CA key", failure))
    }
}

fn stopping() -> CaError {
    CaError::new(CaErrorKind::Unavailable, "reach CA keys", "the process is ending")
}

fn failed(operation: &'static str, failure: Failure) -> CaError {
    let kind = match failure.kind {
        FailureKind::Corrupt => CaErrorKind::Corrupt,
        FailureKind::NotSupported | FailureKind::TooLarge => CaErrorKind::Unsupported,
        _ => CaErrorKind::Unavailable,
    };
    CaError::new(kind, operation, "").with_source(failure)
}

impl Worker {
    async fn authority_key(&self, ca: CaId, name: &str) -> Result<Option<SecretBytes>, Failure> {
        let mut tried = None;
        loop {
            let Some(id) = ca::find_key(self.db.reader(), ca, name).await? else { return Ok(None) };
            let found = target::find_secret(self.db.reader(), id).await?;
            let found = found.filter(|found| found.secret.project.is_own());
            let Some(placement) = found.and_then(|found| found.placement).filter(|at| tried != Some(at.write)) else {
                return Err(Failure::new(FailureKind::Corrupt, "the key of a CA is gone"));
            };
            if let Some(bytes) = self.read_placed(&ProjectId::own(), id, &placement, false).await? {
                return Ok(Some(bytes));
            }
            // It was moved, and the row tells where to.
            tried = Some(placement.write);
        }
    }

    async fn keep_authority_key(&self, keys: &AuthorityKeys, name: &str, key: &SecretBytes) -> Result<(), Failure> {
        let store = match keys.store {
            Some(id) => self.stores.get(id)?,
            None => self.stores.default(),
        };
        let (ca, now, secret) = (keys.ca, self.clock.now(), secret_of(name, self.clock.now()));
        check_supported(store.as_ref(), secret.secret_type, key.len())?;
        let placed = self.place_in(store, &secret, key).await?;
        let (name, placement) = (name.to_owned(), placed.placement.clone());
        let kept = self.db.write(move |tx| {
            let (name, secret, placement) = (name.clone(), secret.clone(), placement.clone());
            Box::pin(async move {
                let is_first = ca::keep_key(tx, ca, &name, secret.id, now).await?;
                if is_first {
                    secret::insert(tx, &secret, Some(&placement)).await?;
                }
                Ok::<_, Error>(is_first)
            })
        });
        let kept = kept.await;
        if !matches!(kept, Ok(true)) {
            self.take_back(&placed).await;
        }
        Ok(kept.map(drop)?)
    }

    async fn forget_authority_key(&self, ca: CaId, name: &str) -> Result<(), Failure> {
        let Some(id) = ca::find_key(self.db.reader(), ca, name).await? else { return Ok(()) };
        let found = target::find_secret(self.db.reader(), id).await?;
        let (name, now) = (name.to_owned(), self.clock.now());
        let forget = self.db.write(move |tx| {
            let name = name.clone();
            Box::pin(async move {
                ca::forget_key(tx, ca, &name).await?;
                secret::delete(tx, &ProjectId::own(), id, now).await
            })
        });
        forget.await?;
        if let Some(found) = found {
            self.destroy_now(&found).await;
        }
        Ok(())
    }
}

fn secret_of(name: &str, now: DateTime<Utc>) -> Secret {
    Secret {
        id: SecretId::new(),
        project: ProjectId::own(),
        creator: None,
        name: Some(name.to_owned()),
        secret_type: SecretType::Opaque,
        spec: Spec::default(),
        content_type: Some(ContentType::OctetStream),
        expires_at: None,
        created_at: now,
        updated_at: now,
        consumers: Vec::new(),
    }
}
