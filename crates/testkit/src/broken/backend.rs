//! Crypto backends that break one promise each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use async_trait::async_trait;
use bailey_core::crypto::{CryptoBackend, KekContext, WrappedKek};
use bailey_core::ids::{DeploymentId, KekId, MasterKeyId, ProjectId, StoreId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::{StoreError, StoreErrorKind};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::conformance::crypto_backend::BackendFixture;
use crate::memory::random;

/// Which promise a backend breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendFault {
    /// Has one KEK for all projects.
    SharesKek,
    /// Doesn't bind a wrapping to its context.
    IgnoresContext,
    /// Unwraps with the MKEK that wrapped, whichever it is told.
    IgnoresMkek,
    /// Encrypts under another key where a wrapping doesn't unwrap.
    EncryptsUnderAnything,
    /// Doesn't authenticate all of a wrapping.
    IgnoresEndOfWrapping,
    /// Doesn't bind a ciphertext to its associated data.
    IgnoresAssociatedData,
    /// Encrypts with the same nonce each time: a keystream that depends on nothing.
    ReusesNonce,
    /// Leaves the payload readable in the ciphertext.
    LeaksPayload,
    /// Doesn't notice bytes after the ciphertext's end.
    IgnoresTrailingBytes,
    /// Makes another KEK when it should rewrap.
    RewrapsToAnotherKey,
    /// Goes on wrapping under the MKEK that was active first.
    SticksToFirstMkek,
    /// Says `Corrupt` when an MKEK is missing.
    BlamesTheData,
    /// Returns as random what isn't.
    DrawsNothing,
    /// Is healthy whatever is missing.
    IsAlwaysHealthy,
}

/// Backends with one fault over another fixture's.
pub struct BrokenBackendFixture {
    fault: BackendFault,
    inner: Arc<dyn BackendFixture>,
    shared: Arc<Shared>,
}

/// What the faulty instances have in common.
#[derive(Default)]
struct Shared {
    wrapped_under: Mutex<HashMap<Vec<u8>, MasterKeyId>>,
    kek: OnceCell<WrappedKek>,
    mkek: OnceCell<MasterKeyId>,
}

impl BrokenBackendFixture {
    /// Over `inner`.
    pub fn new(fault: BackendFault, inner: Arc<dyn BackendFixture>) -> Self {
        Self { fault, inner, shared: Arc::default() }
    }
}

#[async_trait]
impl BackendFixture for BrokenBackendFixture {
    fn store(&self) -> StoreId {
        self.inner.store()
    }

    async fn instance(&self) -> Result<Arc<dyn CryptoBackend>> {
        let inner = self.inner.instance().await?;
        Ok(Arc::new(BrokenBackend { fault: self.fault, inner, shared: Arc::clone(&self.shared) }))
    }

    async fn rotate(&self) -> Result<MasterKeyId> {
        self.inner.rotate().await
    }

    async fn withhold(&self, mkek: MasterKeyId) -> Result<()> {
        self.inner.withhold(mkek).await
    }
}

struct BrokenBackend {
    fault: BackendFault,
    inner: Arc<dyn CryptoBackend>,
    shared: Arc<Shared>,
}

impl BrokenBackend {
    fn is(&self, fault: BackendFault) -> bool {
        self.fault == fault
    }

    /// The context that the inner backend is told.
    fn context(&self, context: &KekContext) -> KekContext {
        if !matches!(self.fault, BackendFault::SharesKek | BackendFault::IgnoresContext) {
            return context.clone();
        }
        let nil = Uuid::nil();
        KekContext {
            deployment: DeploymentId::from(nil),
            store: context.store,
            project: ProjectId::new("anyone").unwrap(),
            kek: KekId::from(nil),
        }
    }

    /// The error that a caller is told.
    fn blame(&self, error: StoreError) -> StoreError {
        if self.is(BackendFault::BlamesTheData) && error.kind == StoreErrorKind::Unavailable {
            return StoreError { kind: StoreErrorKind::Corrupt, ..error };
        }
        error
    }

    /// The wrapping that the inner backend is told.
    fn kek(&self, kek: &WrappedKek) -> WrappedKek {
        let mut told = kek.clone();
        match self.fault {
            BackendFault::IgnoresMkek => {
                told.mkek = self.shared.wrapped_under.lock().unwrap().get(&kek.bytes).copied().unwrap_or(kek.mkek);
            }
            BackendFault::IgnoresEndOfWrapping => told.bytes.truncate(kek.bytes.len().saturating_sub(END)),
            _ => {}
        }
        told
    }

