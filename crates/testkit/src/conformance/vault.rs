//! What every [`Vault`] and [`MasterKeyRegister`] must do: what the envelope's promises rest on.

mod ciphertexts;
mod keks;
mod master_keys;

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bailey_core::clock::Clock;
use bailey_core::crypto::WrappedKek;
use bailey_core::ids::{KekId, MasterKeyId, ProjectId, StoreId, WriteId};
use bailey_core::store::Place;
use bailey_core::vault::{Ciphertext, Inserted, KekState, MasterKeyPurpose, ProjectKek, Vault};

use super::{Case, Open, Suite, case, expect_failure, fresh_place, fresh_project};
use crate::envelope::VaultFixture;

/// The suite over fixtures that `open` opens.
pub fn suite(open: Open<dyn VaultFixture>) -> Suite<dyn VaultFixture> {
    let cases = [ciphertexts::cases(), keks::cases(), master_keys::cases()];
    Suite::choose(cases.into_iter().flatten().collect(), open, |()| true)
}

type Fixture = Arc<dyn VaultFixture>;
type VaultCase = Case<dyn VaultFixture, ()>;

/// A store with an active MKEK in the fixture's vault.
struct Site {
    fixture: Fixture,
    vault: Arc<dyn Vault>,
    store: StoreId,
    mkek: MasterKeyId,
}

impl Site {
    async fn new(fixture: &Fixture) -> Result<Self> {
        let (store, mkek) = (StoreId::new(), MasterKeyId::new());
        fixture.activate(MasterKeyPurpose::Mkek(store), mkek, b"check".to_vec()).await?;
        Ok(Self { fixture: Arc::clone(fixture), vault: fixture.vault(), store, mkek })
    }

    /// Activates another MKEK.
    async fn rotate(&self) -> Result<MasterKeyId> {
        let mkek = MasterKeyId::new();
        self.fixture.activate(MasterKeyPurpose::Mkek(self.store), mkek, b"check".to_vec()).await?;
        Ok(mkek)
    }

    /// A KEK that nobody has seen yet.
    fn new_kek(&self, project: &ProjectId) -> ProjectKek {
        let id = KekId::new();
        ProjectKek {
            id,
            store: self.store,
            project: project.clone(),
            state: KekState::Active,
            wrapped: WrappedKek { mkek: self.mkek, bytes: id.uuid().as_bytes().to_vec() },
            reserved: 5,
            created_at: Clock::system().now(),
        }
    }

    /// An active KEK in the vault.
    async fn kek(&self, project: &ProjectId) -> Result<ProjectKek> {
        let kek = self.new_kek(project);
        ensure!(self.vault.insert_kek(&kek).await?, "the first KEK of a project isn't inserted");
        Ok(kek)
    }

    /// A ciphertext under `kek` that nobody has seen yet.
    fn new_ciphertext(kek: &ProjectKek) -> Ciphertext {
        let place = fresh_place(&kek.project);
        let bytes = [place.write.uuid().as_bytes().as_slice(), &[0, 255, b'\'', b'\\']].concat();
        Ciphertext { place, kek: kek.id, bytes: bytes.into(), created_at: Clock::system().now() }
    }

    /// A ciphertext in the vault.
    async fn ciphertext(&self, kek: &ProjectKek) -> Result<Ciphertext> {
        let ciphertext = Self::new_ciphertext(kek);
        let inserted = self.vault.insert_ciphertext(self.store, &ciphertext).await?;
        ensure!(inserted == Inserted::Yes, "not inserted under an active KEK");
        Ok(ciphertext)
    }

    async fn expect_ciphertext(&self, write: WriteId, expected: Option<&Ciphertext>, when: &str) -> Result<()> {
        let found = self.vault.find_ciphertext(self.store, write).await?;
        ensure!(found.as_ref() == expected, "{when}: {found:?} instead of {expected:?}");
        Ok(())
    }

    async fn expect_kek(&self, expected: &ProjectKek, when: &str) -> Result<()> {
        let found = self.vault.find_kek(self.store, expected.id).await?;
        ensure!(found.as_ref() == Some(expected), "{when}: {found:?} instead of {expected:?}");
        Ok(())
    }
}
