//! Schema of the metadata database and of the vault, for both engines.
//!
//! It knows tables and nothing of what is in them; entities and queries belong to `db` and `vault`,
//! where a test compares them with this schema. Start reading at [`migrate`].

#![warn(missing_docs)]

mod columns;
mod error;
mod m20261101_000001_metadata;
mod m20261101_000002_vault;
mod m20261122_000003_resources;
mod m20261122_000004_queue_messages;
mod m20261122_000005_blank_content_types;
mod m20261122_000006_certificates;
mod m20261122_000007_renewals;
mod m20261122_000008_notices;
mod m20261122_000009_renewal_windows;
mod m20261122_000010_certificates_of_orders;
mod run;
mod version;

pub use error::Error;
pub use run::{Status, migrate, status};
pub use sea_orm_migration::MigratorTrait;
pub use version::SchemaVersion;

use sea_orm_migration::MigrationTrait;

/// Which of the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Schema {
    /// References, ACLs, labels.
    Metadata,
    /// Ciphertexts and wrapped keys.
    Vault,
}

impl Schema {
    /// The version that this binary makes and knows, and the oldest binary that can read it.
    ///
    /// Raise `version` with each migration; raise `oldest_reader` only when one contracts the schema.
    #[must_use]
    pub const fn version(self) -> SchemaVersion {
        match self {
            Self::Metadata => SchemaVersion { version: 9, oldest_reader: 1 },
            Self::Vault => SchemaVersion { version: 1, oldest_reader: 1 },
        }
    }

    /// The name in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Vault => "vault",
        }
    }
}

/// Migrations of the metadata database.
pub struct Metadata;

impl MigratorTrait for Metadata {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261101_000001_metadata::Migration),
            Box::new(m20261122_000003_resources::Migration),
            Box::new(m20261122_000004_queue_messages::Migration),
            Box::new(m20261122_000005_blank_content_types::Migration),
            Box::new(m20261122_000006_certificates::Migration),
            Box::new(m20261122_000007_renewals::Migration),
            Box::new(m20261122_000008_notices::Migration),
            Box::new(m20261122_000009_renewal_windows::Migration),
            Box::new(m20261122_000010_certificates_of_orders::Migration),
        ]
    }
}

/// Migrations of the vault.
pub struct Vault;

impl MigratorTrait for Vault {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m20261101_000002_vault::Migration)]
    }
}
