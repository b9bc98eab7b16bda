//! Both databases, open.

use std::sync::Arc;

use bailey_db::Db;
use bailey_migrations::{Schema, migrate, status};
use bailey_sql::Lock;
use bailey_vault::VaultDb;

use super::Obstacle;
use crate::config::Config;

/// Key of the lock under which a worker is assembled, beside those of the migrations.
const ASSEMBLY: i64 = 0x0062_6169_6c65_7903;
/// Of the lock under which a key is made in a token.
const CEREMONY: i64 = 0x0062_6169_6c65_7904;

/// The metadata database and the vault.
#[derive(Clone)]
pub struct Databases {
    pub db: Db,
    pub vault: Arc<VaultDb>,
}

impl Databases {
    /// Opens both and asks each something; a SQLite file that isn't there is made.
    ///
    /// # Errors
    /// Which one doesn't answer.
    pub async fn connect(config: &Config) -> Result<Self, Obstacle> {
        let open = async |schema: Schema, database: &bailey_db::Config| {
            let what = format!("the {} database, {}", schema.as_str(), database.redacted_url());
            Db::connect_as(schema.as_str(), database).await.map_err(|error| Obstacle::from(error).about(what))
        };
        let db = open(Schema::Metadata, &config.database).await?;
        let vault = open(Schema::Vault, &config.vault).await?;
        Ok(Self { db, vault: Arc::new(VaultDb::new(vault)) })
    }

    /// Brings both schemas up to date.
    ///
    /// # Errors
    /// Which one can't be, and why.
    pub async fn migrate(&self) -> Result<(), Obstacle> {
        for (schema, db) in self.both() {
            migrate(schema, db.schema_connection()).await?;
        }
        Ok(())
    }

    /// Waits until no other process assembles a worker over these databases: of several that find them empty,
    /// one makes keys and the others find them.
    ///
    /// # Errors
    /// `OutOfReach` when that takes too long.
    pub async fn lock_assembly(&self) -> Result<Lock, Obstacle> {
        Ok(self.vault.db().lock(ASSEMBLY).await?)
    }

    /// Waits until nobody else makes a key in a token: two that find none would each make one.
    ///
    /// # Errors
    /// `OutOfReach` when that takes too long.
    pub async fn lock_ceremony(&self) -> Result<Lock, Obstacle> {
        Ok(self.vault.db().lock(CEREMONY).await?)
    }

    /// Looks whether both schemas are what this binary needs. Changes nothing.
    ///
    /// # Errors
    /// Which one isn't.
    pub async fn check_schemas(&self) -> Result<(), Obstacle> {
        for (schema, db) in self.both() {
            let status = status(schema, db.schema_connection()).await?;
            if !(status.is_current() && status.is_readable()) {
                let sentence = "database has another schema than this binary: see `bailey db status`";
                return Err(Obstacle::refused(format!("the {} {sentence}", schema.as_str())));
            }
        }
        Ok(())
    }

    /// Lets waiting writes finish and closes all connections; SQLite's logs become part of its files.
    pub async fn close(&self) {
        self.db.close().await;
        self.vault.db().close().await;
    }

    fn both(&self) -> [(Schema, &Db); 2] {
        [(Schema::Metadata, &self.db), (Schema::Vault, self.vault.db())]
    }
}
