//! Inputs of orders whose product is to have no content type.

use sea_orm_migration::prelude::{
    ColumnDef, DeriveMigrationName, ForeignKey, Index, MigrationTrait, Query, SchemaManager, Table,
    TableCreateStatement, async_trait,
};
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, DbErr};

use crate::columns::Columns;

#[derive(DeriveMigrationName)]
pub struct Migration;

const NEW: &str = "order_inputs_new";
const COLUMNS: [&str; 9] =
    ["order_id", "name", "project", "secret_id", "write_id", "store_id", "reference", "reference_key", "content_type"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns(manager.get_database_backend());
        if c.0 == DbBackend::Postgres {
            let nullable = ColumnDef::new("content_type").null().take();
            return manager.alter_table(Table::alter().table("order_inputs").modify_column(nullable).take()).await;
        }
        // SQLite changes no column's constraints.
        manager.create_table(c.keyed(order_inputs(c))).await?;
        let all = Query::select().columns(COLUMNS).from("order_inputs").take();
        let mut copy = Query::insert();
        let copied = copy.into_table(NEW).columns(COLUMNS).select_from(all);
        manager.get_connection().execute(copied.map_err(|error| DbErr::Migration(error.to_string()))?).await?;
        manager.drop_table(Table::drop().table("order_inputs").take()).await?;
        manager.rename_table(Table::rename().table(NEW, "order_inputs").take()).await
    }
}

fn order_inputs(c: Columns) -> TableCreateStatement {
    Table::create()
        .table(NEW)
        .col(c.uuid("order_id").not_null())
        .col(c.text("name").not_null())
        .col(c.text("project").not_null())
        .col(c.uuid("secret_id").not_null())
        .col(c.uuid("write_id").not_null().unique_key())
        .col(c.uuid("store_id").not_null())
        .col(c.bytes("reference").not_null())
        .col(c.uuid("reference_key").not_null())
        .col(c.text("content_type"))
        .primary_key(Index::create().col("order_id").col("name"))
        .foreign_key(ForeignKey::create().from(NEW, "order_id").to("orders", "id"))
        .take()
}
