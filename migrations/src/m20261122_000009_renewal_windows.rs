//! Certificates whose CA is asked again and again when to renew them.

use sea_orm_migration::prelude::{DeriveMigrationName, MigrationTrait, SchemaManager, Table, async_trait};
use sea_orm_migration::sea_orm::DbErr;

use crate::columns::{Columns, index};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// `issued` is the certificate that is there, `ask_at` when its CA is asked next; both blank of those of before,
    /// which get them with their next renewal.
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns(manager.get_database_backend());
        for (name, column) in [("issued", c.bytes("issued")), ("ask_at", c.time("ask_at"))] {
            if !manager.has_column("renewals", name).await? {
                manager.alter_table(Table::alter().table("renewals").add_column(column).take()).await?;
            }
        }
        manager.create_index(index("renewals_by_ask", "renewals", &["ask_at"])).await
    }
}
