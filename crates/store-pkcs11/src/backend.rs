//! [`Pkcs11Backend`]: the contract of a crypto backend, spelled in jobs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bailey_core::budget::{Budget, MasterKeyBudget};
use bailey_core::crypto::{CryptoBackend, KekContext, WrappedKek};
use bailey_core::ids::{MasterKeyId, StoreId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::{StoreError, StoreErrorKind};
use bailey_core::vault::{MasterKey, MasterKeyPurpose, MasterKeyRegister};

use crate::config::Config;
use crate::error::{self, Failure, Fault, Operation};
use crate::hsm::Hsm;
use crate::job::{Answer, Job};
use crate::runner::Runner;
use crate::version::Registered;

/// A crypto backend in a PKCS#11 token.
///
/// Which MKEK is active is the register's word; the keys themselves never leave the token.
pub struct Pkcs11Backend {
    store: StoreId,
    mkeks: MasterKeyBudget,
    runner: Arc<dyn Runner>,
}

impl Pkcs11Backend {
    /// Opens and asks nothing yet.
    #[must_use]
    pub fn new(store: StoreId, config: &Config, register: Arc<dyn MasterKeyRegister>) -> Self {
        Self::over(&Hsm::connect(config), store, config, register)
    }

    /// Over a token that others ask, too: in the same sessions.
    #[must_use]
    pub fn over(hsm: &Hsm, store: StoreId, config: &Config, register: Arc<dyn MasterKeyRegister>) -> Self {
        let budget = Budget { limit: config.mkek_budget, block: config.mkek_block };
        // Wrapping is rare, so the register is asked each time: an insert under a stale MKEK is refused.
        let mkeks = MasterKeyBudget::new(register, MasterKeyPurpose::Mkek(store), budget, Duration::ZERO);
        Self { store, mkeks, runner: hsm.runner() }
    }

    /// The version that is active, or what to do when there is none.
    async fn active(&self) -> Result<MasterKey, StoreError> {
        self.mkeks.find_active().await?.ok_or_else(|| error::no_version().into())
    }

    fn registered(&self, key: &MasterKey) -> Registered {
        Registered { store: self.store, id: key.id, check_value: key.check_value.clone() }
    }

    /// A wrapping that isn't authentic is corrupt only if the token's keys aren't at fault.
    async fn blamed(&self, mkek: MasterKeyId, failure: Failure) -> StoreError {
        if failure.fault != Fault::Corrupt || failure.operation != Operation::UnwrapKek {
            return failure.into();
        }
        let registered = match self.mkeks.find(mkek).await {
            Ok(registered) => registered,
            Err(error) => return error,
        };
        let proven = match registered {
            Some(key) => self.runner.run(Job::Prove(self.registered(&key))).await,
            None => Ok(Answer::Done),
        };
        proven.err().unwrap_or(failure).into()
    }

    /// Asks with a KEK, and finds out who is to blame when it doesn't open.
    async fn with_kek(&self, mkek: MasterKeyId, job: Job) -> Result<Answer, StoreError> {
        match self.runner.run(job).await {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(self.blamed(mkek, failure).await),
        }
    }
}

#[async_trait]
impl CryptoBackend for Pkcs11Backend {
    fn kind(&self) -> &'static str {
        "pkcs11"
    }

    async fn active_mkek(&self) -> Result<MasterKeyId, StoreError> {
        let active = self.active().await?;
        self.runner.run(Job::Prove(self.registered(&active))).await?;
        Ok(active.id)
    }

    async fn create_kek(&self, context: &KekContext) -> Result<WrappedKek, StoreError> {
        self.active().await?;
        let active = self.mkeks.take().await?;
        let job = Job::CreateKek { context: context.clone(), version: self.registered(&active) };
        match self.runner.run(job).await? {
            Answer::Kek(kek) => Ok(kek),
            _ => Err(mixed_up("create KEK")),
        }
    }

    async fn rewrap_kek(&self, context: &KekContext, kek: &WrappedKek) -> Result<WrappedKek, StoreError> {
        self.active().await?;
        let active = self.mkeks.take().await?;
        let (context, version) = (context.clone(), self.registered(&active));
        match self.with_kek(kek.mkek, Job::RewrapKek { context, kek: kek.clone(), version }).await? {
            Answer::Kek(kek) => Ok(kek),
            _ => Err(mixed_up("rewrap KEK")),
        }
    }

    async fn encrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        payload: &SecretBytes,
    ) -> Result<Vec<u8>, StoreError> {
        let job = Job::Encrypt {
            context: context.clone(),
            kek: kek.clone(),
            associated: associated.to_vec(),
            payload: SecretBytes::new(payload.expose().to_vec()),
        };
        match self.with_kek(kek.mkek, job).await? {
            Answer::Bytes(bytes) => Ok(bytes),
            _ => Err(mixed_up("encrypt payload")),
        }
    }

    async fn decrypt(
        &self,
        context: &KekContext,
        kek: &WrappedKek,
        associated: &[u8],
        ciphertext: &[u8],
    ) -> Result<SecretBytes, StoreError> {
        let job = Job::Decrypt {
            context: context.clone(),
            kek: kek.clone(),
            associated: associated.to_vec(),
            ciphertext: ciphertext.to_vec(),
        };
        match self.with_kek(kek.mkek, job).await? {
            Answer::Secret(payload) => Ok(payload),
            _ => Err(mixed_up("decrypt payload")),
        }
    }

    async fn random(&self, length: usize) -> Result<SecretBytes, StoreError> {
        match self.runner.run(Job::Random(length)).await? {
            Answer::Secret(bytes) if bytes.len() == length => Ok(bytes),
            _ => Err(mixed_up("draw random bytes")),
        }
    }

    /// Earlier versions count, too: what is wrapped under one that isn't there can't be read.
    async fn health(&self) -> Result<(), StoreError> {
        self.active_mkek().await?;
        for id in self.mkeks.superseded().await? {
            if let Some(key) = self.mkeks.find(id).await? {
                self.runner.run(Job::Prove(self.registered(&key))).await?;
            }
        }
        Ok(())
    }
}

fn mixed_up(operation: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Internal, operation, "the answer belongs to another question")
}
