//! Quotas: what is set, what is counted, and that nobody gets room that somebody else has.

use std::sync::Arc;

use bailey_core::ids::{ProjectId, SecretId};
use bailey_core::quota::{Counted, ProjectQuotas, QuotaEntry, Quotas};
use bailey_core::secret::{PageRequest, Secret};
use bailey_db::{Db, Error, Sight, quota, secret};
use tokio::sync::Notify;

use crate::fixture::{Fixture, at, empty, on_both, project};

on_both!(
    what_is_not_mentioned_is_kept,
    projects_are_listed_by_when_they_first_had_quotas,
    what_counts_are_live_secrets_and_what_orders_are_charged,
    room_is_given_away_once,
    a_lower_limit_holds_for_whoever_comes_after_it,
    a_new_limit_waits_for_whoever_did_not_look,
    without_its_own_quotas_a_project_has_the_default,
);

const UNLIMITED: Quotas = Quotas { secrets: -1, orders: -1, containers: -1, consumers: -1, cas: -1 };
const SECRET: [(Counted, u64); 1] = [(Counted::Secrets, 1)];

fn secrets(limit: i64) -> ProjectQuotas {
    ProjectQuotas { secrets: Some(limit), ..ProjectQuotas::default() }
}

async fn merge(db: &Db, owner: &str, change: ProjectQuotas, seconds: i64) -> Result<(), Error> {
    let owner = project(owner);
    db.write(move |tx| {
        let owner = owner.clone();
        Box::pin(async move { quota::merge(tx, &owner, &UNLIMITED, &change, at(seconds)).await })
    })
    .await
}

/// A secret, if there is room for it.
async fn create(db: &Db, defaults: Quotas, secret: Secret) -> Result<bool, Error> {
    db.write(move |tx| {
        let secret = secret.clone();
        Box::pin(async move {
            let has_room = quota::reserve(tx, &secret.project, &defaults, &SECRET, at(1)).await?;
            if has_room {
                secret::insert(tx, &secret, None).await?;
            }
            Ok(has_room)
        })
    })
    .await
}

async fn has_room(f: &Fixture, wanted: &[(Counted, u64)]) -> bool {
    quota::has_room(f.db.reader(), &project("a"), &UNLIMITED, wanted, at(1)).await.unwrap()
}

async fn what_is_not_mentioned_is_kept(f: Fixture) {
    assert_eq!(quota::find(f.db.reader(), &project("a")).await.unwrap(), None);
    merge(&f.db, "a", ProjectQuotas::default(), 0).await.unwrap();
    assert_eq!(quota::find(f.db.reader(), &project("a")).await.unwrap(), Some(ProjectQuotas::default()));
    merge(&f.db, "a", ProjectQuotas { orders: Some(-5), ..secrets(7) }, 1).await.unwrap();
    merge(&f.db, "a", ProjectQuotas { cas: Some(i64::MAX), ..secrets(0) }, 2).await.unwrap();
    let expected = ProjectQuotas { orders: Some(-5), cas: Some(i64::MAX), ..secrets(0) };
    assert_eq!(quota::find(f.db.reader(), &project("a")).await.unwrap(), Some(expected));
    assert_eq!(quota::find(f.db.reader(), &project("b")).await.unwrap(), None);
}

async fn projects_are_listed_by_when_they_first_had_quotas(f: Fixture) {
    for (number, owner) in ["c", "a", "päron"].into_iter().enumerate() {
        let number = i64::try_from(number).unwrap();
        merge(&f.db, owner, secrets(number), number).await.unwrap();
    }
    merge(&f.db, "c", secrets(9), 60).await.unwrap();
    let page = |limit, offset| quota::list(f.db.reader(), PageRequest { limit, offset });
    let entry = |owner, limit| QuotaEntry { project: project(owner), quotas: secrets(limit) };
    let first = page(2, 0).await.unwrap();
    assert_eq!((first.total, first.items), (3, vec![entry("c", 9), entry("a", 1)]));
    let last = page(2, 2).await.unwrap();
    assert_eq!((last.total, last.items), (3, vec![entry("päron", 2)]));
    assert_eq!(page(10, u64::MAX).await.unwrap().items, []);
}

async fn what_counts_are_live_secrets_and_what_orders_are_charged(f: Fixture) {
    merge(&f.db, "a", ProjectQuotas { containers: Some(2), orders: Some(3), ..secrets(4) }, 0).await.unwrap();
    f.insert(&Secret { expires_at: Some(at(1)), ..empty("a") }, None).await;
    f.insert(&Secret { expires_at: Some(at(2)), ..empty("a") }, None).await;
    f.insert(&empty("b"), None).await;
    assert!(has_room(&f, &[(Counted::Secrets, 3)]).await);
    assert!(!has_room(&f, &[(Counted::Secrets, 4)]).await);

    for (status, secrets, containers) in [("PENDING", 2, 1), ("ACTIVE", 9, 9), ("ERROR", 9, 9)] {
        charge(&f.db, status, secrets, containers).await;
    }
    assert!(has_room(&f, &[(Counted::Secrets, 1), (Counted::Containers, 1)]).await);
    assert!(!has_room(&f, &[(Counted::Secrets, 2)]).await);
    assert!(!has_room(&f, &[(Counted::Secrets, 1), (Counted::Containers, 2)]).await);
    assert!(!has_room(&f, &[(Counted::Orders, 1)]).await);
    merge(&f.db, "a", ProjectQuotas { containers: Some(0), ..ProjectQuotas::default() }, 0).await.unwrap();
    assert!(!has_room(&f, &[(Counted::Containers, 1)]).await);
    assert!(has_room(&f, &[(Counted::Containers, 0)]).await);
    assert!(has_room(&f, &[(Counted::SecretConsumers, 1_000), (Counted::ContainerConsumers, 1_000)]).await);
}