    /// The wrapping that a caller is told.
    fn wrapped(&self, mut kek: WrappedKek) -> WrappedKek {
        match self.fault {
            BackendFault::IgnoresMkek => {
                self.shared.wrapped_under.lock().unwrap().insert(kek.bytes.clone(), kek.mkek);
            }
            BackendFault::IgnoresEndOfWrapping => kek.bytes.extend_from_slice(&random()[..END]),
            _ => {}
        }
        kek
    }

    fn associated<'a>(&self, associated: &'a [u8]) -> &'a [u8] {
        if self.is(BackendFault::IgnoresAssociatedData) { b"" } else { associated }
    }
}

/// Length of what [`BackendFault::IgnoresEndOfWrapping`] ignores.
const END: usize = 4;

/// The keystream of whoever uses a nonce twice.
fn masked(payload: &[u8]) -> impl Iterator<Item = u8> {
    payload.iter().zip((0..=255).cycle()).map(|(byte, mask): (&u8, u8)| byte ^ mask.wrapping_mul(29).wrapping_add(7))
}

#[async_trait]
impl CryptoBackend for BrokenBackend {
    fn kind(&self) -> &'static str {
        "broken"
    }

    async fn active_mkek(&self) -> Result<MasterKeyId, StoreError> {
        if self.is(BackendFault::SticksToFirstMkek) {
            return self.shared.mkek.get_or_try_init(|| self.inner.active_mkek()).await.copied();
        }
        self.inner.active_mkek().await
    }

    async fn create_kek(&self, context: &KekContext) -> Result<WrappedKek, StoreError> {
        let told = self.context(context);
        let create = || self.inner.create_kek(&told);
        if self.is(BackendFault::SharesKek) {
            self.shared.kek.get_or_try_init(create).await.cloned()
        } else {
            create().await.map(|kek| self.wrapped(kek))
        }
    }

    async fn rewrap_kek(&self, context: &KekContext, kek: &WrappedKek) -> Result<WrappedKek, StoreError> {
        let told = self.context(context);
        let rewrapped = self.inner.rewrap_kek(&told, &self.kek(kek)).await.map_err(|error| self.blame(error))?;
        if self.is(BackendFault::RewrapsToAnotherKey) {
            return self.inner.create_kek(&told).await;
        }
        Ok(self.wrapped(rewrapped))
    }

    async fn encrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        payload: &SecretBytes,
    ) -> Result<Vec<u8>, StoreError> {
        let (told, associated) = (self.context(context), self.associated(associated));
        let encrypted = self.inner.encrypt(&told, &self.kek(kek), associated, payload).await;
        let mut made = match encrypted {
            Err(error) if self.is(BackendFault::EncryptsUnderAnything) && error.kind == StoreErrorKind::Corrupt => {
                let another = self.inner.create_kek(&told).await?;
                self.inner.encrypt(&told, &another, associated, payload).await?
            }
            made => made.map_err(|error| self.blame(error))?,
        };
        match self.fault {
            BackendFault::ReusesNonce => made.extend(masked(payload.expose())),
            BackendFault::LeaksPayload => made.extend_from_slice(payload.expose()),
            _ => {}
        }
        Ok(made)
    }

    async fn decrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        ciphertext: &[u8],
    ) -> Result<SecretBytes, StoreError> {
        /// Length of what the memory backend makes.
        const LENGTH: usize = 32;
        let (told, associated) = (self.context(context), self.associated(associated));
        let has_extra = matches!(
            self.fault,
            BackendFault::ReusesNonce | BackendFault::LeaksPayload | BackendFault::IgnoresTrailingBytes
        );
        let (body, extra) = ciphertext.split_at_checked(LENGTH).filter(|_| has_extra).unwrap_or((ciphertext, &[]));
        let opened = self.inner.decrypt(&told, &self.kek(kek), associated, body).await;
        let opened = opened.map_err(|error| self.blame(error))?;
        let is_whole = match self.fault {
            BackendFault::ReusesNonce => masked(opened.expose()).eq(extra.iter().copied()),
            BackendFault::LeaksPayload => extra == opened.expose(),
            _ => true,
        };
        if is_whole { Ok(opened) } else { Err(StoreError::new(StoreErrorKind::Corrupt, "decrypt payload", "")) }
    }

    async fn random(&self, length: usize) -> Result<SecretBytes, StoreError> {
        if self.is(BackendFault::DrawsNothing) {
            return Ok(SecretBytes::new((0..=255).cycle().take(length).collect()));
        }
        self.inner.random(length).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        if self.is(BackendFault::IsAlwaysHealthy) { Ok(()) } else { self.inner.health().await }
    }
}
