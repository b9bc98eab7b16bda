//! Fixtures that the conformance suites run on: the memory doubles, and an envelope over any
//! backend and any vault.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use bailey_core::clock::Clock;
use bailey_core::crypto::CryptoBackend;
use bailey_core::envelope::{EnvelopeConfig, EnvelopeStore, StoreIdentity};
use bailey_core::ids::{DeploymentId, KekId, MasterKeyId, StoreId, WriteId};
use bailey_core::keyring::KeyRing;
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::SecretStore;
use bailey_core::vault::{MasterKeyPurpose, MasterKeyRegister, MasterKeyState, Vault};

use crate::conformance::crypto_backend::BackendFixture;
use crate::conformance::secret_store::{MasterKeys, StoreFixture, Tampering};
use crate::memory::{MemoryBackend, MemoryDevice, MemoryShelf, MemoryStore, MemoryVault, random};

/// A vault that tests can look into, vandalise and administer.
#[async_trait]
pub trait VaultFixture: Send + Sync {
    /// The vault itself.
    fn vault(&self) -> Arc<dyn Vault>;

    /// The register of master keys beside it.
    fn register(&self) -> Arc<dyn MasterKeyRegister>;

    /// Registers a master key and makes it the active one for its purpose.
    async fn activate(&self, purpose: MasterKeyPurpose, id: MasterKeyId, check_value: Vec<u8>) -> Result<()>;

    /// Everything in it, as whoever copies the database has it.
    async fn dump(&self) -> Result<Vec<Vec<u8>>>;

    /// The bytes of a ciphertext.
    async fn read_ciphertext(&self, write: WriteId) -> Result<Vec<u8>>;

    /// Replaces the bytes of a ciphertext.
    async fn replace_ciphertext(&self, write: WriteId, bytes: Vec<u8>) -> Result<()>;

    /// Retires a KEK, whatever it still encrypts.
    async fn force_retirement(&self, kek: KekId) -> Result<()>;
}

/// A [`MemoryVault`] as a fixture.
#[derive(Clone, Default)]
pub struct MemoryVaultFixture(pub Arc<MemoryVault>);

#[async_trait]
impl VaultFixture for MemoryVaultFixture {
    fn vault(&self) -> Arc<dyn Vault> {
        Arc::clone(&self.0) as _
    }

    fn register(&self) -> Arc<dyn MasterKeyRegister> {
        Arc::clone(&self.0) as _
    }

    async fn activate(&self, purpose: MasterKeyPurpose, id: MasterKeyId, check_value: Vec<u8>) -> Result<()> {
        self.0.add_master_key(purpose, id, check_value);
        self.0.activate_master_key(id);
        Ok(())
    }

    async fn dump(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.0.dump())
    }

    async fn read_ciphertext(&self, write: WriteId) -> Result<Vec<u8>> {
        self.0.ciphertext(write).context("no such ciphertext")
    }

    async fn replace_ciphertext(&self, write: WriteId, bytes: Vec<u8>) -> Result<()> {
        self.0.replace_ciphertext(write, bytes);
        Ok(())
    }

    async fn force_retirement(&self, kek: KekId) -> Result<()> {
        self.0.retire_kek(kek);
        Ok(())
    }
}

/// Memory backends over one device.
pub struct MemoryBackendFixture {
    store: StoreId,
    device: Arc<MemoryDevice>,
    vault: Arc<dyn VaultFixture>,
}

impl MemoryBackendFixture {
    /// With one active MKEK, registered in `vault`.
    ///
    /// # Errors
    /// When the vault can't be administered.
    pub async fn new(vault: Arc<dyn VaultFixture>) -> Result<Self> {
        let fixture = Self { store: StoreId::new(), device: Arc::default(), vault };
        fixture.rotate().await?;
        Ok(fixture)
    }
}

#[async_trait]
impl BackendFixture for MemoryBackendFixture {
    fn store(&self) -> StoreId {
        self.store
    }

    async fn instance(&self) -> Result<Arc<dyn CryptoBackend>> {
        Ok(Arc::new(MemoryBackend::new(Arc::clone(&self.device), self.store, self.vault.register())))
    }

    async fn rotate(&self) -> Result<MasterKeyId> {
        let mkek = MasterKeyId::new();
        self.device.add(mkek);
        self.vault.activate(MasterKeyPurpose::Mkek(self.store), mkek, Vec::new()).await?;
        Ok(mkek)
    }

    async fn withhold(&self, mkek: MasterKeyId) -> Result<()> {
        self.device.remove(mkek);
        Ok(())
    }
}

/// Makes a backend for a store out of a key ring and a register.
pub type MakeBackend = fn(StoreId, Arc<KeyRing>, Arc<dyn MasterKeyRegister>) -> Arc<dyn CryptoBackend>;

/// Makes a key-check value.
pub type MakeCheckValue = fn(MasterKeyPurpose, MasterKeyId, &SecretBytes) -> Vec<u8>;

/// Backends that take their MKEKs from a key ring.
pub struct KeyRingFixture {
    store: StoreId,
    keys: Arc<Mutex<BTreeMap<MasterKeyId, [u8; 32]>>>,
    vault: Arc<dyn VaultFixture>,
    make: MakeBackend,
    check_value: MakeCheckValue,
}

impl KeyRingFixture {
    /// With one active MKEK, registered in `vault`.
    ///
    /// # Errors
    /// When the vault can't be administered.
    pub async fn new(vault: Arc<dyn VaultFixture>, make: MakeBackend, check_value: MakeCheckValue) -> Result<Self> {
        let fixture = Self { store: StoreId::new(), keys: Arc::default(), vault, make, check_value };
        fixture.rotate().await?;
        Ok(fixture)
    }

