//! The handle on PostgreSQL: what is run again, what isn't, and servers that go away.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bailey_sql::{Config, ConnectionTrait, Db, Error, ErrorKind, Explain, Tx};
use bailey_testkit::postgres::Postgres;
use sea_orm::Statement;

/// A database with a table, on a server that may be shared.
async fn database(server: &Arc<Postgres>) -> (Db, String) {
    let url = server.create_database().unwrap();
    server.psql(&url, "CREATE TABLE t (n int PRIMARY KEY, v int NOT NULL DEFAULT 0)").unwrap();
    let mut config = Config::new(url.clone());
    config.timeout_seconds = 2.0;
    (Db::connect(&config).await.unwrap(), url)
}

async fn shared() -> Arc<Postgres> {
    tokio::task::spawn_blocking(|| Postgres::shared().unwrap()).await.unwrap()
}

async fn run(tx: &Tx, sql: &str) -> Result<u64, Error> {
    Ok(tx.execute_unprepared(sql).await.explain("run")?.rows_affected())
}

async fn number(db: &Db, sql: &str) -> i64 {
    let statement = Statement::from_string(db.reader().get_database_backend(), sql);
    db.reader().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_the_server_rolled_back_run_again() {
    let server = shared().await;
    let (db, _) = database(&server).await;
    db.write(|tx| Box::pin(run(tx, "INSERT INTO t VALUES (1)"))).await.unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let writes: Vec<_> = (0..4)
        .map(|_| {
            let (db, runs) = (db.clone(), runs.clone());
            tokio::spawn(async move {
                db.write(move |tx| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    Box::pin(async move {
                        run(tx, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
                        run(tx, "SELECT v FROM t").await?;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        run(tx, "UPDATE t SET v = v + 1").await
                    })
                })
                .await
            })
        })
        .collect();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(number(&db, "SELECT v::bigint FROM t").await, 4);
    assert!(runs.load(Ordering::Relaxed) > 4, "nothing conflicted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_runs_again() {
    let server = shared().await;
    let (db, _) = database(&server).await;
    db.write(|tx| Box::pin(run(tx, "INSERT INTO t VALUES (1), (2)"))).await.unwrap();
    let writes: Vec<_> = [[1, 2], [2, 1]]
        .map(|order| {
            let db = db.clone();
            tokio::spawn(async move {
                db.write(move |tx| {
                    Box::pin(async move {
                        run(tx, "SET LOCAL deadlock_timeout = '50ms'").await?;
                        for n in order {
                            run(tx, &format!("UPDATE t SET v = v + 1 WHERE n = {n}")).await?;
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        Ok::<_, Error>(())
                    })
                })
                .await
            })
        })
        .into();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(number(&db, "SELECT sum(v) FROM t").await, 4);
}

#[tokio::test]
async fn a_conflict_that_never_ends_is_unavailable_in_the_end() {
    let server = shared().await;
    let (db, _) = database(&server).await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let result = db
        .write(move |tx| {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(run(tx, "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'serialization_failure'; END $$"))
        })
        .await;
    assert_eq!(result.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(runs.load(Ordering::Relaxed), 6);
}

/// A trigger that runs `action` when a transaction that inserted into `t` commits.
fn at_commit(server: &Postgres, url: &str, action: &str) {
    let sql = format!(
        "CREATE SEQUENCE tries; \
         CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {action}; RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION act()"
    );
    server.psql(url, &sql).unwrap();
}

#[tokio::test]
async fn a_commit_that_is_refused_runs_again() {
    let server = shared().await;
    let (db, url) = database(&server).await;
    let refuse = "IF nextval('tries') < 3 THEN RAISE EXCEPTION 'no' USING ERRCODE = 'serialization_failure'; END IF";
    at_commit(&server, &url, refuse);
    db.write(|tx| Box::pin(run(tx, "INSERT INTO t VALUES (1)"))).await.unwrap();
    assert_eq!(number(&db, "SELECT count(*) FROM t").await, 1);
    assert_eq!(number(&db, "SELECT last_value FROM tries").await, 3);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_never_runs_again() {
    let server = shared().await;
    let (db, url) = database(&server).await;
    at_commit(&server, &url, "PERFORM pg_terminate_backend(pg_backend_pid())");
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let lost = db
        .write(move |tx| {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(run(tx, "INSERT INTO t VALUES (1)"))
        })
        .await
        .unwrap_err();
    assert_eq!((lost.kind, lost.context), (ErrorKind::Unavailable, "commit transaction"));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    db.write(|tx| Box::pin(run(tx, "UPDATE t SET v = 1"))).await.unwrap();
}

#[tokio::test]
async fn failures_leave_nothing_behind_and_quote_no_values() {
    let server = shared().await;
    let (db, _) = database(&server).await;
    let twice: Result<(), Error> = db
        .write(|tx| {
            Box::pin(async move {
                run(tx, "INSERT INTO t VALUES (4711)").await?;
                let _ = run(tx, "INSERT INTO t VALUES (4711)").await;
                Ok(())
            })
        })
        .await;
    let twice = twice.unwrap_err();
    assert_eq!(twice.kind, ErrorKind::Conflict);
    assert!(twice.to_string().contains("t_pkey") && !format!("{twice:?}").contains("4711"), "{twice:?}");

    let panicked: Result<(), Error> = db
        .write(|tx| {
            Box::pin(async move {
                run(tx, "INSERT INTO t VALUES (1)").await?;
                assert_eq!(tx.get_database_backend(), sea_orm::DbBackend::Sqlite, "as planned");
                Ok(())
            })
        })
        .await;
    assert_eq!(panicked.unwrap_err().kind, ErrorKind::Internal);
    let wrong = db.write(|tx| Box::pin(run(tx, "SELECT CAST('secret-value' AS uuid)"))).await.unwrap_err();
    assert_eq!(wrong.kind, ErrorKind::Internal);
    assert!(!format!("{wrong} {wrong:?}").contains("secret-value"), "{wrong:?}");
    assert_eq!(number(&db, "SELECT count(*) FROM t").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_leave_no_transaction_open() {
    let server = shared().await;
    let (db, _) = database(&server).await;
    for n in 0..30 {
        let write = db.write(move |tx| {
            Box::pin(async move {
                run(tx, &format!("INSERT INTO t VALUES ({n})")).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
                run(tx, "UPDATE t SET v = v + 1").await
            })
        });
        let _ = tokio::time::timeout(Duration::from_micros(300 * n), write).await;
    }
    db.write(|tx| Box::pin(run(tx, "INSERT INTO t VALUES (99)"))).await.unwrap();
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
    assert_eq!(number(&db, open).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_is_unavailable_in_time_and_comes_back() {
    let server = Arc::new(tokio::task::spawn_blocking(|| Postgres::start().unwrap()).await.unwrap());
    let (db, url) = database(&server).await;
    server.stop().unwrap();
    let begun = Instant::now();
    assert_eq!(db.ping().await.unwrap_err().kind, ErrorKind::Unavailable);
    let refused = db.write(|tx| Box::pin(run(tx, "INSERT INTO t VALUES (1)"))).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());

    let late = Db::connect_lazy(&Config { timeout_seconds: 1.0, ..Config::new(url) }).unwrap();
    assert_eq!(late.ping().await.unwrap_err().kind, ErrorKind::Unavailable);
    server.restart().unwrap();
    late.ping().await.unwrap();
    db.write(|tx| Box::pin(run(tx, "INSERT INTO t VALUES (1)"))).await.unwrap();
}

#[tokio::test]
async fn a_server_that_never_answers_is_unavailable_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let config = Config { timeout_seconds: 0.5, ..Config::new(format!("postgres://x@127.0.0.1:{port}/x")) };
    let db = Db::connect_lazy(&config).unwrap();
    let begun = Instant::now();
    assert_eq!(db.ping().await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_lock_held_for_too_long_is_unavailable() {
    let server = shared().await;
    let (db, url) = database(&server).await;
    db.write(|tx| Box::pin(run(tx, "INSERT INTO t VALUES (1)"))).await.unwrap();
    let hurried = Db::connect(&Config { timeout_seconds: 0.3, ..Config::new(url) }).await.unwrap();
    let held: Result<(), Error> = db
        .write(move |tx| {
            let hurried = hurried.clone();
            Box::pin(async move {
                run(tx, "UPDATE t SET v = 1").await?;
                let refused = hurried.write(|tx| Box::pin(run(tx, "UPDATE t SET v = 2"))).await.unwrap_err();
                assert_eq!(refused.kind, ErrorKind::Unavailable);
                Ok(())
            })
        })
        .await;
    held.unwrap();
    assert_eq!(number(&db, "SELECT v::bigint FROM t").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_keeps_others_out_until_it_is_released() {
    let server = shared().await;
    let (db, url) = database(&server).await;
    let other = Db::connect(&Config { timeout_seconds: 0.3, ..Config::new(url) }).await.unwrap();
    let held = db.lock(7).await.unwrap();
    let begun = Instant::now();
    assert_eq!(other.lock(7).await.err().unwrap().kind, ErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    other.lock(8).await.unwrap().release().await;
    held.release().await;
    other.lock(7).await.unwrap().release().await;
}
