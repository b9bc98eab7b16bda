//! Giving up a version of the worker key: however late a writer is, nothing comes under it any more.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::ids::{MasterKeyId, ProjectId, SecretId, WriteId};
use bailey_core::secret::Secret;
use bailey_core::store::Place;
use bailey_db::secret::Created;
use bailey_db::{Db, Engine, Error, ErrorKind, Placement, admin, deletion, reference_key, secret, target, write};
use sea_orm::{ConnectionTrait, Statement, Value};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::fixture::{Fixture, at, empty, on_both, project};

on_both!(
    a_retired_version_gets_no_reference,
    a_statement_that_waited_for_the_retirement_sees_it,
    a_retirement_waits_for_a_writer_under_way,
    a_version_with_references_is_revived,
    an_order_s_input_is_a_reference_too,
);

/// Everything that brings a sealed reference into a row.
#[derive(Debug, Clone, Copy)]
enum Way {
    Create,
    Insert,
    Place,
    Replace,
    Reseal,
}

const WAYS: [Way; 5] = [Way::Create, Way::Insert, Way::Place, Way::Replace, Way::Reseal];

/// A row as it is before a reference comes into it, and the placement that is to come.
#[derive(Clone)]
struct Attempt {
    way: Way,
    secret: Secret,
    old: Option<Placement>,
    new: Placement,
}

impl Attempt {
    async fn prepare(f: &Fixture, way: Way, key: MasterKeyId) -> Self {
        let new = Placement { key, ..f.placement() };
        let (secret, old) = match way {
            Way::Create | Way::Insert => (empty("a"), None),
            Way::Place => {
                let secret = empty("a");
                f.insert(&secret, None).await;
                (secret, None)
            }
            Way::Replace | Way::Reseal => {
                let (secret, old) = f.placed("a").await;
                (secret, Some(old))
            }
        };
        Self { way, secret, old, new }
    }

    /// Whether the reference is in the row.
    async fn run(self, db: Db) -> Result<bool, Error> {
        let Self { way, secret, old, new } = self;
        if matches!(way, Way::Create) {
            return Ok(secret::create(&db, &secret, Some(&new)).await? == Created::Yes);
        }
        db.write(move |tx| {
            let (secret, old, new) = (secret.clone(), old.clone(), new.clone());
            Box::pin(async move {
                let old = || old.clone().unwrap();
                match way {
                    Way::Create => unreachable!(),
                    Way::Insert => secret::insert(tx, &secret, Some(&new)).await.map(|()| true),
                    Way::Place => secret::place(tx, &secret.project, secret.id, &new, at(1)).await,
                    Way::Replace => secret::replace(tx, &secret.project, secret.id, old().write, &new).await,
                    Way::Reseal => {
                        let place = Place { project: secret.project, secret: secret.id, write: old().write };
                        secret::reseal(tx, &place, old().key, &new.reference, new.key).await
                    }
                }
            })
        })
        .await
    }

    async fn assert_refused(&self, f: &Fixture, outcome: Result<bool, Error>) {
        let way = self.way;
        match outcome {
            Ok(done) => assert!(matches!(way, Way::Create) && !done, "{way:?}"),
            Err(error) => assert!(error.kind == ErrorKind::Retired && error.is_retryable(), "{way:?}: {error}"),
        }
        let found = target::find_secret(f.db.reader(), self.secret.id).await.unwrap();
        match way {
            Way::Create | Way::Insert => assert_eq!(found, None, "{way:?}"),
            Way::Place | Way::Replace | Way::Reseal => assert_eq!(found.unwrap().placement, self.old, "{way:?}"),
        }
        assert!(write::states(f.db.reader(), &[self.new.write]).await.unwrap().is_empty(), "{way:?}");
        let due = deletion::due(f.db.reader(), at(0), 100).await.unwrap();
        assert!(due.iter().all(|due| due.place.secret != self.secret.id), "{way:?}");
    }
}

