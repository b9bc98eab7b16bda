//! A backend behind a faulty library, and what may come of asking it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bailey_core::crypto::{CryptoBackend, KekContext, WrappedKek};
use bailey_core::ids::{DeploymentId, KekId, ProjectId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::{StoreError, StoreErrorKind};
use bailey_store_pkcs11::{Config, Isolation, Pkcs11Backend};
use bailey_testkit::conformance::crypto_backend::BackendFixture as _;
use bailey_testkit::envelope::{MemoryVaultFixture, VaultFixture as _};
use bailey_testkit::faulty::Faulty;
use bailey_testkit::softhsm::SoftHsm;

use crate::fixture::{Target, TokenFixture};

const PAYLOAD: &[u8] = b"a payload that only ever comes back as it was";
const AAD: &[u8] = b"where it belongs";
/// How long one call may take: it is under way, and one more finds out who is to blame.
const LIMIT: Duration = Duration::from_millis(3500);
/// How long a backend may take until it works again.
const RECOVERY: Duration = Duration::from_secs(10);

/// What may come of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every answer is right: nobody notices.
    Right,
    /// An answer is right, or there is none.
    RightOrUnavailable,
    /// As before, and what was changed on the way may be found to be so.
    RightOrCorrupt,
}

/// A backend behind a faulty library, with what was made before anything went wrong.
pub struct Case {
    pub faulty: Faulty,
    fixture: TokenFixture,
    vault: MemoryVaultFixture,
    outcome: Outcome,
    isolation: Isolation,
    context: KekContext,
    kek: WrappedKek,
    ciphertext: Vec<u8>,
}

/// What was made while something went wrong.
#[derive(Default)]
pub struct Made {
    keks: Vec<(KekContext, WrappedKek)>,
    rewrapped: Vec<WrappedKek>,
    ciphertexts: Vec<Vec<u8>>,
}

impl Case {
    /// In the first token of `softhsm`.
    pub async fn new(softhsm: &SoftHsm, outcome: Outcome, isolation: Isolation) -> Result<Self> {
        Self::on(softhsm, softhsm.token_label(), Faulty::before(softhsm.module())?, outcome, isolation).await
    }

    pub async fn on(
        softhsm: &SoftHsm,
        label: &str,
        faulty: Faulty,
        outcome: Outcome,
        isolation: Isolation,
    ) -> Result<Self> {
        let (module, pin) = (faulty.module(), softhsm.pin().to_owned());
        let target = Target { admin: module.clone(), module, label: label.to_owned(), pin, change: |_| {} };
        let vault = MemoryVaultFixture::default();
        let fixture = TokenFixture::new(&target, Arc::new(vault.clone())).await?;
        let context = context(&fixture)?;
        let backend = fixture.instance().await?;
        let kek = backend.create_kek(&context).await?;
        let ciphertext = backend.encrypt(&context, &kek, AAD, &payload()).await?;
        Ok(Self { faulty, fixture, vault, outcome, isolation, context, kek, ciphertext })
    }

    /// Another instance, which opens the token for itself.
    pub fn backend(&self) -> Arc<dyn CryptoBackend> {
        self.backend_with(|_| {})
    }

    /// Another instance, configured otherwise.
    pub fn backend_with(&self, change: impl FnOnce(&mut Config)) -> Arc<dyn CryptoBackend> {
        let mut config = Config {
            sessions: 2,
            deadline_seconds: 1.0,
            lost_calls: 32,
            isolation: self.isolation,
            ..self.fixture.config.clone()
        };
        change(&mut config);
        Arc::new(Pkcs11Backend::new(self.fixture.store(), &config, self.vault.register()))
    }

    /// Decrypts what was encrypted before anything went wrong.
    pub async fn read(&self, backend: &dyn CryptoBackend) -> Result<(), StoreError> {
        let payload = self.decrypt(backend, &self.kek, &self.ciphertext).await?;
        assert_eq!(payload.expose(), PAYLOAD, "another payload than was encrypted");
        Ok(())
    }

