//! Migration between stores from a worker's side: whatever happens between its lines, every secret reads back,
//! and nothing is there twice.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::envelope::{EnvelopeConfig, EnvelopeStore, StoreIdentity};
use bailey_core::failure::{FailureKind, Parsed};
use bailey_core::ids::{DeploymentId, MasterKeyId, ProjectId, SecretId, StoreId};
use bailey_core::order::{NewOrder, OrderStatus, OrderType};
use bailey_core::request::{CreateOrder, CreateSecret, GetOrder};
use bailey_core::secret::NewSecret;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::SecretStore;
use bailey_core::vault::MasterKeyPurpose;
use bailey_db::{installation, project_store};
use bailey_testkit::memory::{MemoryBackend, MemoryDevice, MemoryStore};
use bailey_worker::usecase::{order, secret};
use bailey_worker::{Migrated, Migration, Schedules, Stores};
use tokio::sync::watch;

use crate::gate::Gate;
use crate::harness::{Harness, call};

/// A worker with two stores behind gates, of which the first is the default.
struct Two {
    harness: Harness,
    first: Arc<Gate>,
    second: Arc<Gate>,
    there: Migration,
    back: Migration,
}

impl Two {
    async fn new() -> Self {
        let [first, second] = [(); 2].map(|()| Arc::new(Gate::default()));
        let harness = Harness::new(|id, _, _| first.store(id)).await;
        Self::over(harness, first, second)
    }

    async fn on_postgres() -> Self {
        let [first, second] = [(); 2].map(|()| Arc::new(Gate::default()));
        let harness = Harness::on_postgres(|id, _, _| first.store(id)).await;
        Self::over(harness, first, second)
    }

    fn over(mut harness: Harness, first: Arc<Gate>, second: Arc<Gate>) -> Self {
        let (from, to) = (Arc::clone(harness.store()), second.store(StoreId::new()));
        add_store(&mut harness, &to);
        let [there, back] = [(&from, &to), (&to, &from)].map(|(from, to)| plan(from, to));
        Self { harness, first, second, there, back }
    }

    async fn fill(&self, count: usize) -> Vec<SecretId> {
        let mut ids = Vec::new();
        for number in 0..count {
            ids.push(self.harness.create(Some(&format!("payload {number}"))).await.unwrap());
        }
        ids
    }

    async fn migrate(&self) -> Migrated {
        migrate(&self.harness, &self.there).await
    }

    async fn assert_readable(&self, ids: &[SecretId]) {
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(self.harness.read(*id).await.unwrap(), format!("payload {number}"));
        }
    }

    fn stored(&self) -> (usize, usize) {
        (self.first.stored(), self.second.stored())
    }
}

fn add_store(harness: &mut Harness, second: &Arc<dyn SecretStore>) {
    let stores = Stores::new(Arc::clone(harness.store()), [Arc::clone(second)]);
    Arc::get_mut(&mut harness.worker).unwrap().stores = stores;
}

fn plan(from: &Arc<dyn SecretStore>, to: &Arc<dyn SecretStore>) -> Migration {
    Migration { from: Arc::clone(from), to: Arc::clone(to), project: None, per_second: 10_000.0, dry_run: false }
}

async fn migrate(harness: &Harness, migration: &Migration) -> Migrated {
    let (_stop, running) = watch::channel(false);
    harness.worker.migrate(migration, &running, &mut |_| {}).await
}

/// What was found, moved, gone, skipped and is left.
fn numbers(migrated: &Migrated) -> (u64, u64, u64, usize, u64) {
    assert!(migrated.trouble.is_none(), "{migrated:?}");
    (migrated.found, migrated.moved, migrated.gone, migrated.skipped.len(), migrated.left)
}

