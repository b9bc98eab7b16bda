//! The schema on SQLite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bailey_migrations::{Error, Metadata, MigratorTrait as _, Schema, migrate, status};
use sea_orm_migration::sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};

async fn open(folder: &tempfile::TempDir) -> DatabaseConnection {
    Database::connect(format!("sqlite://{}/test.db?mode=rwc", folder.path().display())).await.unwrap()
}

async fn dump(connection: &DatabaseConnection) -> Vec<String> {
    let sql = "SELECT name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name";
    let rows = connection.query_all_raw(Statement::from_string(connection.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

#[tokio::test]
async fn migrating_twice_changes_nothing_more() {
    for schema in [Schema::Metadata, Schema::Vault] {
        let folder = tempfile::tempdir().unwrap();
        let connection = open(&folder).await;
        assert_eq!(status(schema, &connection).await.unwrap().found, None);
        assert!(migrate(schema, &connection).await.unwrap().is_current());
        let made = dump(&connection).await;
        assert!(migrate(schema, &connection).await.unwrap().is_current());
        assert_eq!(dump(&connection).await, made);

        // A process that died before it recorded the version.
        connection.execute_unprepared("DELETE FROM schema_version; DELETE FROM seaql_migrations").await.unwrap();
        assert!(migrate(schema, &connection).await.unwrap().is_current());
        assert_eq!(dump(&connection).await, made);
    }
}

/// SQLite has the table copied.
#[tokio::test]
async fn what_orders_were_given_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(&folder).await;
    Metadata::up(&connection, Some(2)).await.unwrap();
    let order = "INSERT INTO orders (id, project, order_type, meta, status, charged_secrets, charged_containers, \
         request_id, attempts, last_attempt, next_attempt_at, deadline_at, created_at, updated_at) \
         VALUES (x'01', 'p', 'asymmetric', '{}', 'PENDING', 3, 1, 'r', 0, 9, 't', 't', 't', 't')";
    let input = |name: &str, write: &str, content_type: &str| {
        format!(
            "INSERT INTO order_inputs VALUES (x'01', '{name}', 'p', x'02', {write}, x'04', x'05', x'06', {content_type})"
        )
    };
    connection.execute_unprepared(order).await.unwrap();
    connection.execute_unprepared(&input("before", "x'03'", "'text/plain'")).await.unwrap();
    connection.execute_unprepared(&input("untyped", "x'07'", "NULL")).await.unwrap_err();

    assert!(migrate(Schema::Metadata, &connection).await.unwrap().is_current());
    connection.execute_unprepared(&input("untyped", "x'07'", "NULL")).await.unwrap();
    // What held before holds.
    connection.execute_unprepared(&input("another", "x'07'", "NULL")).await.unwrap_err();
    connection.execute_unprepared("DELETE FROM orders").await.unwrap_err();
    let kept = "SELECT group_concat(name || ' ' || hex(reference) || ' ' || coalesce(content_type, '-'), ', ') \
         FROM (SELECT * FROM order_inputs ORDER BY name)";
    let kept = Statement::from_string(connection.get_database_backend(), kept);
    let kept: String = connection.query_one_raw(kept).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    assert_eq!(kept, "before 05 text/plain, untyped 05 -");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_migrate_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let connection = open(&folder).await;
        tasks.push(tokio::spawn(async move { migrate(Schema::Metadata, &connection).await }));
    }
    for task in tasks {
        assert!(task.await.unwrap().unwrap().is_current());
    }
}

#[tokio::test]
async fn only_a_schema_that_needs_a_newer_binary_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(&folder).await;
    migrate(Schema::Vault, &connection).await.unwrap();
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20991231_000001_later', 0)";
    connection.execute_unprepared(newer).await.unwrap();

    connection.execute_unprepared("UPDATE schema_version SET version = 99").await.unwrap();
    let readable = migrate(Schema::Vault, &connection).await.unwrap();
    assert_eq!(readable.found.unwrap().version, 99);

    connection.execute_unprepared("UPDATE schema_version SET oldest_reader = 98").await.unwrap();
    let refused = migrate(Schema::Vault, &connection).await.unwrap_err();
    assert!(matches!(refused, Error::BinaryTooOld { schema: Schema::Vault, .. }), "{refused}");
    assert!(!refused.is_retryable());
    assert!(refused.to_string().contains("knows version 98"), "{refused}");
}
