//! What a pause, a crash or a race between two lines leaves behind: at worst an orphan.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{SecretId, StoreId};
use bailey_core::store::{Place, StoreRequest};
use bailey_db::{deletion, installation, secret, target};

use crate::gate::Gate;
use crate::harness::Harness;

async fn gated() -> (Arc<Harness>, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let harness = Harness::new(|id: StoreId, _, _| gate.store(id)).await;
    (Arc::new(harness), gate)
}

/// Runs `work` and holds it after its bytes are stored, or before they are read.
async fn paused<T, F>(gate: &Gate, work: F) -> tokio::task::JoinHandle<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    gate.hold(1);
    let task = tokio::spawn(work);
    gate.reached().await;
    task
}

/// `work` is paused for hours after its bytes are stored, and then goes on.
async fn assert_refused<F, W>(harness: Arc<Harness>, gate: Arc<Gate>, work: F)
where
    F: FnOnce(Arc<Harness>) -> W,
    W: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let task = paused(&gate, work(Arc::clone(&harness))).await;
    assert_eq!(harness.worker.sweep(harness.store(), None).await.unwrap().0, 0, "it is too young");
    harness.pass_hours(3);
    assert_eq!(harness.worker.sweep(harness.store(), None).await.unwrap().0, 1);
    assert_eq!(gate.stored(), 0);

    gate.let_go();
    let failure = task.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.retry_after.is_some());
    let audit = harness.worker.audit_store(harness.store(), Duration::ZERO, false).await.unwrap();
    assert_eq!((audit.referred, audit.unreadable.len()), (0, 0));
}

#[tokio::test]
async fn a_creation_paused_for_hours_is_refused_and_leaves_no_row() {
    let (harness, gate) = gated().await;
    assert_refused(harness, gate, |harness| async move { harness.create(Some("late")).await.map(drop) }).await;
}

#[tokio::test]
async fn a_second_step_paused_for_hours_is_refused_and_can_be_done_again() {
    let (harness, gate) = gated().await;
    let id = harness.create(None).await.unwrap();
    assert_refused(Arc::clone(&harness), gate, |harness| async move { harness.put(id, "late").await }).await;
    harness.put(id, "in time").await.unwrap();
    assert_eq!(harness.read(id).await.unwrap(), "in time");
}

#[tokio::test]
async fn what_a_row_refers_to_is_never_swept() {
    let (harness, gate) = gated().await;
    let id = harness.create(Some("kept")).await.unwrap();
    harness.pass_hours(100);
    assert_eq!(harness.worker.sweep(harness.store(), None).await.unwrap().0, 0);
    assert_eq!(gate.stored(), 1);
    assert_eq!(harness.read(id).await.unwrap(), "kept");
}

#[tokio::test]
async fn of_two_second_steps_one_wins_and_the_loser_leaves_nothing() {
    let (harness, gate) = gated().await;
    let id = harness.create(None).await.unwrap();
    let writer = Arc::clone(&harness);
    let slow = paused(&gate, async move { writer.put(id, "slow").await }).await;
    harness.put(id, "fast").await.unwrap();
    gate.let_go();
    assert_eq!(slow.await.unwrap().unwrap_err().kind, FailureKind::Conflict);
    assert_eq!(harness.read(id).await.unwrap(), "fast");
    assert_eq!(gate.stored(), 1);
}

#[tokio::test]
async fn a_second_step_into_a_secret_that_was_deleted_meanwhile_leaves_nothing() {
    let (harness, gate) = gated().await;
    let id = harness.create(None).await.unwrap();
    let writer = Arc::clone(&harness);
    let slow = paused(&gate, async move { writer.put(id, "slow").await }).await;
    harness.delete(id).await.unwrap();
    gate.let_go();
    assert_eq!(slow.await.unwrap().unwrap_err().kind, FailureKind::NotFound);
    assert_eq!(gate.stored(), 0);
}

#[tokio::test]
async fn a_deleted_payload_is_destroyed_as_soon_as_its_store_is_back() {
    let (harness, gate) = gated().await;
    let id = harness.create(Some("gone")).await.unwrap();
    gate.set_down(true);
    harness.delete(id).await.unwrap();
    assert_eq!(harness.read(id).await.unwrap_err().kind, FailureKind::NotFound);
    assert_eq!(harness.worker.destroy_deleted().await.unwrap(), 0);
    assert_eq!(gate.stored(), 1);
    gate.set_down(false);
    harness.pass_hours(2);
    assert_eq!(harness.worker.destroy_deleted().await.unwrap(), 1);
    assert_eq!((gate.stored(), deletion::count(harness.worker.db.reader()).await.unwrap()), (0, 0));
}

#[tokio::test]
async fn a_read_follows_a_row_that_changed_under_it() {
    let (harness, gate) = gated().await;
    let id = harness.create(Some("moved")).await.unwrap();
    let reader = Arc::clone(&harness);
    let read = paused(&gate, async move { reader.read(id).await }).await;
    move_row(&harness, id, "moved").await;
    gate.let_go();
    assert_eq!(read.await.unwrap().unwrap(), "moved");

    let reader = Arc::clone(&harness);
    let read = paused(&gate, async move { reader.read(id).await }).await;
    harness.delete(id).await.unwrap();
    gate.let_go();
    assert_eq!(read.await.unwrap().unwrap_err().kind, FailureKind::NotFound);

    let id = harness.create(Some("lost")).await.unwrap();
    let row = target::find_secret(harness.worker.db.reader(), id).await.unwrap().unwrap();
    let stored = harness.store().inventory().unwrap().list(None, None, 10).await.unwrap();
    let lost = stored.iter().find(|stored| stored.place.secret == row.secret.id).unwrap();
    harness.store().delete(&lost.place, &lost.reference).await.unwrap();
    assert_eq!(harness.read(id).await.unwrap_err().kind, FailureKind::Corrupt);
}

