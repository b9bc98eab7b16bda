//! The bare program's two databases, metadata and ciphertexts, with the settings of Bailey's.

use std::time::Duration;

use anyhow::Result;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use uuid::Uuid;

/// Connections to each database of PostgreSQL, and for reading to each file of SQLite: Bailey's defaults.
const POSTGRES_CONNECTIONS: u32 = 10;
const SQLITE_READERS: u32 = 4;

/// A row of metadata.
pub struct Secret {
    pub id: Uuid,
    pub write: Uuid,
    pub name: Option<String>,
    pub secret_type: String,
    pub algorithm: Option<String>,
    pub bit_length: Option<i32>,
    pub mode: Option<String>,
    pub content_type: String,
    pub created_at: i64,
}

type Row = (Uuid, Uuid, Option<String>, String, Option<String>, Option<i32>, Option<String>, String, i64);

impl From<Row> for Secret {
    fn from(row: Row) -> Self {
        let (id, write, name, secret_type, algorithm, bit_length, mode, content_type, created_at) = row;
        Secret { id, write, name, secret_type, algorithm, bit_length, mode, content_type, created_at }
    }
}

/// One statement each, but for the transaction around the insert of metadata.
pub trait Database: Send + Sync + Sized + 'static {
    async fn open(metadata: &str, vault: &str) -> Result<Self>;
    async fn insert_ciphertext(&self, write: Uuid, ciphertext: Vec<u8>) -> Result<()>;
    async fn insert_secret(&self, project: &str, secret: &Secret) -> Result<()>;
    async fn ciphertext(&self, write: Uuid) -> Result<Vec<u8>>;
    async fn secret(&self, project: &str, id: Uuid) -> Result<Secret>;
    async fn list(&self, project: &str) -> Result<Vec<Secret>>;
}

/// Both on PostgreSQL.
pub struct OnPostgres {
    metadata: Pools<PgPool>,
    vault: Pools<PgPool>,
}

/// Both in files of SQLite.
pub struct OnSqlite {
    metadata: Pools<SqlitePool>,
    vault: Pools<SqlitePool>,
}

struct Pools<P> {
    reader: P,
    writer: P,
}

async fn postgres(url: &str) -> Result<Pools<PgPool>> {
    let options: PgConnectOptions = url.parse()?;
    let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).test_before_acquire(false);
    let pool = pool.connect_with(options.disable_statement_logging()).await?;
    Ok(Pools { reader: pool.clone(), writer: pool })
}

async fn sqlite(url: &str) -> Result<Pools<SqlitePool>> {
    let options: SqliteConnectOptions = url.parse()?;
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("secure_delete", "ON")
        .disable_statement_logging();
    let pool = |connections| SqlitePoolOptions::new().max_connections(connections).test_before_acquire(false);
    let writer = pool(1).connect_with(options.clone()).await?;
    let reader = pool(SQLITE_READERS).connect_with(options).await?;
    Ok(Pools { reader, writer })
}

const SECRETS_BY_PROJECT: &str = "CREATE INDEX secrets_by_project ON secrets (project, created_at, id)";

/// The same statements on both: SQLite, too, takes `$1`.
macro_rules! database {
    ($type:ty, $open:path, $begin:literal, $secrets:literal, $ciphertexts:literal) => {
        impl Database for $type {
            async fn open(metadata: &str, vault: &str) -> Result<Self> {
                let (metadata, vault) = ($open(metadata).await?, $open(vault).await?);
                for statement in [$secrets, SECRETS_BY_PROJECT] {
                    sqlx::query(statement).execute(&metadata.writer).await?;
                }
                sqlx::query($ciphertexts).execute(&vault.writer).await?;
                Ok(Self { metadata, vault })
            }

            async fn insert_ciphertext(&self, write: Uuid, ciphertext: Vec<u8>) -> Result<()> {
                let insert = sqlx::query("INSERT INTO ciphertexts (write, bytes) VALUES ($1, $2)");
                insert.bind(write).bind(ciphertext).execute(&self.vault.writer).await?;
                Ok(())
            }

            async fn insert_secret(&self, project: &str, secret: &Secret) -> Result<()> {
                let insert = sqlx::query(
                    "INSERT INTO secrets (id, project, write, name, secret_type, algorithm, bit_length, mode, \
                     content_type, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                );
                let mut transaction = self.metadata.writer.begin_with($begin).await?;
                insert
                    .bind(secret.id)
                    .bind(project)
                    .bind(secret.write)
                    .bind(&secret.name)
                    .bind(&secret.secret_type)
                    .bind(&secret.algorithm)
                    .bind(secret.bit_length)
                    .bind(&secret.mode)
                    .bind(&secret.content_type)
                    .bind(secret.created_at)
                    .execute(&mut *transaction)
                    .await?;
                Ok(transaction.commit().await?)
            }

            async fn ciphertext(&self, write: Uuid) -> Result<Vec<u8>> {
                let select = sqlx::query_scalar("SELECT bytes FROM ciphertexts WHERE write = $1");
                Ok(select.bind(write).fetch_one(&self.vault.reader).await?)
            }

            async fn secret(&self, project: &str, id: Uuid) -> Result<Secret> {
                let select = sqlx::query_as::<_, Row>(
                    "SELECT id, write, name, secret_type, algorithm, bit_length, mode, content_type, created_at \
                     FROM secrets WHERE id = $1 AND project = $2",
                );
                Ok(select.bind(id).bind(project).fetch_one(&self.metadata.reader).await?.into())
            }

            async fn list(&self, project: &str) -> Result<Vec<Secret>> {
                let select = sqlx::query_as::<_, Row>(
                    "SELECT id, write, name, secret_type, algorithm, bit_length, mode, content_type, created_at \
                     FROM secrets WHERE project = $1 ORDER BY created_at, id LIMIT 10",
                );
                let rows = select.bind(project).fetch_all(&self.metadata.reader).await?;
                Ok(rows.into_iter().map(Secret::from).collect())
            }
        }
    };
}

database!(
    OnPostgres,
    postgres,
    "BEGIN",
    "CREATE TABLE secrets (id uuid PRIMARY KEY, project text NOT NULL, write uuid NOT NULL, name text, \
     secret_type text NOT NULL, algorithm text, bit_length integer, mode text, content_type text NOT NULL, \
     created_at bigint NOT NULL)",
    "CREATE TABLE ciphertexts (write uuid PRIMARY KEY, bytes bytea NOT NULL)"
);
database!(
    OnSqlite,
    sqlite,
    "BEGIN IMMEDIATE",
    "CREATE TABLE secrets (id blob PRIMARY KEY, project text NOT NULL, write blob NOT NULL, name text, \
     secret_type text NOT NULL, algorithm text, bit_length integer, mode text, content_type text NOT NULL, \
     created_at bigint NOT NULL)",
    "CREATE TABLE ciphertexts (write blob PRIMARY KEY, bytes blob NOT NULL)"
);
