//! A guarded store whose back-end goes down: failures end in time, then at once, and by themselves. Time
//! passes only where nothing else is left to do.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::clock::Clock;
use bailey_core::envelope::{EnvelopeConfig, EnvelopeStore, StoreIdentity};
use bailey_core::failure::FailureKind;
use bailey_core::ids::{DeploymentId, MasterKeyId, ProjectId, SecretId, StoreId, WriteId};
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{
    Place, RetrieveRequest, SecretStore, StoreError, StoreErrorKind, StoreReference, StoreRequest,
};
use bailey_core::vault::MasterKeyPurpose;
use bailey_testkit::broken::{Fails, Outage, OutageStore};
use bailey_testkit::memory::{MemoryBackend, MemoryDevice, MemoryShelf, MemoryStore, MemoryVault};
use bailey_worker::{Config, Guarded};
use tokio::time::Instant;

use crate::harness::Harness;

/// A guarded store and the switch of its back-end.
struct Guard {
    store: Arc<Guarded>,
    outage: Arc<Outage>,
}

impl Guard {
    fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new(StoreId::new(), Arc::new(MemoryShelf::default()))))
    }

    fn over(inner: Arc<dyn SecretStore>) -> Self {
        let outage = Arc::new(Outage::default());
        let store = Arc::new(OutageStore::new(inner, Arc::clone(&outage)));
        Self { store: Arc::new(Guarded::new(store, &Config::default())), outage }
    }

    async fn keep(&self, place: &Place) -> Result<StoreReference, StoreError> {
        let (payload, spec) = (b"payload".to_vec().into(), &Spec::default());
        self.store.store(StoreRequest { place, secret_type: SecretType::Opaque, spec, payload: &payload }).await
    }

    async fn read(&self, place: &Place, reference: &StoreReference) -> Result<(), StoreError> {
        let read = self.store.retrieve(RetrieveRequest { place, reference, verify: false }).await?;
        assert_eq!(read.expose(), b"payload");
        Ok(())
    }

    /// Asks as often as it takes for the store to become unusable.
    async fn exhaust(&self) {
        for _ in 0..Config::default().store_failures {
            assert_eq!(self.keep(&place()).await.unwrap_err().kind, StoreErrorKind::Unavailable);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn place() -> Place {
    Place { project: ProjectId::new("project").unwrap(), secret: SecretId::new(), write: WriteId::new() }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_refused_at_once_and_comes_back_by_itself() {
    let (down, other) = (Guard::new(), Guard::new());
    let place = place();
    let reference = down.keep(&place).await.unwrap();
    down.outage.set(Some(Fails::Never));
    let begin = Instant::now();
    for _ in 0..Config::default().store_failures {
        assert_eq!(down.read(&place, &reference).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    }
    assert_eq!(begin.elapsed(), Duration::from_secs(50), "each at its deadline");

    let (begin, asked) = (Instant::now(), down.outage.work());
    for _ in 0..1000 {
        assert_eq!(down.read(&place, &reference).await.unwrap_err().kind, StoreErrorKind::Unavailable);
        assert_eq!(down.store.health().await.unwrap_err().kind, StoreErrorKind::Unavailable);
        other.keep(&self::place()).await.unwrap();
    }
    assert_eq!((begin.elapsed(), down.outage.work()), (Duration::ZERO, asked), "at once, without asking");

    down.outage.set(None);
    tokio::time::sleep(Duration::from_secs(20)).await;
    down.read(&place, &reference).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_back_end_that_is_down_gets_few_probes_however_many_callers_there_are() {
    let guard = Guard::new();
    guard.outage.set(Some(Fails::AtOnce));
    let crowd = || async {
        let callers = (0..500).map(|_| async {
            let _ = guard.keep(&place()).await;
            let _ = guard.store.health().await;
        });
        futures_util::future::join_all(callers).await;
    };
    crowd().await;
    guard.exhaust().await;
    let (probes, work) = (guard.outage.calls("health"), guard.outage.work());
    for _ in 0..120 {
        crowd().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let probes = guard.outage.calls("health") - probes;
    assert!((6..=12).contains(&probes), "{probes} probes in two minutes");
    assert_eq!(guard.outage.work(), work);

    guard.outage.set(None);
    tokio::time::sleep(Duration::from_secs(20)).await;
    guard.keep(&place()).await.unwrap();
    assert_eq!(guard.outage.work(), work + 1);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_done_twice_is_tried_again_and_what_places_bytes_is_not() {
    let guard = Guard::new();
    let place = place();
    let reference = guard.keep(&place).await.unwrap();
    guard.outage.set(Some(Fails::Times(2)));
    guard.read(&place, &reference).await.unwrap();
    assert_eq!(guard.outage.calls("retrieve"), 3);
    guard.outage.set(Some(Fails::Times(1)));
    assert_eq!(guard.store.inventory().unwrap().list(None, None, 10).await.unwrap().len(), 1);
    guard.outage.set(Some(Fails::Times(1)));
    guard.store.delete(&place, &reference).await.unwrap();

    guard.outage.set(Some(Fails::Times(1)));
    assert_eq!(guard.keep(&self::place()).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(guard.outage.calls("store"), 2);
    guard.outage.set(Some(Fails::Times(1)));
    let spec = Spec { bit_length: Some(256), ..Spec::default() };
    let made = guard.store.generate_symmetric(&self::place(), &spec).await;
    assert_eq!((made.unwrap_err().kind, guard.outage.calls("generate")), (StoreErrorKind::Unavailable, 1));
}

#[tokio::test(start_paused = true)]
async fn tries_end_with_the_deadline() {
    let guard = Guard::new();
    let place = place();
    let reference = guard.keep(&place).await.unwrap();
    guard.outage.set(Some(Fails::AtOnce));
    let begin = Instant::now();
    guard.read(&place, &reference).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    guard.outage.set(Some(Fails::Never));
    let begin = Instant::now();
    guard.read(&place, &reference).await.unwrap_err();
    assert_eq!(begin.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn refusals_are_answers() {
    let guard = Guard::new();
    let place = place();
    let reference = guard.keep(&place).await.unwrap();
    guard.store.delete(&place, &reference).await.unwrap();
    let spec = Spec { bit_length: Some(7), ..Spec::default() };
    for _ in 0..20 {
        assert_eq!(guard.read(&place, &reference).await.unwrap_err().kind, StoreErrorKind::NotFound);
        let foreign = guard.store.delete(&self::place(), &reference).await.unwrap_err();
        assert_eq!(foreign.kind, StoreErrorKind::Corrupt);
        let unsupported = guard.store.generate_symmetric(&place, &spec).await.unwrap_err();
        assert_eq!(unsupported.kind, StoreErrorKind::Unsupported);
    }
    let written = self::place();
    guard.keep(&written).await.unwrap();
    for _ in 0..20 {
        assert_eq!(guard.keep(&written).await.unwrap_err().kind, StoreErrorKind::Conflict);
    }
    assert_eq!(guard.outage.calls("retrieve"), 20, "each once");
}

#[tokio::test(start_paused = true)]
async fn slow_callers_do_not_take_the_store_from_the_others() {
    let guard = Guard::new();
    tokio::time::sleep(Duration::from_secs(1)).await;
    guard.outage.set(Some(Fails::Never));
    let slow = async { futures_util::future::join_all((0..50).map(|_| async { guard.keep(&place()).await })).await };
    let fast = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        guard.outage.set(None);
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            guard.keep(&place()).await.unwrap();
        }
    };
    let (slow, ()) = tokio::join!(slow, fast);
    assert!(slow.iter().all(Result::is_err));
}

#[tokio::test(start_paused = true)]
async fn lists_and_rotation_are_guarded_too() {
    let (device, vault, store) = (Arc::new(MemoryDevice::default()), Arc::new(MemoryVault::default()), StoreId::new());
    let mkek = MasterKeyId::new();
    device.add(mkek);
    vault.add_master_key(MasterKeyPurpose::Mkek(store), mkek, vec![1]);
    vault.activate_master_key(mkek);
    let identity = StoreIdentity { deployment: DeploymentId::new(), store, name: "memory".into() };
    let backend = MemoryBackend::new(device, store, Arc::clone(&vault) as _);
    let envelope = EnvelopeStore::new(identity, &EnvelopeConfig::default(), backend, vault as _, Clock::system());
    let guard = Guard::over(Arc::new(envelope));
    guard.keep(&place()).await.unwrap();
    let (inventory, rotation) = (guard.store.inventory().unwrap(), guard.store.key_rotation().unwrap());
    let project = ProjectId::new("project").unwrap();
    guard.outage.set(Some(Fails::Times(1)));
    assert_eq!(rotation.rotate(&project, true).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    let kek = rotation.rotate(&project, true).await.unwrap().unwrap();
    guard.outage.set(Some(Fails::Times(1)));
    assert_eq!(rotation.to_reencrypt().await.unwrap(), [kek]);
    assert_eq!(inventory.list(Some(kek), None, 10).await.unwrap().len(), 1);

    guard.outage.set(Some(Fails::Never));
    let begin = Instant::now();
    assert_eq!(rotation.rewrap(1).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(begin.elapsed(), Duration::from_secs(60));
    guard.outage.set(Some(Fails::AtOnce));
    guard.exhaust().await;
    let work = guard.outage.work();
    assert_eq!(inventory.list(None, None, 10).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(rotation.to_reencrypt().await.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(guard.outage.work(), work, "it is not asked");

    assert!(Guard::new().store.key_rotation().is_none(), "what the store doesn't have, its guard doesn't");
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_dropped_probes_no_more() {
    let guard = Guard::new();
    guard.outage.set(Some(Fails::AtOnce));
    tokio::time::sleep(Duration::from_secs(30)).await;
    let Guard { store, outage } = guard;
    let probes = outage.calls("health");
    assert!(probes > 3, "{probes}");
    drop(store);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(outage.calls("health"), probes);
}

#[tokio::test]
async fn requests_that_need_a_store_that_is_down_are_unavailable_and_work_again_once_it_is_back() {
    let outage = Arc::new(Outage::default());
    let switch = Arc::clone(&outage);
    let harness = Harness::new(|id, _, _| {
        let inner = Arc::new(MemoryStore::new(id, Arc::new(MemoryShelf::default())));
        let config = Config { probe_shortest_seconds: 0.01, probe_longest_seconds: 0.02, ..Config::default() };
        Arc::new(Guarded::new(Arc::new(OutageStore::new(inner, switch)), &config))
    })
    .await;
    let id = harness.create(Some("kept")).await.unwrap();
    outage.set(Some(Fails::AtOnce));
    for _ in 0..10 {
        let failure = harness.create(Some("refused")).await.unwrap_err();
        assert_eq!((failure.kind, failure.retry_after.is_some()), (FailureKind::Unavailable, true));
    }
    assert_eq!(harness.read(id).await.unwrap_err().kind, FailureKind::Unavailable);
    harness.create(None).await.expect("what needs no store goes on");
    outage.set(None);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while harness.read(id).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "it doesn't come back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    harness.create(Some("accepted")).await.unwrap();
}
