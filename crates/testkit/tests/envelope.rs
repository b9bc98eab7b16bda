//! What the envelope promises beyond its contract as a store: how often it asks the vault, and what
//! it does when what it holds in memory is out of date.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::clock::Clock;
use bailey_core::envelope::EnvelopeConfig;
use bailey_core::ids::{ProjectId, SecretId, WriteId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{
    Place, RetrieveRequest, SecretStore, StoreError, StoreErrorKind, StoreReference, StoreRequest,
};
use bailey_core::vault::{KekState, Vault as _};
use bailey_testkit::conformance::secret_store::{MasterKeys as _, StoreFixture as _};
use bailey_testkit::envelope::{EnvelopeFixture, MemoryBackendFixture, MemoryVaultFixture};
use bailey_testkit::memory::MemoryVault;

struct Bench {
    fixture: EnvelopeFixture,
    vault: Arc<MemoryVault>,
    project: ProjectId,
}

impl Bench {
    async fn new(config: EnvelopeConfig) -> Self {
        let vault = Arc::new(MemoryVaultFixture::default());
        let backend = Arc::new(MemoryBackendFixture::new(vault.clone()).await.unwrap());
        let fixture = EnvelopeFixture { config, ..EnvelopeFixture::new(backend, vault.clone()) };
        Self { fixture, vault: Arc::clone(&vault.0), project: ProjectId::new("p").unwrap() }
    }

    async fn instance(&self) -> Arc<dyn SecretStore> {
        self.fixture.instance().await.unwrap()
    }

    async fn put(&self, store: &dyn SecretStore) -> Result<(Place, StoreReference), StoreError> {
        let place = Place { project: self.project.clone(), secret: SecretId::new(), write: WriteId::new() };
        let (payload, spec) = (SecretBytes::new(b"payload".to_vec()), &Spec::default());
        let request = StoreRequest { place: &place, secret_type: SecretType::Opaque, spec, payload: &payload };
        let reference = store.store(request).await?;
        Ok((place, reference))
    }

    /// How many questions the vault was asked meanwhile.
    async fn asked<T>(&self, call: impl Future<Output = T>) -> (u64, T) {
        let before = self.vault.questions();
        let result = call.await;
        (self.vault.questions() - before, result)
    }
}

async fn get(store: &dyn SecretStore, kept: &(Place, StoreReference), verify: bool) -> Result<SecretBytes, StoreError> {
    store.retrieve(RetrieveRequest { place: &kept.0, reference: &kept.1, verify }).await
}

fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind)
}

#[tokio::test]
async fn a_store_asks_the_vault_once_and_a_second_read_not_at_all() {
    let bench = Bench::new(EnvelopeConfig::default()).await;
    let store = bench.instance().await;
    bench.put(&*store).await.unwrap();
    let (asked, kept) = bench.asked(bench.put(&*store)).await;
    let kept = kept.unwrap();
    assert_eq!(asked, 1, "a store with a KEK at hand");
    assert_eq!(bench.asked(get(&*store, &kept, false)).await.0, 1, "a first read");
    assert_eq!(bench.asked(get(&*store, &kept, false)).await.0, 0, "a second read");
    assert_eq!(bench.asked(get(&*store, &kept, true)).await.0, 2, "a verification");
    let cold = bench.instance().await;
    assert_eq!(bench.asked(get(&*cold, &kept, false)).await.0, 2, "a first read without a KEK at hand");
}

#[tokio::test]
async fn the_cache_is_bounded_in_time_and_can_be_switched_off() {
    for config in [
        EnvelopeConfig { cache_bytes: 0, ..EnvelopeConfig::default() },
        EnvelopeConfig { cache_ttl: Duration::from_millis(1), ..EnvelopeConfig::default() },
    ] {
        let bench = Bench::new(config).await;
        let store = bench.instance().await;
        let kept = bench.put(&*store).await.unwrap();
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert_eq!(bench.asked(get(&*store, &kept, false)).await.0, 1);
        }
    }
}

#[tokio::test]
async fn only_what_could_be_decrypted_is_cached() {
    let bench = Bench::new(EnvelopeConfig::default()).await;
    let store = bench.instance().await;
    let kept = bench.put(&*store).await.unwrap();
    let good = bench.vault.ciphertext(kept.0.write).unwrap();
    bench.vault.replace_ciphertext(kept.0.write, b"\x01vandalised".to_vec());
    assert_eq!(kind(get(&*store, &kept, false).await), Some(StoreErrorKind::Corrupt));
    bench.vault.replace_ciphertext(kept.0.write, good);
    assert_eq!(get(&*store, &kept, false).await.unwrap().expose(), b"payload");
}