#[tokio::test]
async fn everything_moves_once() {
    for two in [Two::new().await, Two::on_postgres().await] {
        let ids = two.fill(30).await;
        let empty = two.harness.create(None).await.unwrap();
        let rehearsal = Migration { dry_run: true, ..plan(&two.there.from, &two.there.to) };
        assert_eq!(numbers(&migrate(&two.harness, &rehearsal).await), (30, 30, 0, 0, 30));
        assert_eq!(two.stored(), (30, 0), "it was only read");

        assert_eq!(numbers(&two.migrate().await), (30, 30, 0, 0, 0));
        assert_eq!(two.stored(), (0, 30));
        two.assert_readable(&ids).await;
        assert_eq!(two.harness.read(empty).await.unwrap_err().kind, FailureKind::NotFound);
        assert_eq!(numbers(&two.migrate().await), (0, 0, 0, 0, 0));
        for store in [&two.there.from, &two.there.to] {
            let audit = two.harness.worker.audit_store(store, Duration::ZERO, false).await.unwrap();
            assert_eq!((audit.orphans.len(), audit.unreadable.len()), (0, 0), "{audit:?}");
        }
        two.harness.delete(ids[0]).await.unwrap();
        assert_eq!(two.stored(), (0, 29));
    }
}

#[tokio::test]
async fn one_project_moves_alone() {
    let two = Two::new().await;
    two.fill(3).await;
    let of =
        |project| Migration { project: Some(ProjectId::new(project).unwrap()), ..plan(&two.there.from, &two.there.to) };
    assert_eq!(numbers(&migrate(&two.harness, &of("other")).await), (0, 0, 0, 0, 0));
    assert_eq!(two.stored(), (3, 0));
    assert_eq!(numbers(&migrate(&two.harness, &of("project")).await), (3, 3, 0, 0, 0));

    let worker = &two.harness.worker;
    assert!(worker.receives(&of("project")).await.unwrap() && worker.receives(&two.there).await.unwrap());
    assert!(!worker.receives(&two.back).await.unwrap());
    let (project, second) = (ProjectId::new("project").unwrap(), two.there.to.descriptor().id);
    let now = worker.clock.now();
    let prefer = worker.db.write(move |tx| {
        let project = project.clone();
        Box::pin(async move { project_store::put(tx, &project, second, now).await })
    });
    prefer.await.unwrap();
    assert!(!worker.receives(&of("project")).await.unwrap());
    assert!(worker.receives(&two.there).await.unwrap(), "it still is the default");
    assert!(worker.receives(&two.back).await.unwrap());
}

#[tokio::test]
async fn what_the_other_store_does_not_keep_stays() {
    let device = Arc::new(MemoryDevice::default());
    let made = Arc::clone(&device);
    let mut harness = Harness::new(|store, vault, clock| {
        let mkek = MasterKeyId::new();
        made.add(mkek);
        vault.add_master_key(MasterKeyPurpose::Mkek(store), mkek, vec![1]);
        vault.activate_master_key(mkek);
        let backend = MemoryBackend::new(made, store, Arc::clone(vault) as _);
        let identity = StoreIdentity { deployment: DeploymentId::new(), store, name: "memory".into() };
        Arc::new(EnvelopeStore::new(identity, &EnvelopeConfig::default(), backend, Arc::clone(vault) as _, clock))
    })
    .await;
    let to: Arc<dyn SecretStore> = Arc::new(MemoryStore::new(StoreId::new(), Arc::default()));
    add_store(&mut harness, &to);
    let small = harness.create(Some("small")).await.unwrap();
    let large = "x".repeat(to.descriptor().max_payload + 1);
    let large = harness.create(Some(&large)).await.unwrap();
    let certificate = NewSecret {
        name: None,
        secret_type: SecretType::Certificate,
        spec: Spec::default(),
        expires_at: None,
        payload: Some(crate::harness::text("certificate").into()),
        transport_key_needed: false,
    };
    let request = CreateSecret { secret: Parsed::Valid(certificate), idempotency: Parsed::Valid(None) };
    let certificate = secret::create(&harness.worker, call(), request).await.unwrap().id;

    for dry_run in [true, false, false] {
        let migrated = migrate(&harness, &Migration { dry_run, ..plan(harness.store(), &to) }).await;
        assert!(migrated.trouble.is_none() && migrated.gone == 0, "{migrated:?}");
        assert_eq!(migrated.left, if dry_run { 3 } else { 2 });
        for (id, why) in [(large, "larger"), (certificate, "of this type")] {
            let skipped: Vec<_> = migrated.skipped.iter().filter(|(place, _)| place.secret == id).collect();
            assert!(matches!(skipped[..], [(_, reason)] if reason.contains(why)), "{migrated:?}");
        }
    }
    assert_eq!(to.inventory().unwrap().list(None, None, 10).await.unwrap().len(), 1);
    assert_eq!(harness.read(small).await.unwrap(), "small");
    assert_eq!(harness.read(certificate).await.unwrap(), "certificate");
}

