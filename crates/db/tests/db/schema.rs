//! The schema on PostgreSQL; on SQLite the migrations test themselves.

use bailey_db::{Config, Db};
use bailey_migrations::{Schema, migrate};
use bailey_testkit::postgres::Postgres;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_migrate_postgres_at_once_and_again() {
    let server = tokio::task::spawn_blocking(|| Postgres::shared().unwrap()).await.unwrap();
    for schema in [Schema::Metadata, Schema::Vault] {
        let url = server.create_database().unwrap();
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let config = Config::new(url.clone());
                tokio::spawn(async move {
                    let db = Db::connect(&config).await.unwrap();
                    migrate(schema, db.schema_connection()).await
                })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap().unwrap().is_current());
        }
        let made = server.dump(&url).unwrap();
        server.psql(&url, "DELETE FROM schema_version; DELETE FROM seaql_migrations").unwrap();
        let db = Db::connect(&Config::new(url.clone())).await.unwrap();
        assert!(migrate(schema, db.schema_connection()).await.unwrap().is_current());
        let without_times = |dump: Vec<u8>| {
            let text = String::from_utf8(dump).unwrap();
            text.lines().filter(|line| !line.starts_with(['m', '\\'])).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(without_times(server.dump(&url).unwrap()), without_times(made));
    }
}
