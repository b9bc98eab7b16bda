//! Which certificate an order made, and which order failed to renew one.

use sea_orm_migration::prelude::{DeriveMigrationName, MigrationTrait, SchemaManager, Table, async_trait};
use sea_orm_migration::sea_orm::DbErr;

use crate::columns::Columns;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// `issued_id` is the secret with the certificate, blank of orders of before: they stand for whichever one their
    /// container has. `failed_order_id` is deleted when the next order begins. Neither is a foreign key: who deletes
    /// what they name deletes nothing else.
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns(manager.get_database_backend());
        for (table, column) in [("orders", "issued_id"), ("renewals", "failed_order_id")] {
            if !manager.has_column(table, column).await? {
                manager.alter_table(Table::alter().table(table).add_column(c.uuid(column)).take()).await?;
            }
        }
        Ok(())
    }
}
