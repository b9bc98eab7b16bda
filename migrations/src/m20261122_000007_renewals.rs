//! Certificates that are to be renewed, one row for each container that has one.

use sea_orm_migration::prelude::{
    DeriveMigrationName, ForeignKey, ForeignKeyAction, MigrationTrait, SchemaManager, Table, TableCreateStatement,
    async_trait,
};
use sea_orm_migration::sea_orm::DbErr;

use crate::columns::{Columns, index};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns(manager.get_database_backend());
        manager.create_table(c.keyed(renewals(c))).await?;
        manager.create_index(index("renewals_by_due", "renewals", &["due_at"])).await?;
        manager.create_index(index("renewals_by_order", "renewals", &["order_id"])).await
    }
}

/// `order_id` is the order that renews it now; no foreign key, because who deletes that order doesn't want the
/// certificate to end.
fn renewals(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("renewals")
        .col(c.uuid("container_id").not_null().primary_key())
        .col(c.text("project").not_null())
        .col(c.text("creator"))
        .col(c.text("meta").not_null())
        .col(c.text("certificate").not_null())
        .col(c.time("expires_at").not_null())
        .col(c.time("due_at").not_null())
        .col(c.uuid("order_id"))
        .col(c.integer("failures").not_null())
        .foreign_key(
            ForeignKey::create()
                .from("renewals", "container_id")
                .to("containers", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}
