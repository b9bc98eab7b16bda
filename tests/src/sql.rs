//! SQL past Bailey: what a writer to its databases could do, and what a reader would find.

use anyhow::Result;
use bailey_testkit::process;

use crate::app::{Database, TestApp};

/// One of the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// References, ACLs, labels.
    Metadata,
    /// Ciphertexts and wrapped KEKs.
    Vault,
}

impl TestApp {
    /// Runs a statement and returns what it prints: columns separated by `|`, rows by newlines.
    ///
    /// # Panics
    /// When the statement fails.
    #[must_use]
    pub fn sql(&self, which: Which, statement: &str) -> String {
        self.try_sql(which, statement).unwrap_or_else(|error| panic!("{statement}: {error:#}"))
    }

    fn try_sql(&self, which: Which, statement: &str) -> Result<String> {
        let url = match which {
            Which::Metadata => self.database_url(),
            Which::Vault => self.vault_url(),
        };
        match self.database() {
            Database::Postgres | Database::Split => self.postgres().psql(&url, statement),
            Database::Sqlite => {
                let file = url.strip_prefix("sqlite://").unwrap_or(&url);
                let mut command = process::command("sqlite3");
                command.args(["-batch", "-cmd", ".timeout 10000", file, statement]);
                Ok(String::from_utf8(process::run(&mut command)?)?)
            }
        }
    }

    /// A UUID as the engine writes it in a statement.
    #[must_use]
    pub fn uuid(&self, id: &str) -> String {
        match self.database() {
            Database::Postgres | Database::Split => format!("'{id}'::uuid"),
            Database::Sqlite => format!("x'{}'", id.replace('-', "")),
        }
    }
}
