//! Vaults in fresh databases of either engine, open to whoever wants to look or to vandalise.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use bailey_core::clock::Clock;
use bailey_core::ids::{KekId, MasterKeyId, WriteId};
use bailey_core::vault::{MasterKeyPurpose, MasterKeyRegister, Vault};
use bailey_migrations::{Schema, migrate};
use bailey_sql::{Config, ConnectionTrait as _, Db, Engine, Sql};
use bailey_store_simple::{Config as SimpleConfig, SimpleBackend, key_check_value};
use bailey_testkit::envelope::{KeyRingFixture, VaultFixture};
use bailey_testkit::postgres::Postgres;
use bailey_vault::{Activated, VaultDb};
use tempfile::TempDir;

/// Where fresh databases come from.
pub struct Databases {
    postgres: Arc<Postgres>,
    template: String,
}

impl Databases {
    /// Prepares a migrated database to copy.
    pub async fn start(postgres: Arc<Postgres>) -> Result<Self> {
        let template = postgres.create_database()?;
        let db = Db::connect(&Config::new(template.clone())).await?;
        migrate(Schema::Vault, db.schema_connection()).await?;
        db.close().await;
        Ok(Self { postgres, template })
    }

    /// A vault of its own.
    pub async fn vault(&self, engine: Engine) -> Result<SqlVault> {
        match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir()?;
                let db = Db::connect(&Config::new(format!("sqlite://{}/vault.db", folder.path().display()))).await?;
                migrate(Schema::Vault, db.schema_connection()).await?;
                Ok(SqlVault { vault: VaultDb::new(db), at: At::Folder(folder) })
            }
            Engine::Postgres => {
                let url = self.postgres.create_database_from(&self.template)?;
                let db = Db::connect(&Config::new(url.clone())).await?;
                Ok(SqlVault { vault: VaultDb::new(db), at: At::Server(Arc::clone(&self.postgres), url) })
            }
        }
    }
}

enum At {
    Folder(TempDir),
    Server(Arc<Postgres>, String),
}

/// A vault in a database of its own.
pub struct SqlVault {
    pub vault: VaultDb,
    at: At,
}

/// The simple backend, its MKEKs registered in `vault`.
pub async fn simple(vault: Arc<SqlVault>) -> Result<KeyRingFixture> {
    let make =
        |store, ring, register| Arc::new(SimpleBackend::new(store, &SimpleConfig::default(), ring, register)) as _;
    KeyRingFixture::new(vault, make, key_check_value).await
}

#[async_trait]
impl VaultFixture for SqlVault {
    fn vault(&self) -> Arc<dyn Vault> {
        Arc::new(self.vault.clone())
    }

    fn register(&self) -> Arc<dyn MasterKeyRegister> {
        Arc::new(self.vault.clone())
    }

    async fn activate(&self, purpose: MasterKeyPurpose, id: MasterKeyId, check_value: Vec<u8>) -> Result<()> {
        let now = Clock::system().now();
        self.vault.add_master_key(purpose, id, check_value, now).await?;
        ensure!(self.vault.activate_master_key(id, now).await? == Activated::Yes, "not activated");
        Ok(())
    }

    async fn dump(&self) -> Result<Vec<Vec<u8>>> {
        match &self.at {
            At::Folder(folder) => {
                let files = std::fs::read_dir(folder.path())?;
                files.map(|file| Ok(std::fs::read(file?.path())?)).collect()
            }
            At::Server(postgres, url) => Ok(vec![postgres.dump(url)?]),
        }
    }

    async fn read_ciphertext(&self, write: WriteId) -> Result<Vec<u8>> {
        const READ: Sql = Sql::both("SELECT bytes FROM ciphertexts WHERE write_id = $1");
        let reader = self.vault.db().reader();
        let row = reader.query_one_raw(READ.with(reader, [write.uuid().into()])).await?;
        Ok(row.context("no such ciphertext")?.try_get_by_index(0)?)
    }

    async fn replace_ciphertext(&self, write: WriteId, bytes: Vec<u8>) -> Result<()> {
        const REPLACE: Sql = Sql::both("UPDATE ciphertexts SET bytes = $2 WHERE write_id = $1");
        match self.vault.db().execute("vandalise", &REPLACE, [write.uuid().into(), bytes.into()]).await? {
            1 => Ok(()),
            changed => bail!("{changed} ciphertexts changed"),
        }
    }

    async fn force_retirement(&self, kek: KekId) -> Result<()> {
        const RETIRE: Sql = Sql::both("UPDATE project_keks SET state = 'retired' WHERE id = $1");
        self.vault.db().execute("vandalise", &RETIRE, [kek.uuid().into()]).await?;
        Ok(())
    }
}
