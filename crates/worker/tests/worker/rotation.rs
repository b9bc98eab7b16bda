//! Key rotation from a worker's side: everything reads back, before, during and after.

use std::sync::Arc;

use crate::harness::Harness;
use bailey_core::envelope::{EnvelopeConfig, EnvelopeStore, StoreIdentity};
use bailey_core::failure::FailureKind;
use bailey_core::ids::{DeploymentId, MasterKeyId, ProjectId};
use bailey_core::told::Told;
use bailey_core::vault::{KekState, MasterKeyPurpose, MasterKeyRegister as _};
use bailey_db::{admin, reference_key};
use bailey_testkit::memory::{MemoryBackend, MemoryDevice};
use tokio::sync::watch;

async fn with_envelope() -> (Harness, Arc<MemoryDevice>) {
    let device = Arc::new(MemoryDevice::default());
    let made = Arc::clone(&device);
    let harness = Harness::new(|store, vault, clock| {
        let mkek = MasterKeyId::new();
        made.add(mkek);
        vault.add_master_key(MasterKeyPurpose::Mkek(store), mkek, vec![1]);
        vault.activate_master_key(mkek);
        let backend = MemoryBackend::new(made, store, Arc::clone(vault) as _);
        let identity = StoreIdentity { deployment: DeploymentId::new(), store, name: "memory".into() };
        let vault = Arc::clone(vault) as _;
        Arc::new(EnvelopeStore::new(identity, &EnvelopeConfig::default(), backend, vault, clock))
    });
    (harness.await, device)
}

#[tokio::test]
async fn re_encryption_moves_every_payload_and_frees_the_old_kek() {
    let (harness, _) = with_envelope().await;
    let mut ids = Vec::new();
    for number in 0..30 {
        ids.push(harness.create(Some(&format!("payload {number}"))).await.unwrap());
    }
    let rotation = harness.store().key_rotation().unwrap();
    let old = rotation.rotate(&ProjectId::new("project").unwrap(), true).await.unwrap().unwrap();
    assert_eq!(rotation.to_reencrypt().await.unwrap(), [old]);

    let (_stop, running) = watch::channel(false);
    harness.delete(ids.remove(0)).await.unwrap();
    assert_eq!(harness.worker.reencrypt(harness.store(), &running, &mut Told::default()).await.unwrap(), 29);
    assert_eq!(rotation.to_reencrypt().await.unwrap(), []);
    assert_eq!(harness.worker.reencrypt(harness.store(), &running, &mut Told::default()).await.unwrap(), 0);

    let inventory = harness.store().inventory().unwrap();
    assert_eq!(inventory.list(Some(old), None, 100).await.unwrap().len(), 0);
    assert_eq!(inventory.list(None, None, 100).await.unwrap().len(), 29);
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(harness.read(id).await.unwrap(), format!("payload {}", number + 1));
    }
    let states: Vec<KekState> = harness.vault.keks().into_iter().map(|kek| kek.state).collect();
    assert!(states.contains(&KekState::Active) && states.contains(&KekState::DecryptOnly), "{states:?}");
}

#[tokio::test]
async fn a_stopped_re_encryption_goes_on_where_it_was() {
    let (harness, _) = with_envelope().await;
    for number in 0..5 {
        harness.create(Some(&format!("payload {number}"))).await.unwrap();
    }
    let rotation = harness.store().key_rotation().unwrap();
    rotation.rotate(&ProjectId::new("project").unwrap(), true).await.unwrap();
    let (stop, stopped) = watch::channel(true);
    assert_eq!(harness.worker.reencrypt(harness.store(), &stopped, &mut Told::default()).await.unwrap(), 0);
    stop.send(false).unwrap();
    assert_eq!(harness.worker.reencrypt(harness.store(), &stopped, &mut Told::default()).await.unwrap(), 5);
}

#[tokio::test]
async fn another_mkek_rewraps_every_kek_and_the_old_one_may_go() {
    let (harness, device) = with_envelope().await;
    let id = harness.create(Some("kept")).await.unwrap();
    let store = harness.store().descriptor().id;
    let old = harness.vault.keks()[0].wrapped.mkek;
    let new = MasterKeyId::new();
    device.add(new);
    harness.vault.add_master_key(MasterKeyPurpose::Mkek(store), new, vec![2]);
    harness.vault.activate_master_key(new);
    let (stop, running) = watch::channel(true);
    assert_eq!(harness.worker.rewrap(harness.store(), &running).await.unwrap(), 0, "it was told to stop");
    stop.send(false).unwrap();
    assert_eq!(harness.worker.rewrap(harness.store(), &running).await.unwrap(), 1);
    assert_eq!(harness.worker.rewrap(harness.store(), &running).await.unwrap(), 0);
    device.remove(old);
    assert_eq!(harness.read(id).await.unwrap(), "kept");
    harness.create(Some("more")).await.unwrap();
}

/// To a process that was paused, the version that was given up meanwhile still is the active one.
#[tokio::test]
async fn what_is_sealed_under_a_given_up_worker_key_is_refused_and_taken_back() {
    let (harness, _) = with_envelope().await;
    let kept = harness.create(Some("kept")).await.unwrap();
    let empty = harness.create(None).await.unwrap();
    let active = harness.vault.list(MasterKeyPurpose::Worker).await.unwrap()[0].id;
    harness.worker.db.write(move |tx| Box::pin(reference_key::retire(tx, active))).await.unwrap();

    let created = harness.create(Some("late")).await.map(drop);
    for outcome in [created, harness.put(empty, "late").await] {
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unavailable);
        assert!(failure.retry_after.is_some());
    }
    let rotation = harness.store().key_rotation().unwrap();
    rotation.rotate(&ProjectId::new("project").unwrap(), true).await.unwrap();
    let (_stop, running) = watch::channel(false);
    let moved = harness.worker.reencrypt(harness.store(), &running, &mut Told::default()).await;
    assert_eq!(moved.unwrap_err().kind, FailureKind::Unavailable);

    assert_eq!(harness.read(kept).await.unwrap(), "kept");
    assert_eq!(harness.read(empty).await.unwrap_err().kind, FailureKind::NotFound);
    let counted = admin::count_by_reference_key(harness.worker.db.reader()).await.unwrap();
    assert_eq!(counted, [(active, 1)]);
    assert_eq!(harness.store().inventory().unwrap().list(None, None, 10).await.unwrap().len(), 1);

    let settle = harness.worker.db.write(move |tx| Box::pin(reference_key::settle(tx, active)));
    assert_eq!(settle.await.unwrap(), 1);
    harness.put(empty, "on time").await.unwrap();
}