#[tokio::test]
async fn what_can_not_be_read_stays_and_is_told() {
    let two = Two::new().await;
    let ids = two.fill(3).await;
    let bytes = two.there.from.inventory().unwrap().list(None, None, 1).await.unwrap().remove(0);
    two.there.from.delete(&bytes.place, &bytes.reference).await.unwrap();
    let migrated = two.migrate().await;
    assert_eq!(numbers(&migrated), (3, 2, 0, 1, 1));
    assert_eq!(migrated.skipped[0].0, bytes.place);
    assert_eq!(two.harness.read(bytes.place.secret).await.unwrap_err().kind, FailureKind::Corrupt);
    assert!(ids.contains(&bytes.place.secret));
}

#[tokio::test]
async fn two_migrations_at_once_move_everything_once() {
    let two = Two::new().await;
    let ids = two.fill(60).await;
    let (one, other) = tokio::join!(two.migrate(), two.migrate());
    assert_eq!(one.moved + other.moved, 60, "{one:?} {other:?}");
    assert!(one.skipped.is_empty() && other.skipped.is_empty(), "{one:?} {other:?}");
    assert_eq!(two.stored(), (0, 60));
    two.assert_readable(&ids).await;
}

/// The reader has the row, and finds its bytes gone twice before it comes to them.
#[tokio::test]
async fn a_reader_follows_a_payload_wherever_it_went() {
    let two = Two::new().await;
    let ids = two.fill(1).await;
    let Two { harness, first, second, there, back } = &two;
    first.hold(1);
    let follow = async {
        first.reached().await;
        assert_eq!(migrate(harness, there).await.moved, 1);
        second.hold(1);
        first.let_go();
        second.reached().await;
        assert_eq!(migrate(harness, back).await.moved, 1);
        second.let_go();
    };
    let (read, ()) = tokio::join!(harness.read(ids[0]), follow);
    assert_eq!(read.unwrap(), "payload 0");
}

#[tokio::test]
async fn a_secret_deleted_while_it_is_copied_is_gone() {
    let two = Two::new().await;
    let ids = two.fill(1).await;
    two.second.hold(1);
    let delete = async {
        two.second.reached().await;
        two.harness.delete(ids[0]).await.unwrap();
        two.second.let_go();
    };
    let (migrated, ()) = tokio::join!(two.migrate(), delete);
    assert_eq!(numbers(&migrated), (1, 0, 1, 0, 0));
    assert_eq!(two.stored(), (0, 0));
}

/// Its copy is taken for an orphan meanwhile.
#[tokio::test]
async fn a_migration_paused_for_hours_copies_anew() {
    let two = Two::new().await;
    let ids = two.fill(1).await;
    two.second.hold(1);
    let sweep = async {
        two.second.reached().await;
        two.harness.pass_hours(3);
        assert_eq!(two.harness.worker.sweep(&two.there.to, None).await.unwrap().0, 1);
        two.second.let_go();
    };
    let (migrated, ()) = tokio::join!(two.migrate(), sweep);
    assert_eq!(numbers(&migrated), (1, 1, 0, 0, 0));
    assert_eq!(two.stored(), (0, 1));
    two.assert_readable(&ids).await;
}

