//! Secrets that expired long ago are deleted for good, on both engines.

use std::sync::Arc;

use bailey_core::failure::{FailureKind, Parsed};
use bailey_core::ids::{SecretId, StoreId};
use bailey_core::request::ListSecrets;
use bailey_core::secret::{PageRequest, SecretFilter, SecretQuery};
use bailey_core::store::SecretStore;
use bailey_core::told::Told;
use bailey_db::{deletion, installation, target, write};
use bailey_testkit::broken::{Fails, Outage, OutageStore};
use bailey_testkit::memory::{MemoryShelf, MemoryStore};
use bailey_worker::usecase::secret;
use chrono::TimeDelta;

use crate::harness::{Harness, call};

/// A worker, what its store holds, and the store's switch.
struct Case {
    harness: Harness,
    shelf: Arc<MemoryShelf>,
    outage: Arc<Outage>,
}

impl Case {
    async fn sqlite() -> Self {
        let (shelf, outage) = (Arc::default(), Arc::default());
        let harness = Harness::new(|id, _, _| store(id, &shelf, &outage)).await;
        Self { harness, shelf, outage }
    }

    async fn postgres() -> Self {
        let (shelf, outage) = (Arc::default(), Arc::default());
        let harness = Harness::on_postgres(|id, _, _| store(id, &shelf, &outage)).await;
        Self { harness, shelf, outage }
    }

    /// A secret that expires in so many hours.
    async fn expiring(&self, hours: i64, payload: Option<&str>) -> SecretId {
        let expires_at = self.harness.worker.clock.now() + TimeDelta::hours(hours);
        self.harness.create_until(Some(expires_at), payload).await.unwrap()
    }

    async fn has_row(&self, id: SecretId) -> bool {
        target::find_secret(self.harness.worker.db.reader(), id).await.unwrap().is_some()
    }

    async fn purge(&self) -> u64 {
        self.harness.worker.purge_expired(&mut Told::default()).await.unwrap()
    }

    /// Items and total of the project's list.
    async fn list(&self) -> (usize, u64) {
        let page = PageRequest { offset: 0, limit: 100 };
        let query = SecretQuery { filter: SecretFilter::default(), sort: vec![], page, acl_only: false };
        let request = ListSecrets { query: Parsed::Valid(query), with_consumers: false };
        let page = secret::list(&self.harness.worker, call(), request).await.unwrap();
        (page.items.len(), page.total)
    }
}

fn store(id: StoreId, shelf: &Arc<MemoryShelf>, outage: &Arc<Outage>) -> Arc<dyn SecretStore> {
    let inner = Arc::new(MemoryStore::new(id, Arc::clone(shelf)));
    Arc::new(OutageStore::new(inner, Arc::clone(outage)))
}

/// Makes a test of each engine of each function.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Case::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Case::postgres().await).await;
            })+
        }
    };
}

on_both!(
    what_expired_long_ago_goes_with_its_bytes_and_the_rest_stays,
    more_than_a_batch_goes_in_one_pass_and_two_workers_count_each_once,
    a_store_that_is_down_gets_the_bytes_destroyed_later,
    nothing_goes_where_it_must_not,
);

const DAYS_30: i64 = 30 * 24;

async fn what_expired_long_ago_goes_with_its_bytes_and_the_rest_stays(case: Case) {
    let lasting = case.harness.create(Some("lasting")).await.unwrap();
    let (old, bare) = (case.expiring(1, Some("old")).await, case.expiring(1, None).await);
    let (recent, future) = (case.expiring(24, Some("recent")).await, case.expiring(10_000, Some("future")).await);
    case.harness.pass_hours(2);
    assert_eq!(case.list().await, (3, 3));
    assert_eq!(case.purge().await, 0, "expired, but not long ago");

    case.harness.pass_hours(DAYS_30);
    assert_eq!(case.list().await, (2, 2));
    assert_eq!(case.purge().await, 2);
    assert_eq!((case.list().await, case.purge().await), ((2, 2), 0));
    for (id, stays) in [(lasting, true), (old, false), (bare, false), (recent, true), (future, true)] {
        assert_eq!(case.has_row(id).await, stays);
    }
    assert_eq!(case.shelf.stored().len(), 3);
    let db = case.harness.worker.db.reader();
    assert_eq!(deletion::count(db).await.unwrap(), 0);
    let writes: Vec<_> = case.shelf.stored().into_keys().collect();
    assert_eq!(write::states(db, &writes).await.unwrap().len(), 3);
    assert_eq!(case.harness.read(lasting).await.unwrap(), "lasting");

    let events = case.harness.events.0.lock().unwrap();
    let purged: Vec<_> = events.iter().filter(|event| event.action == "purge expired").collect();
    let mut targets: Vec<_> = purged.iter().filter_map(|event| event.target.clone()).collect();
    targets.sort();
    let mut expected = [old, bare].map(|id| format!("secrets/{id}"));
    expected.sort();
    assert_eq!(targets, expected);
    for event in purged {
        assert_eq!((event.user.as_deref(), event.method), (Some("system"), Some("schedule")));
        assert_eq!((event.project.as_deref(), &event.request_id), (Some("project"), &None));
    }
}

async fn more_than_a_batch_goes_in_one_pass_and_two_workers_count_each_once(case: Case) {
    for number in 0..230 {
        case.expiring(1 + number % 3, (number % 50 == 0).then_some("payload")).await;
    }
    case.harness.pass_hours(DAYS_30 + 4);
    let (one, other) = tokio::join!(case.purge(), case.purge());
    assert_eq!(one + other, 230);
    assert_eq!((case.list().await, case.shelf.stored().len()), ((0, 0), 0));
}

async fn a_store_that_is_down_gets_the_bytes_destroyed_later(case: Case) {
    let id = case.expiring(1, Some("payload")).await;
    case.harness.pass_hours(DAYS_30 + 2);
    case.outage.set(Some(Fails::AtOnce));
    assert_eq!(case.purge().await, 1);
    assert_eq!((case.has_row(id).await, case.shelf.stored().len()), (false, 1));
    case.outage.set(None);
    assert_eq!(case.harness.worker.destroy_deleted().await.unwrap(), 1);
    assert_eq!(case.shelf.stored().len(), 0);
}

async fn nothing_goes_where_it_must_not(mut case: Case) {
    let id = case.expiring(1, Some("payload")).await;
    case.harness.pass_hours(DAYS_30 + 2);
    case.harness.worker.db.write(|tx| Box::pin(installation::advance_epoch(tx))).await.unwrap();
    assert_eq!(case.purge().await, 0, "a restore is not accepted");
    case.harness.worker.accept_restore().await.unwrap();

    let config = |case: &mut Case, seconds| {
        Arc::get_mut(&mut case.harness.worker).unwrap().config.expired_after_seconds = seconds;
    };
    config(&mut case, 0.0);
    assert_eq!(case.purge().await, 0, "never");
    assert!(case.has_row(id).await);
    assert_eq!(case.harness.read(id).await.unwrap_err().kind, FailureKind::NotFound);
    config(&mut case, 2_592_000.0);
    assert_eq!(case.purge().await, 1);
}
