//! Messages of the queue that changed something.

use sea_orm_migration::prelude::{DeriveMigrationName, MigrationTrait, SchemaManager, Table, async_trait};
use sea_orm_migration::sea_orm::DbErr;

use crate::columns::{Columns, index};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns(manager.get_database_backend());
        let table = Table::create()
            .table("queue_messages")
            .col(c.uuid("id").not_null().primary_key())
            .col(c.time("expires_at").not_null())
            .take();
        manager.create_table(c.keyed(table)).await?;
        manager.create_index(index("queue_messages_by_expiration", "queue_messages", &["expires_at"])).await
    }
}