#[tokio::test]
async fn with_the_vault_down_all_but_cached_reads_is_unavailable() {
    let bench = Bench::new(EnvelopeConfig::default()).await;
    let store = bench.instance().await;
    let (cached, other) = (bench.put(&*store).await.unwrap(), bench.put(&*store).await.unwrap());
    get(&*store, &cached, false).await.unwrap();
    bench.vault.set_down(true);
    assert_eq!(get(&*store, &cached, false).await.unwrap().expose(), b"payload");
    assert_eq!(kind(get(&*store, &cached, true).await), Some(StoreErrorKind::Unavailable));
    assert_eq!(kind(get(&*store, &other, false).await), Some(StoreErrorKind::Unavailable));
    assert_eq!(kind(bench.put(&*store).await), Some(StoreErrorKind::Unavailable));
    assert_eq!(kind(store.delete(&other.0, &other.1).await), Some(StoreErrorKind::Unavailable));
    assert_eq!(kind(store.health().await), Some(StoreErrorKind::Unavailable));
    bench.vault.set_down(false);
    assert_eq!(get(&*store, &other, false).await.unwrap().expose(), b"payload");
    bench.put(&*store).await.unwrap();
}

#[tokio::test]
async fn a_rewrapped_kek_is_reread_once() {
    let bench = Bench::new(EnvelopeConfig { cache_bytes: 0, ..EnvelopeConfig::default() }).await;
    let (store, other) = (bench.instance().await, bench.instance().await);
    let kept = bench.put(&*store).await.unwrap();
    bench.fixture.rotate().await.unwrap();
    assert_eq!(other.key_rotation().unwrap().rewrap(10).await.unwrap(), 1);
    assert_eq!(other.key_rotation().unwrap().rewrap(10).await.unwrap(), 0);
    // The old MKEK is gone for good, and this instance still holds the wrapping under it.
    bench.fixture.withhold_old().await.unwrap();
    let (asked, payload) = bench.asked(get(&*store, &kept, false)).await;
    assert_eq!((asked, payload.unwrap().expose()), (2, b"payload".as_slice()));
    assert_eq!(bench.asked(get(&*store, &kept, false)).await.0, 1, "the new wrapping isn't held");
    bench.put(&*store).await.unwrap();
}

#[tokio::test]
async fn a_missing_or_retired_kek_is_corruption_and_a_missing_mkek_is_not() {
    let bench = Bench::new(EnvelopeConfig::default()).await;
    let kept = bench.put(&*bench.instance().await).await.unwrap();
    let mkek = bench.vault.keks()[0].wrapped.mkek;
    bench.fixture.backend.withhold(mkek).await.unwrap();
    assert_eq!(kind(get(&*bench.instance().await, &kept, false).await), Some(StoreErrorKind::Unavailable));
    bench.vault.retire_kek(bench.vault.keks()[0].id);
    assert_eq!(kind(get(&*bench.instance().await, &kept, false).await), Some(StoreErrorKind::Corrupt));
}

#[tokio::test]
async fn a_wrapping_that_does_not_open_is_told_after_the_others_are_rewrapped() {
    let mut bench = Bench::new(EnvelopeConfig::default()).await;
    let store = bench.instance().await;
    for project in ["p", "q", "r", "s"] {
        bench.project = ProjectId::new(project).unwrap();
        bench.put(&*store).await.unwrap();
    }
    let bad = &bench.vault.keks()[..2];
    for kek in bad {
        bench.vault.replace_wrapping(kek.id, b"vandalised".to_vec());
    }
    bench.fixture.rotate().await.unwrap();
    let rotation = store.key_rotation().unwrap();
    // Even a whole batch of them is in nobody's way.
    for rewrapped in [1, 1] {
        assert_eq!(rotation.rewrap(1).await.unwrap(), rewrapped);
    }
    assert_eq!(kind(rotation.rewrap(1).await), Some(StoreErrorKind::Corrupt));
    let old = bench.vault.keks().into_iter().filter(|kek| kek.wrapped.mkek == bad[0].wrapped.mkek);
    assert_eq!(old.map(|kek| kek.id).collect::<Vec<_>>(), [bad[0].id, bad[1].id]);
}

#[tokio::test]
async fn a_used_up_kek_makes_way_for_another() {
    let config = EnvelopeConfig { kek_budget: 3, kek_block: 2, ..EnvelopeConfig::default() };
    let bench = Bench::new(config).await;
    let store = bench.instance().await;
    let mut kept = Vec::new();
    for _ in 0..7 {
        kept.push(bench.put(&*store).await.unwrap());
    }
    let keks = bench.vault.keks();
    let states: Vec<_> = keks.iter().map(|kek| (kek.state, kek.reserved)).collect();
    assert_eq!(states, [(KekState::DecryptOnly, 3), (KekState::DecryptOnly, 3), (KekState::Active, 2)]);
    for kept in &kept {
        assert_eq!(get(&*store, kept, true).await.unwrap().expose(), b"payload");
    }
    let store_id = store.descriptor().id;
    for (kek, expected) in keks.iter().zip([3, 3, 1]) {
        let under = bench.vault.list_ciphertexts(store_id, Some(kek.id), None, 10).await.unwrap();
        assert_eq!(under.len(), expected);
    }
}

#[tokio::test]
async fn times_are_the_clocks() {
    let bench = Bench::new(EnvelopeConfig::default()).await;
    let kept = bench.put(&*bench.instance().await).await.unwrap();
    let store = bench.instance().await;
    let listed = store.inventory().unwrap().list(None, None, 10).await.unwrap();
    assert_eq!(listed[0].place, kept.0);
    assert!(listed[0].created_at <= Clock::system().now());
    assert_eq!(listed[0].created_at.timestamp_subsec_nanos() % 1_000, 0);
}