/// What a re-encryption does: the same payload under a new write id, the old bytes destroyed.
async fn move_row(harness: &Harness, id: SecretId, payload: &str) {
    let worker = &harness.worker;
    let old = target::find_secret(worker.db.reader(), id).await.unwrap().unwrap();
    let (project, placement) = (old.secret.project.clone(), old.placement.unwrap());
    let place = Place { project: project.clone(), secret: id, write: bailey_core::ids::WriteId::new() };
    let bytes = payload.as_bytes().to_vec().into();
    let request =
        StoreRequest { place: &place, secret_type: old.secret.secret_type, spec: &old.secret.spec, payload: &bytes };
    let reference = harness.store().store(request).await.unwrap();
    let sealed = worker.sealer.seal(placement.store, &place, &reference).await.unwrap();
    let (write, old_write) = (place.write, placement.write);
    let moved = bailey_db::Placement { write, reference: sealed.bytes, key: sealed.key, ..placement };
    let replaced = worker.db.write(move |tx| {
        let (project, moved) = (project.clone(), moved.clone());
        Box::pin(async move { secret::replace(tx, &project, id, old_write, &moved).await })
    });
    assert!(replaced.await.unwrap());
    assert_eq!(worker.destroy_deleted().await.unwrap(), 1);
}

#[tokio::test]
async fn nothing_is_destroyed_between_a_restore_and_its_acceptance() {
    let (harness, gate) = gated().await;
    let writer = Arc::clone(&harness);
    let task = paused(&gate, async move { writer.create(Some("orphan")).await }).await;
    task.abort();
    harness.pass_hours(3);
    harness.worker.db.write(|tx| Box::pin(installation::advance_epoch(tx))).await.unwrap();
    assert_eq!(harness.worker.sweep(harness.store(), None).await.unwrap().0, 0);
    let refused = harness.worker.audit_store(harness.store(), Duration::ZERO, true).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Conflict);
    let audit = harness.worker.audit_store(harness.store(), Duration::ZERO, false).await.unwrap();
    assert_eq!((audit.orphans.len(), audit.repaired, gate.stored()), (1, 0, 1));

    harness.worker.accept_restore().await.unwrap();
    let audit = harness.worker.audit_store(harness.store(), Duration::ZERO, true).await.unwrap();
    assert_eq!((audit.orphans.len(), audit.repaired, gate.stored()), (1, 1, 0));
}

#[tokio::test]
async fn nothing_is_destroyed_while_a_backup_is_made() {
    let (harness, gate) = gated().await;
    let id = harness.create(Some("in the dump of the metadata")).await.unwrap();
    let writer = Arc::clone(&harness);
    paused(&gate, async move { writer.create(Some("orphan")).await }).await.abort();
    harness.pass_hours(3);
    let (db, now) = (&harness.worker.db, harness.worker.clock.now());
    let until = now + chrono::TimeDelta::hours(2);
    assert!(db.write(move |tx| Box::pin(installation::hold_destruction(tx, now, until))).await.unwrap());

    harness.delete(id).await.unwrap();
    assert_eq!(harness.read(id).await.unwrap_err().kind, FailureKind::NotFound);
    assert_eq!(harness.worker.destroy_deleted().await.unwrap(), 0);
    assert_eq!(harness.worker.sweep(harness.store(), None).await.unwrap().0, 0);
    let refused = harness.worker.audit_store(harness.store(), Duration::ZERO, true).await.unwrap_err();
    assert!(refused.kind == FailureKind::Conflict && refused.reason.contains("backup"), "{refused}");
    let due = deletion::due(db.reader(), harness.worker.clock.now(), 10).await.unwrap();
    assert_eq!((gate.stored(), due.len(), due[0].attempts), (2, 1, 0));

    harness.pass_hours(2);
    assert_eq!(harness.worker.destroy_deleted().await.unwrap(), 1, "a hold that ran out is none");
    assert_eq!(harness.worker.sweep(harness.store(), None).await.unwrap().0, 1);
    assert_eq!(gate.stored(), 0);
}

#[tokio::test]
async fn a_reference_that_can_t_be_sealed_leaves_nothing_in_the_store() {
    let (harness, gate) = gated().await;
    harness.vault.set_down(true);
    assert_eq!(harness.create(Some("unsealed")).await.unwrap_err().kind, FailureKind::Unavailable);
    assert_eq!(gate.stored(), 0);
    harness.vault.set_down(false);
    harness.create(Some("sealed")).await.unwrap();
}

#[tokio::test]
async fn each_change_and_each_read_is_one_audit_event() {
    let (harness, _) = gated().await;
    let id = harness.create(Some("payload canary")).await.unwrap();
    harness.read(id).await.unwrap();
    harness.delete(id).await.unwrap();
    let _ = harness.read(id).await.unwrap_err();
    let events = harness.events.0.lock().unwrap();
    let seen: Vec<_> = events.iter().map(|event| (event.action.as_str(), event.target.clone().unwrap())).collect();
    let name = format!("secrets/{id}");
    let expected = ["secrets:post", "secret:decrypt", "secret:delete"].map(|action| (action, name.clone()));
    assert_eq!(seen, expected);
    assert!(!serde_json::to_string(&*events).unwrap().contains("canary"));
}
