//! A KEK with what is needed to use it, and what cases do to a token beside the backends.

use std::sync::Arc;

use anyhow::Result;
use bailey_core::crypto::{CryptoBackend, KekContext, WrappedKek};
use bailey_core::ids::{DeploymentId, KekId, MasterKeyId, ProjectId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::StoreError;
use bailey_core::vault::MasterKeyPurpose;
use bailey_store_pkcs11::{Hsm, Pkcs11Backend};
use bailey_testkit::conformance::crypto_backend::BackendFixture as _;
use bailey_testkit::envelope::{MemoryVaultFixture, VaultFixture as _};
use cryptoki::session::Session;

use crate::fixture::{Change, TokenFixture};

/// What every ciphertext is bound to.
pub const AAD: &[u8] = b"its place";

/// A KEK and a backend that uses it.
#[derive(Clone)]
pub struct Kek {
    pub backend: Arc<dyn CryptoBackend>,
    pub context: KekContext,
    pub wrapped: WrappedKek,
}

impl Kek {
    /// Used by another backend.
    pub fn with(self, backend: Arc<dyn CryptoBackend>) -> Self {
        Self { backend, ..self }
    }

    pub async fn encrypt(&self, payload: &[u8]) -> Result<Vec<u8>, StoreError> {
        let payload = SecretBytes::new(payload.to_vec());
        self.backend.encrypt(&self.context, &self.wrapped, AAD, &payload).await
    }

    pub async fn decrypt(&self, ciphertext: &[u8]) -> Result<SecretBytes, StoreError> {
        self.backend.decrypt(&self.context, &self.wrapped, AAD, ciphertext).await
    }
}

impl TokenFixture {
    /// A context of its own.
    pub fn context(&self) -> KekContext {
        let project = ProjectId::new("p").unwrap();
        KekContext { deployment: DeploymentId::new(), store: self.store(), project, kek: KekId::new() }
    }

    /// A KEK and a backend of its own.
    pub async fn kek(&self) -> Result<Kek> {
        let (backend, context) = (self.instance().await?, self.context());
        let wrapped = backend.create_kek(&context).await?;
        Ok(Kek { backend, context, wrapped })
    }

    /// Registers a version, as if it had been made here, and activates it.
    pub async fn register(&self, id: MasterKeyId, check_value: Vec<u8>) -> Result<()> {
        self.vault.activate(MasterKeyPurpose::Mkek(self.store()), id, check_value).await
    }

    /// A backend for whose store nothing is registered.
    pub fn elsewhere(&self) -> Pkcs11Backend {
        Pkcs11Backend::new(self.store(), &self.config, MemoryVaultFixture::default().register())
    }

    /// The same keys and register, with something else configured.
    pub fn changed(&self, change: Change) -> Self {
        let mut config = self.config.clone();
        change(&mut config);
        let (target, vault) = (self.target.clone(), Arc::clone(&self.vault));
        Self { store: self.store, target, hsm: Hsm::connect(&config), config, vault }
    }

    /// Does something to the token; again, for the reason that making versions is tried again.
    pub fn again(&self, work: impl Fn(&Session) -> cryptoki::error::Result<()>) -> Result<()> {
        let session = self.session()?;
        let mut outcome = work(&session);
        for _ in 0..50 {
            if outcome.is_ok() {
                break;
            }
            outcome = work(&session);
        }
        Ok(outcome?)
    }
}
