//! What is still to be told of certificates that were renewed.

use sea_orm_migration::prelude::{
    DeriveMigrationName, MigrationTrait, SchemaManager, Table, TableCreateStatement, async_trait,
};
use sea_orm_migration::sea_orm::DbErr;

use crate::columns::{Columns, index};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns(manager.get_database_backend());
        manager.create_table(c.keyed(notices(c))).await?;
        manager.create_index(index("notices_by_next_attempt", "notices", &["next_attempt_at"])).await
    }
}

/// Whoever tells one puts its next attempt off first, so that nobody else tells it meanwhile: `attempts` is the fence.
fn notices(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("notices")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.text("body").not_null())
        .col(c.time("created_at").not_null())
        .col(c.time("next_attempt_at").not_null())
        .col(c.integer("attempts").not_null())
        .take()
}
