//! The vault as it begins.

use sea_orm_migration::prelude::{
    ConditionalStatement, DeriveMigrationName, Expr, ExprTrait, ForeignKey, Index, IndexCreateStatement,
    MigrationTrait, SchemaManager, Table, TableCreateStatement, async_trait,
};
use sea_orm_migration::sea_orm::DbErr;

use crate::columns::{Columns, index};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = Columns(manager.get_database_backend());
        for table in [master_keys(columns), worker_reports(columns), project_keks(columns), ciphertexts(columns)] {
            manager.create_table(columns.keyed(table)).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn master_keys(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("master_keys")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.text("purpose").not_null().check(Expr::col("purpose").is_in(["mkek", "worker"])))
        .col(c.uuid("store_id"))
        .col(c.text("state").not_null().check(Expr::col("state").is_in(["added", "active", "decrypt-only", "retired"])))
        .col(c.bytes("check_value").not_null())
        .col(c.count("reserved").not_null())
        .col(c.time("created_at").not_null())
        .take()
}

fn worker_reports(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("worker_reports")
        .col(c.uuid("worker_id").not_null())
        .col(c.uuid("key_id").not_null())
        .col(c.time("reported_at").not_null())
        .primary_key(Index::create().col("worker_id").col("key_id"))
        .take()
}

fn project_keks(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("project_keks")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.uuid("store_id").not_null())
        .col(c.text("project").not_null())
        .col(c.text("state").not_null().check(Expr::col("state").is_in(["active", "decrypt-only", "retired"])))
        .col(c.uuid("mkek_id").not_null())
        .col(c.bytes("wrapped").not_null())
        .col(c.count("reserved").not_null())
        .col(c.flag("reencrypt").not_null())
        .col(c.time("created_at").not_null())
        .foreign_key(ForeignKey::create().from("project_keks", "mkek_id").to("master_keys", "id"))
        .take()
}

fn ciphertexts(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("ciphertexts")
        .col(c.uuid("write_id").not_null().primary_key())
        .col(c.uuid("store_id").not_null())
        .col(c.text("project").not_null())
        .col(c.uuid("secret_id").not_null())
        .col(c.uuid("kek_id").not_null())
        .col(c.bytes("bytes").not_null())
        .col(c.time("created_at").not_null())
        .foreign_key(ForeignKey::create().from("ciphertexts", "kek_id").to("project_keks", "id"))
        .take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let is_active = || Expr::col("state").eq("active");
    vec![
        index("master_keys_one_active_mkek", "master_keys", &["store_id"])
            .unique()
            .and_where(is_active().and(Expr::col("purpose").eq("mkek")))
            .take(),
        index("master_keys_one_active_worker_key", "master_keys", &["purpose"])
            .unique()
            .and_where(is_active().and(Expr::col("purpose").eq("worker")))
            .take(),
        index("project_keks_one_active", "project_keks", &["store_id", "project"])
            .unique()
            .and_where(is_active())
            .take(),
        index("project_keks_by_mkek", "project_keks", &["mkek_id", "id"]),
        index("ciphertexts_by_kek", "ciphertexts", &["kek_id", "write_id"]),
    ]
}