async fn counters(f: &Fixture) -> i64 {
    let backend = f.db.schema_connection().get_database_backend();
    let sum = "SELECT CAST(COALESCE(SUM(live), 0) AS bigint) FROM project_counters";
    let row = f.db.reader().query_one_raw(Statement::from_string(backend, sum)).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn a_retired_version_gets_no_reference(f: Fixture) {
    let (gone, other) = (MasterKeyId::new(), MasterKeyId::new());
    for _ in 0..2 {
        f.write(move |tx| Box::pin(reference_key::retire(tx, gone))).await;
    }
    for way in WAYS {
        let attempt = Attempt::prepare(&f, way, gone).await;
        let before = counters(&f).await;
        let outcome = attempt.clone().run(f.db.clone()).await;
        attempt.assert_refused(&f, outcome).await;
        assert_eq!(counters(&f).await, before, "{way:?}");

        let allowed = Attempt::prepare(&f, way, other).await;
        assert!(allowed.run(f.db.clone()).await.unwrap(), "{way:?}");
    }
    assert_eq!(secret::create(&f.db, &empty("a"), None).await.unwrap(), Created::Yes);
    assert_eq!(f.write(move |tx| Box::pin(reference_key::settle(tx, gone))).await, 0);
}

/// Begins a transaction that does `work` and holds it until it is told to commit.
async fn held<F>(db: Db, work: F) -> (Arc<Notify>, JoinHandle<Result<(), Error>>)
where
    F: for<'t> Fn(&'t bailey_db::Tx) -> bailey_db::BoxFuture<'t, Result<(), Error>> + Send + Sync + 'static,
{
    let (work, done, commit) = (Arc::new(work), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (is_done, may_commit) = (Arc::clone(&done), Arc::clone(&commit));
    let task = tokio::spawn(async move {
        db.write(move |tx| {
            let (work, done, commit) = (Arc::clone(&work), Arc::clone(&is_done), Arc::clone(&may_commit));
            Box::pin(async move {
                work(tx).await?;
                done.notify_one();
                commit.notified().await;
                Ok(())
            })
        })
        .await
    });
    done.notified().await;
    (commit, task)
}

/// Waits until another transaction waits for a lock. On SQLite it waits for the one writer.
async fn until_somebody_waits(f: &Fixture) {
    if f.db.engine() == Engine::Sqlite {
        return tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let waiting = "SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                   WHERE NOT l.granted AND d.datname = current_database()";
    let waiting = Statement::from_string(sea_orm::DbBackend::Postgres, waiting);
    for _ in 0..500 {
        if f.db.reader().query_one_raw(waiting.clone()).await.unwrap().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits");
}

async fn a_statement_that_waited_for_the_retirement_sees_it(f: Fixture) {
    // By then PostgreSQL has a plan at hand and takes the locks for it when it is run.
    for way in [WAYS; 7].concat() {
        assert!(Attempt::prepare(&f, way, MasterKeyId::new()).await.run(f.db.clone()).await.unwrap());
    }
    for way in WAYS {
        let gone = MasterKeyId::new();
        let attempt = Attempt::prepare(&f, way, gone).await;
        let (commit, retiring) = held(f.db.clone(), move |tx| Box::pin(reference_key::retire(tx, gone))).await;
        let late = tokio::spawn(attempt.clone().run(f.db.clone()));
        until_somebody_waits(&f).await;
        commit.notify_one();
        retiring.await.unwrap().unwrap();
        let outcome = late.await.unwrap();
        attempt.assert_refused(&f, outcome).await;
        assert_eq!(f.write(move |tx| Box::pin(reference_key::settle(tx, gone))).await, 0);
    }
}

async fn a_retirement_waits_for_a_writer_under_way(f: Fixture) {
    let attempt = Attempt::prepare(&f, Way::Insert, MasterKeyId::new()).await;
    let (id, key, inserted) = (attempt.secret.id, attempt.new.key, attempt.clone());
    let (commit, writing) = held(f.db.clone(), move |tx| {
        let Attempt { secret, new, .. } = inserted.clone();
        Box::pin(async move { secret::insert(tx, &secret, Some(&new)).await })
    })
    .await;
    let db = f.db.clone();
    let retiring = tokio::spawn(async move { db.write(move |tx| Box::pin(reference_key::retire(tx, key))).await });
    until_somebody_waits(&f).await;
    commit.notify_one();
    writing.await.unwrap().unwrap();
    retiring.await.unwrap().unwrap();
    assert_eq!(f.write(move |tx| Box::pin(reference_key::settle(tx, key))).await, 1);
    assert!(target::find_secret(f.db.reader(), id).await.unwrap().is_some());
}

async fn a_version_with_references_is_revived(f: Fixture) {
    let (secret, placement) = f.placed("a").await;
    let key = placement.key;
    for what in ["a secret", "a deletion"] {
        f.write(move |tx| Box::pin(reference_key::retire(tx, key))).await;
        assert_eq!(f.write(move |tx| Box::pin(reference_key::settle(tx, key))).await, 1, "{what}");
        let alone = f.db.write(move |tx| Box::pin(reference_key::settle(tx, key))).await;
        assert_eq!(alone.unwrap_err().kind, ErrorKind::Unavailable, "{what}");
        let attempt =
            Attempt { way: Way::Create, secret: empty("b"), old: None, new: Placement { key, ..f.placement() } };
        let (revived, owner) = (attempt.secret.id, attempt.secret.project.clone());
        assert!(attempt.run(f.db.clone()).await.unwrap(), "{what}");
        delete(&f, owner, revived).await;
        finish_all(&f, Some(secret.id)).await;
        delete(&f, secret.project.clone(), secret.id).await;
    }
    finish_all(&f, None).await;
    f.write(move |tx| Box::pin(reference_key::retire(tx, key))).await;
    assert_eq!(f.write(move |tx| Box::pin(reference_key::settle(tx, key))).await, 0);
    // Again: it is idempotent.
    assert_eq!(f.write(move |tx| Box::pin(reference_key::settle(tx, key))).await, 0);
}

async fn delete(f: &Fixture, owner: ProjectId, id: SecretId) {
    f.write(move |tx| {
        let owner = owner.clone();
        Box::pin(async move { secret::delete(tx, &owner, id, at(0)).await })
    })
    .await;
}

/// Ends every deletion, but not those of `kept`.
async fn finish_all(f: &Fixture, kept: Option<SecretId>) {
    for due in deletion::due(f.db.reader(), at(0), 100).await.unwrap() {
        if kept != Some(due.place.secret) {
            f.write(move |tx| Box::pin(deletion::finish(tx, due.place.write))).await;
        }
    }
}

async fn an_order_s_input_is_a_reference_too(f: Fixture) {
    let (old, new) = (MasterKeyId::new(), MasterKeyId::new());
    let place = Place { project: project("a"), secret: SecretId::new(), write: WriteId::new() };
    insert_input(&f, &place, old).await;
    assert_eq!(admin::count_by_reference_key(f.db.reader()).await.unwrap(), [(old, 1)]);
    let sealed = admin::sealed_under(f.db.reader(), old, None, 10).await.unwrap();
    assert_eq!(sealed.iter().map(|(place, _)| place).collect::<Vec<_>>(), [&place]);
    assert!(admin::sealed_under(f.db.reader(), old, Some(place.write), 10).await.unwrap().is_empty());
    let settle = |key| f.write(move |tx| Box::pin(reference_key::settle(tx, key)));
    let retire = |key| f.write(move |tx| Box::pin(reference_key::retire(tx, key)));
    retire(old).await;
    assert_eq!(settle(old).await, 1);

    let resealed = f.write(move |tx| {
        let place = place.clone();
        Box::pin(async move { secret::reseal(tx, &place, old, b"new seal", new).await })
    });
    assert!(resealed.await);
    let sealed = admin::sealed_under(f.db.reader(), new, None, 10).await.unwrap();
    assert_eq!(sealed[0].1.reference, b"new seal");
    retire(old).await;
    assert_eq!(settle(old).await, 0);
}

async fn insert_input(f: &Fixture, place: &Place, key: MasterKeyId) {
    let order = SecretId::new().uuid();
    let order_row = "INSERT INTO orders (id, project, order_type, meta, status, charged_secrets, charged_containers, \
                     request_id, attempts, last_attempt, next_attempt_at, deadline_at, created_at, updated_at) \
                     VALUES ($1, 'a', 'key', '{}', 'PENDING', 0, 0, 'r', 0, 0, $2, $2, $2, $2)";
    let input_row = "INSERT INTO order_inputs (order_id, name, project, secret_id, write_id, store_id, reference, \
                     reference_key, content_type) VALUES ($1, 'passphrase', 'a', $2, $3, $4, $5, $6, 'text/plain')";
    let input: Vec<Value> = vec![
        order.into(),
        place.secret.uuid().into(),
        place.write.uuid().into(),
        f.store.uuid().into(),
        b"seal".to_vec().into(),
        key.uuid().into(),
    ];
    let connection = f.db.schema_connection();
    let backend = connection.get_database_backend();
    for (sql, values) in [(order_row, vec![order.into(), at(0).into()]), (input_row, input)] {
        connection.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_doesn_t_end_is_not_waited_for() {
    let f = Fixture::postgres().await;
    let attempt = Attempt::prepare(&f, Way::Insert, MasterKeyId::new()).await;
    let (key, inserted) = (attempt.new.key, attempt.clone());
    let (commit, writing) = held(f.db.clone(), move |tx| {
        let Attempt { secret, new, .. } = inserted.clone();
        Box::pin(async move { secret::insert(tx, &secret, Some(&new)).await })
    })
    .await;
    let refused = f.db.write(move |tx| Box::pin(reference_key::retire(tx, key))).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Unavailable);
    commit.notify_one();
    writing.await.unwrap().unwrap();
    let settled = f.db.write(move |tx| Box::pin(reference_key::settle(tx, key))).await;
    assert_eq!(settled.unwrap_err().kind, ErrorKind::Unavailable, "there is no tombstone");
}