#[tokio::test]
async fn an_outage_ends_it_and_it_goes_on_where_it_was() {
    let two = Two::new().await;
    let ids = two.fill(20).await;
    let (stop, stopped) = watch::channel(false);
    let mut told = 0;
    let mut cut_off = |migrated: &Migrated| {
        told += 1;
        two.second.set_down(true);
        // Nobody waits until it is tired of trying.
        stop.send_replace(true);
        assert!(migrated.found == 20);
    };
    let migrated = two.harness.worker.migrate(&two.there, &stopped, &mut cut_off).await;
    assert!((1..20).contains(&migrated.moved) && migrated.left == 20 - migrated.moved, "{migrated:?}");
    assert!(told >= 1 && migrated.skipped.is_empty(), "{migrated:?}");

    stop.send_replace(false);
    let refused = two.harness.worker.migrate(&two.there, &stopped, &mut |_| {}).await;
    assert_eq!(refused.trouble.map(|trouble| trouble.kind), Some(FailureKind::Unavailable), "asked first");
    two.second.set_down(false);
    let rest = 20 - migrated.moved;
    assert_eq!(numbers(&two.migrate().await), (rest, rest, 0, 0, 0));
    two.assert_readable(&ids).await;
}

#[tokio::test]
async fn a_backup_keeps_what_was_moved_and_a_restore_forbids_moving() {
    let two = Two::new().await;
    let ids = two.fill(5).await;
    let (db, now) = (&two.harness.worker.db, two.harness.worker.clock.now());
    let until = now + chrono::TimeDelta::hours(1);
    assert!(db.write(move |tx| Box::pin(installation::hold_destruction(tx, now, until))).await.unwrap());
    let migrated = two.migrate().await;
    assert_eq!((numbers(&migrated), migrated.doomed), ((5, 5, 0, 0, 0), 5));
    assert_eq!(two.stored(), (5, 5));
    two.harness.pass_hours(2);
    assert_eq!(two.harness.worker.destroy_deleted().await.unwrap(), 5);
    assert_eq!(two.stored(), (0, 5));

    db.write(move |tx| Box::pin(installation::begin_restore(tx, now))).await.unwrap();
    let refused = migrate(&two.harness, &two.back).await;
    assert_eq!(refused.trouble.map(|trouble| trouble.kind), Some(FailureKind::Conflict));
    assert_eq!((refused.moved, two.stored()), (0, (0, 5)));
    two.harness.worker.accept_restore().await.unwrap();
    assert_eq!(numbers(&migrate(&two.harness, &two.back).await), (5, 5, 0, 0, 0));
    two.assert_readable(&ids).await;
}

/// An order that waits has its passphrase moved, and finds it.
#[tokio::test]
async fn what_an_order_was_given_moves_too() {
    let two = Two::new().await;
    let pair = NewOrder {
        order_type: OrderType::Asymmetric,
        certificate: None,
        meta: r#"{"algorithm":"ec","bit_length":256,"expiration":null,"name":"p"}"#.into(),
        expires_at: None,
        passphrase: Some(SecretBytes::new(b"open".to_vec())),
    };
    let worker = &two.harness.worker;
    let request = CreateOrder { order: Parsed::Valid(pair), idempotency: Parsed::Valid(None) };
    let id = order::create(worker, call(), request).await.unwrap();
    assert_eq!(two.stored(), (1, 0));
    assert_eq!(numbers(&two.migrate().await), (1, 1, 0, 0, 0));
    assert_eq!(two.stored(), (0, 1));

    let schedules = Schedules::start(worker);
    let ended = async {
        loop {
            let order = order::get(worker, call(), GetOrder { id: Parsed::Valid(id) }).await.unwrap();
            if order.status != OrderStatus::Pending {
                return order;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let order = tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    assert_eq!(order.status, OrderStatus::Active, "{order:?}");
    schedules.stop(Duration::from_secs(5)).await;
    assert_eq!(two.stored(), (2, 1), "the keys are in the default store, the passphrase where it was moved");
    assert_eq!(numbers(&migrate(&two.harness, &two.back).await), (1, 1, 0, 0, 0));
}