    /// Asks for everything; what came of it is right or allowed.
    pub async fn ask(&self, backend: &dyn CryptoBackend, made: &mut Made) -> Result<()> {
        if let Some(payload) = self.judge("decrypt", self.decrypt(backend, &self.kek, &self.ciphertext)).await? {
            ensure!(payload.expose() == PAYLOAD, "another payload than was encrypted");
        }
        let payload = payload();
        let encrypted = backend.encrypt(&self.context, &self.kek, AAD, &payload);
        made.ciphertexts.extend(self.judge("encrypt", encrypted).await?);
        let context = context(&self.fixture)?;
        let created = self.judge("create KEK", backend.create_kek(&context)).await?;
        made.keks.extend(created.map(|kek| (context, kek)));
        made.rewrapped.extend(self.judge("rewrap KEK", backend.rewrap_kek(&self.context, &self.kek)).await?);
        if let Some(bytes) = self.judge("random", backend.random(16)).await? {
            ensure!(bytes.len() == 16, "{} random bytes", bytes.len());
        }
        self.judge("health", backend.health()).await?;
        Ok(())
    }

    async fn judge<T>(&self, what: &str, call: impl Future<Output = Result<T, StoreError>>) -> Result<Option<T>> {
        let begun_at = Instant::now();
        let result = call.await;
        let time = begun_at.elapsed();
        ensure!(time < LIMIT, "{what} took {time:?}");
        match result {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if self.allows(error.kind) => Ok(None),
            Err(error) => bail!("{what}: {error}"),
        }
    }

    fn allows(&self, kind: StoreErrorKind) -> bool {
        match self.outcome {
            Outcome::Right => false,
            Outcome::RightOrUnavailable => kind == StoreErrorKind::Unavailable,
            Outcome::RightOrCorrupt => matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::Corrupt),
        }
    }

    /// That `backend` does everything, and what was made meanwhile is good.
    pub async fn works(&self, backend: &dyn CryptoBackend, made: &Made) -> Result<()> {
        let decrypted = self.decrypt(backend, &self.kek, &self.ciphertext).await?;
        ensure!(decrypted.expose() == PAYLOAD, "another payload than was encrypted");
        for kek in &made.rewrapped {
            let decrypted = self.decrypt(backend, kek, &self.ciphertext).await.context("a KEK wrapped meanwhile")?;
            ensure!(decrypted.expose() == PAYLOAD, "a KEK wrapped meanwhile is another one");
        }
        for ciphertext in &made.ciphertexts {
            match self.decrypt(backend, &self.kek, ciphertext).await {
                Ok(payload) => ensure!(payload.expose() == PAYLOAD, "another payload than was encrypted meanwhile"),
                Err(error) if error.kind == StoreErrorKind::Corrupt && self.outcome == Outcome::RightOrCorrupt => {}
                Err(error) => return Err(error).context("a payload encrypted meanwhile"),
            }
        }
        let fresh = context(&self.fixture)?;
        let created = backend.create_kek(&fresh).await?;
        for (context, kek) in made.keks.iter().chain([&(fresh, created)]) {
            let ciphertext =
                backend.encrypt(context, kek, AAD, &payload()).await.context("under a KEK made meanwhile")?;
            let decrypted = backend.decrypt(context, kek, AAD, &ciphertext).await?;
            ensure!(decrypted.expose() == PAYLOAD, "another payload than was encrypted under a new KEK");
        }
        Ok(backend.health().await?)
    }

    pub async fn recovers(&self, backend: &dyn CryptoBackend, made: &Made) -> Result<()> {
        let deadline = Instant::now() + RECOVERY;
        loop {
            match self.works(backend, made).await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error.context("it doesn't work again")),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn decrypt<'a>(
        &'a self,
        backend: &'a dyn CryptoBackend,
        kek: &'a WrappedKek,
        ciphertext: &'a [u8],
    ) -> impl Future<Output = Result<SecretBytes, StoreError>> + 'a {
        backend.decrypt(&self.context, kek, AAD, ciphertext)
    }
}

fn payload() -> SecretBytes {
    SecretBytes::new(PAYLOAD.to_vec())
}

fn context(fixture: &TokenFixture) -> Result<KekContext> {
    let project = ProjectId::new("päron")?;
    Ok(KekContext { deployment: DeploymentId::new(), store: fixture.store(), project, kek: KekId::new() })
}