    /// Replaces the key behind an id, as a mixed-up key file would.
    pub fn mix_up(&self, mkek: MasterKeyId) {
        self.keys.lock().unwrap().insert(mkek, random());
    }

    /// The keys, as a key file would have them.
    pub fn keys(&self) -> BTreeMap<MasterKeyId, [u8; 32]> {
        self.keys.lock().unwrap().clone()
    }
}

#[async_trait]
impl BackendFixture for KeyRingFixture {
    fn store(&self) -> StoreId {
        self.store
    }

    async fn instance(&self) -> Result<Arc<dyn CryptoBackend>> {
        let keys = Arc::clone(&self.keys);
        let load = move || {
            let keys = keys.lock().unwrap();
            Ok(keys.iter().map(|(id, key)| (*id, SecretBytes::new(key.to_vec()))).collect())
        };
        Ok((self.make)(self.store, Arc::new(KeyRing::new(load)?), self.vault.register()))
    }

    async fn rotate(&self) -> Result<MasterKeyId> {
        let (purpose, mkek, key) = (MasterKeyPurpose::Mkek(self.store), MasterKeyId::new(), random());
        self.keys.lock().unwrap().insert(mkek, key);
        let check_value = (self.check_value)(purpose, mkek, &SecretBytes::new(key.to_vec()));
        self.vault.activate(purpose, mkek, check_value).await?;
        Ok(mkek)
    }

    async fn withhold(&self, mkek: MasterKeyId) -> Result<()> {
        self.keys.lock().unwrap().remove(&mkek);
        Ok(())
    }
}

/// Envelopes over a backend's fixture and a vault's.
pub struct EnvelopeFixture {
    /// Opens the backends.
    pub backend: Arc<dyn BackendFixture>,
    /// Keeps their ciphertexts; the register of the backends' MKEKs is beside it.
    pub vault: Arc<dyn VaultFixture>,
    /// The installation, the same for each instance.
    pub deployment: DeploymentId,
    /// Budget and cache.
    pub config: EnvelopeConfig,
}

impl EnvelopeFixture {
    /// With the default configuration.
    pub fn new(backend: Arc<dyn BackendFixture>, vault: Arc<dyn VaultFixture>) -> Self {
        Self { backend, vault, deployment: DeploymentId::new(), config: EnvelopeConfig::default() }
    }

    /// Another envelope over the same backend and vault.
    ///
    /// # Errors
    /// When the backend can't be opened.
    pub async fn envelope(&self) -> Result<EnvelopeStore<Arc<dyn CryptoBackend>>> {
        let identity =
            StoreIdentity { deployment: self.deployment, store: self.backend.store(), name: "conformance".into() };
        let backend = self.backend.instance().await?;
        Ok(EnvelopeStore::new(identity, &self.config, backend, self.vault.vault(), Clock::system()))
    }
}

#[async_trait]
impl StoreFixture for EnvelopeFixture {
    async fn instance(&self) -> Result<Arc<dyn SecretStore>> {
        Ok(Arc::new(self.envelope().await?))
    }

    async fn dump(&self) -> Result<Vec<Vec<u8>>> {
        self.vault.dump().await
    }

    fn tampering(&self) -> Option<&dyn Tampering> {
        Some(self)
    }

    fn master_keys(&self) -> Option<&dyn MasterKeys> {
        Some(self)
    }
}

#[async_trait]
impl Tampering for EnvelopeFixture {
    async fn read(&self, write: WriteId) -> Result<Vec<u8>> {
        self.vault.read_ciphertext(write).await
    }

    async fn replace(&self, write: WriteId, bytes: Vec<u8>) -> Result<()> {
        self.vault.replace_ciphertext(write, bytes).await
    }
}

#[async_trait]
impl MasterKeys for EnvelopeFixture {
    async fn rotate(&self) -> Result<()> {
        self.backend.rotate().await.map(|_| ())
    }

    async fn withhold_old(&self) -> Result<()> {
        let keys = self.vault.register().list(MasterKeyPurpose::Mkek(self.backend.store())).await?;
        for key in keys.into_iter().filter(|key| key.state != MasterKeyState::Active) {
            self.backend.withhold(key.id).await?;
        }
        Ok(())
    }
}

/// Memory stores over one shelf.
#[derive(Default)]
pub struct MemoryStoreFixture {
    shelf: Arc<MemoryShelf>,
}

#[async_trait]
impl StoreFixture for MemoryStoreFixture {
    async fn instance(&self) -> Result<Arc<dyn SecretStore>> {
        Ok(Arc::new(MemoryStore::new(STORE.into(), Arc::clone(&self.shelf))))
    }

    async fn dump(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.shelf.stored().into_values().collect())
    }

    fn tampering(&self) -> Option<&dyn Tampering> {
        Some(self)
    }
}

/// Every memory store is the same one.
const STORE: uuid::Uuid = uuid::Uuid::from_u128(1);

#[async_trait]
impl Tampering for MemoryStoreFixture {
    async fn read(&self, write: WriteId) -> Result<Vec<u8>> {
        self.shelf.stored().remove(&write).context("no such write")
    }

    async fn replace(&self, write: WriteId, bytes: Vec<u8>) -> Result<()> {
        self.shelf.replace(write, bytes);
        Ok(())
    }
}
