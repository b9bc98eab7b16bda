//! The vault: ciphertexts, wrapped project KEKs and the register of master key versions, in a
//! database of their own.
//!
//! It can decrypt nothing, and it never shares a database with the metadata. [`VaultDb`] implements
//! what the envelope and the backends need; its own functions are for commands.

#![warn(missing_docs)]

mod ciphertext;
mod kek;
mod master_key;
mod report;
mod row;
mod vault;

pub use kek::{KekSummary, Retired};
pub use master_key::{Activated, MasterKeySummary};
pub use report::WorkerReport;

use bailey_sql::{ConnectionTrait as _, Db, Error, Explain as _, Sql};

/// The vault's database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct VaultDb {
    db: Db,
}

const IS_EMPTY: Sql = Sql::both(
    "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM master_keys) AND NOT EXISTS (SELECT 1 FROM project_keks)
         AND NOT EXISTS (SELECT 1 FROM ciphertexts)",
);

impl VaultDb {
    /// A vault in `db`, which must have the vault's schema before it is asked anything.
    #[must_use]
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// The database itself, to migrate, probe or close it.
    #[must_use]
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// Whether nothing was ever kept here: no master key, no KEK, no ciphertext.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        let reader = self.db.reader();
        Ok(reader.query_one_raw(IS_EMPTY.with(reader, [])).await.explain("look into vault")?.is_some())
    }
}