/// An order with a charge, past the functions that make orders.
async fn charge(db: &Db, status: &'static str, secrets: i32, containers: i32) {
    let insert = "INSERT INTO orders (id, project, order_type, meta, status, charged_secrets, charged_containers, \
                  request_id, attempts, last_attempt, next_attempt_at, deadline_at, created_at, updated_at) \
                  VALUES ($1, 'a', 'key', '{}', $2, $3, $4, 'req', 0, 9, $5, $5, $5, $5)";
    db.write(move |tx| {
        Box::pin(async move {
            let values =
                [SecretId::new().uuid().into(), status.into(), secrets.into(), containers.into(), at(0).into()];
            let backend = sea_orm::ConnectionTrait::get_database_backend(tx);
            let statement = sea_orm::Statement::from_sql_and_values(backend, insert, values);
            sea_orm::ConnectionTrait::execute_raw(tx, statement).await.unwrap();
            Ok::<_, Error>(())
        })
    })
    .await
    .unwrap();
}

async fn created(f: &Fixture, owner: &'static str, defaults: Quotas, number: usize) -> usize {
    let tasks: Vec<_> = (0..number)
        .map(|_| {
            let db = f.db.clone();
            tokio::spawn(async move { create(&db, defaults, empty(owner)).await.unwrap() })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        created += usize::from(task.await.unwrap());
    }
    created
}

async fn room_is_given_away_once(f: Fixture) {
    merge(&f.db, "a", secrets(7), 0).await.unwrap();
    assert_eq!(created(&f, "a", UNLIMITED, 30).await, 7);
    assert_eq!(created(&f, "b", UNLIMITED, 10).await, 10);
    assert_eq!(created(&f, "c", Quotas { secrets: 5, ..UNLIMITED }, 20).await, 5, "the default limits too");
    assert_eq!(created(&f, "d", Quotas { secrets: 0, ..UNLIMITED }, 2).await, 0);
}

async fn number_of_secrets(f: &Fixture, owner: &ProjectId) -> u64 {
    let query = bailey_core::secret::SecretQuery {
        filter: Default::default(),
        sort: Vec::new(),
        page: PageRequest { limit: 1, offset: 0 },
        acl_only: false,
    };
    secret::list(f.db.reader(), owner, &query, Sight::All, at(1)).await.unwrap().total
}

async fn a_lower_limit_holds_for_whoever_comes_after_it(f: Fixture) {
    for (first, then) in [(40, 12), (-1, 12), (12, 0)] {
        let name = format!("limited {first}");
        let owner = project(&name);
        merge(&f.db, &name, secrets(first), 0).await.unwrap();
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let (db, secret) = (f.db.clone(), Secret { project: owner.clone(), ..empty("a") });
                tokio::spawn(async move { create(&db, UNLIMITED, secret).await.unwrap() })
            })
            .collect();
        merge(&f.db, &name, secrets(then), 1).await.unwrap();
        let at_most = number_of_secrets(&f, &owner).await.max(u64::try_from(then).unwrap());
        for task in tasks {
            task.await.unwrap();
        }
        let made = number_of_secrets(&f, &owner).await;
        assert!(made <= at_most, "{made} of at most {at_most}");
    }
}

/// On SQLite nobody writes while another does; the point is PostgreSQL.
async fn a_new_limit_waits_for_whoever_did_not_look(f: Fixture) {
    if f.db.engine() == bailey_db::Engine::Sqlite {
        return;
    }
    let (began, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (db, has_begun, may_end) = (f.db.clone(), Arc::clone(&began), Arc::clone(&go_on));
    let writing = tokio::spawn(async move {
        db.write(move |tx| {
            let (has_begun, may_end) = (Arc::clone(&has_begun), Arc::clone(&may_end));
            Box::pin(async move {
                assert!(quota::reserve(tx, &project("a"), &UNLIMITED, &SECRET, at(1)).await?);
                has_begun.notify_one();
                may_end.notified().await;
                secret::insert(tx, &empty("a"), None).await
            })
        })
        .await
    });
    began.notified().await;
    let db = f.db.clone();
    let limiting = tokio::spawn(async move { merge(&db, "a", secrets(1), 0).await });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!limiting.is_finished(), "a secret is being made that it would not count");
    // Whoever comes later waits too, and meets the limit.
    let db = f.db.clone();
    let late = tokio::spawn(async move { create(&db, UNLIMITED, empty("a")).await });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    go_on.notify_one();
    writing.await.unwrap().unwrap();
    limiting.await.unwrap().unwrap();
    assert!(!late.await.unwrap().unwrap());
    assert_eq!(number_of_secrets(&f, &project("a")).await, 1);
}

async fn without_its_own_quotas_a_project_has_the_default(f: Fixture) {
    let defaults = Quotas { secrets: 1, ..UNLIMITED };
    let delete = || async {
        f.db.write(move |tx| Box::pin(async move { quota::delete(tx, &project("a"), &defaults).await })).await.unwrap()
    };
    assert!(!delete().await);
    merge(&f.db, "a", secrets(-1), 0).await.unwrap();
    assert_eq!(created(&f, "a", defaults, 3).await, 3);
    assert!(delete().await);
    assert_eq!(created(&f, "a", defaults, 1).await, 0);
}
