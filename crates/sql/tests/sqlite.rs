//! The handle on SQLite: group commit, failures inside a batch, several handles on one file.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use bailey_sql::{Config, ConnectionTrait, Db, Error, ErrorKind, Explain, Tx};
use sea_orm::Statement;

struct Fixture {
    db: Db,
    config: Config,
    folder: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(format!("sqlite://{}/test.db", folder.path().display()));
    config.timeout_seconds = 2.0;
    let db = Db::connect(&config).await.unwrap();
    db.schema_connection().execute_unprepared("CREATE TABLE t (n INTEGER PRIMARY KEY, run INTEGER)").await.unwrap();
    Fixture { db, config, folder }
}

async fn insert(tx: &Tx, n: i64) -> Result<(), Error> {
    tx.execute_raw(Statement::from_sql_and_values(
        tx.get_database_backend(),
        "INSERT INTO t (n) VALUES ($1)",
        [n.into()],
    ))
    .await
    .explain("insert")?;
    Ok(())
}

async fn numbers(db: &Db) -> Vec<i64> {
    let sql = Statement::from_string(db.reader().get_database_backend(), "SELECT n FROM t ORDER BY n");
    let rows = db.reader().query_all_raw(sql).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

#[derive(Debug, PartialEq)]
enum Refused {
    ByUseCase,
    ByDatabase(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::ByDatabase(error)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_closures_that_fail_are_rolled_back() {
    let Fixture { db, folder: _folder, .. } = fixture().await;
    let writes: Vec<_> = (0..200)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                db.write(move |tx| {
                    Box::pin(async move {
                        insert(tx, n).await?;
                        insert(tx, n + 1_000).await?;
                        if n % 3 == 0 { Err(Refused::ByUseCase) } else { Ok(n) }
                    })
                })
                .await
            })
        })
        .collect();
    let mut expected = Vec::new();
    for (n, write) in (0..).zip(writes) {
        let result = write.await.unwrap();
        if n % 3 == 0 {
            assert_eq!(result, Err(Refused::ByUseCase));
        } else {
            assert_eq!(result, Ok(n));
            expected.extend([n, n + 1_000]);
        }
    }
    expected.sort_unstable();
    assert_eq!(numbers(&db).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_middle_of_a_batch_takes_only_its_own_savepoint() {
    let Fixture { db, folder: _folder, .. } = fixture().await;
    let writes: Vec<_> = (0..30)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                db.write(move |tx| {
                    Box::pin(async move {
                        insert(tx, n).await?;
                        assert!(n != 11, "as planned");
                        Ok::<_, Error>(())
                    })
                })
                .await
            })
        })
        .collect();
    for (n, write) in (0..).zip(writes) {
        match write.await.unwrap() {
            Ok(()) => assert_ne!(n, 11),
            Err(error) => assert_eq!((n, error.kind), (11, ErrorKind::Internal)),
        }
    }
    assert_eq!(numbers(&db).await, (0..30).filter(|n| *n != 11).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_closure_that_ignores_a_failed_statement_is_rolled_back() {
    let Fixture { db, folder: _folder, .. } = fixture().await;
    let result: Result<(), Error> = db
        .write(|tx| {
            Box::pin(async move {
                insert(tx, 1).await?;
                let _ = insert(tx, 1).await;
                Ok(())
            })
        })
        .await;
    assert_eq!(result.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(numbers(&db).await, Vec::<i64>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_only_what_is_committed() {
    let Fixture { db, folder: _folder, .. } = fixture().await;
    let other = db.clone();
    db.write(move |tx| {
        let other = other.clone();
        Box::pin(async move {
            insert(tx, 1).await?;
            assert_eq!(numbers(&other).await, Vec::<i64>::new());
            Ok::<_, Error>(())
        })
    })
    .await
    .unwrap();
    assert_eq!(numbers(&db).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_does_not_disturb_the_writer() {
    let Fixture { db, folder: _folder, .. } = fixture().await;
    for n in 0..50 {
        let write = db.write(move |tx| {
            Box::pin(async move {
                insert(tx, n).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok::<_, Error>(())
            })
        });
        let _ = tokio::time::timeout(Duration::from_micros(u64::try_from(n).unwrap() * 40), write).await;
    }
    db.write(|tx| Box::pin(insert(tx, 99))).await.unwrap();
    assert!(numbers(&db).await.contains(&99));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_on_one_file_wait_for_each_other() {
    let Fixture { db, config, folder: _folder } = fixture().await;
    let other = Db::connect(&config).await.unwrap();
    let writes: Vec<_> = (0..100)
        .map(|n| {
            let db = if n % 2 == 0 { db.clone() } else { other.clone() };
            tokio::spawn(async move { db.write(move |tx| Box::pin(insert(tx, n))).await })
        })
        .collect();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(numbers(&other).await, (0..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_locked_for_too_long_is_unavailable_and_recovers() {
    let Fixture { db, mut config, folder: _folder } = fixture().await;
    config.timeout_seconds = 0.2;
    let hurried = Db::connect(&config).await.unwrap();
    let (locked, wait) = tokio::sync::oneshot::channel();
    let mut locked = Some(locked);
    let blocker = tokio::spawn(async move {
        db.write(move |tx| {
            let locked = locked.take();
            Box::pin(async move {
                insert(tx, 1).await?;
                locked.unwrap().send(()).unwrap();
                tokio::time::sleep(Duration::from_millis(900)).await;
                Ok::<_, Error>(())
            })
        })
        .await
    });
    wait.await.unwrap();
    let begun = Instant::now();
    let refused = hurried.write(|tx| Box::pin(insert(tx, 2))).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
    blocker.await.unwrap().unwrap();
    hurried.write(|tx| Box::pin(insert(tx, 2))).await.unwrap();
    assert_eq!(numbers(&hurried).await, [1, 2]);
}

#[tokio::test]
async fn a_transaction_that_sqlite_ended_by_itself_fails_the_batch_and_nothing_after_it() {
    let Fixture { db, folder: _folder, .. } = fixture().await;
    let result: Result<(), Error> = db
        .write(|tx| {
            Box::pin(async move {
                insert(tx, 1).await?;
                tx.execute_unprepared("ROLLBACK").await.explain("roll back behind the driver's back")?;
                Ok(())
            })
        })
        .await;
    assert_eq!(result.unwrap_err().kind, ErrorKind::Unavailable);
    for n in 2..5 {
        db.write(move |tx| Box::pin(insert(tx, n))).await.unwrap();
    }
    assert_eq!(numbers(&db).await, [2, 3, 4]);
}

#[tokio::test]
async fn the_file_is_private_and_set_up_for_durability() {
    let Fixture { db, folder, .. } = fixture().await;
    db.write(|tx| Box::pin(insert(tx, 1))).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    for connection in [db.reader() as &dyn Pragma, db.schema_connection() as &dyn Pragma] {
        for (name, expected) in
            [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1"), ("secure_delete", "1")]
        {
            assert_eq!(connection.pragma(name).await, expected, "{name}");
        }
    }
}

trait Pragma {
    fn pragma<'a>(&'a self, name: &'a str) -> bailey_sql::BoxFuture<'a, String>;
}

impl<C: ConnectionTrait> Pragma for C {
    fn pragma<'a>(&'a self, name: &'a str) -> bailey_sql::BoxFuture<'a, String> {
        Box::pin(async move {
            let sql = Statement::from_string(self.get_database_backend(), format!("PRAGMA {name}"));
            let row = self.query_one_raw(sql).await.unwrap().unwrap();
            row.try_get_by_index::<String>(0)
                .or_else(|_| row.try_get_by_index::<i64>(0).map(|number| number.to_string()))
                .unwrap()
        })
    }
}

#[tokio::test]
async fn only_the_writer_writes() {
    let Fixture { db, folder: _folder, .. } = fixture().await;
    let refused = db.reader().execute_unprepared("INSERT INTO t (n) VALUES (1)").await.explain("insert").unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable, "{refused}");
    assert_eq!(numbers(&db).await, Vec::<i64>::new());
}

#[tokio::test]
async fn closing_finishes_what_waits_and_refuses_what_comes_later() {
    let Fixture { db, config, folder: _folder } = fixture().await;
    let writes: Vec<_> = (0..20)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move { db.write(move |tx| Box::pin(insert(tx, n))).await })
        })
        .collect();
    tokio::task::yield_now().await;
    db.close().await;
    let mut done = Vec::new();
    for (n, write) in (0..).zip(writes) {
        match write.await.unwrap() {
            Ok(()) => done.push(n),
            Err(error) => assert_eq!(error.kind, ErrorKind::Unavailable),
        }
    }
    assert_eq!(db.write(|tx| Box::pin(insert(tx, 99))).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(numbers(&Db::connect(&config).await.unwrap()).await, done);
}

#[tokio::test]
async fn a_database_without_a_file_is_refused() {
    for url in ["sqlite::memory:", "sqlite://", "mysql://x", "metadata.db"] {
        assert_eq!(Db::connect(&Config::new(url)).await.unwrap_err().kind, ErrorKind::Internal, "{url}");
    }
    let missing = Config::new("sqlite:///nowhere/at/all.db");
    assert_eq!(Db::connect_lazy(&missing).unwrap_err().kind, ErrorKind::Unavailable);
}
