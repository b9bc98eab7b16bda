//! The metadata database as it begins.

use sea_orm_migration::prelude::{
    ConditionalStatement, DeriveMigrationName, Expr, ExprTrait, ForeignKey, ForeignKeyAction, Index,
    IndexCreateStatement, MigrationTrait, SchemaManager, Table, TableCreateStatement, async_trait,
};
use sea_orm_migration::sea_orm::DbErr;

use crate::columns::{Columns, index};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = Columns(manager.get_database_backend());
        for table in [
            installation(columns),
            stores(columns),
            secrets(columns),
            secret_metadata(columns),
            secret_consumers(columns),
            acls(columns),
            acl_users(columns),
            writes(columns),
            deletions(columns),
            project_counters(columns),
            static_tokens(columns),
        ] {
            manager.create_table(columns.keyed(table)).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn installation(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("installation")
        .col(c.integer("id").not_null().primary_key().check(Expr::col("id").eq(1)))
        .col(c.uuid("deployment_id").not_null())
        .col(c.count("epoch").not_null())
        .col(c.count("accepted_epoch").not_null())
        .col(c.flag("admin_token_made").not_null())
        .col(c.time("created_at").not_null())
        .take()
}

fn stores(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("stores")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.text("name").not_null().unique_key())
        .col(c.text("kind").not_null())
        .take()
}

fn secrets(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("secrets")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.text("project").not_null())
        .col(c.text("creator"))
        .col(c.text("name"))
        .col(c.text("secret_type").not_null())
        .col(c.text("algorithm"))
        .col(c.integer("bit_length"))
        .col(c.text("mode"))
        .col(c.text("content_type"))
        .col(c.time("expires_at"))
        .col(c.time("created_at").not_null())
        .col(c.time("updated_at").not_null())
        .col(c.uuid("write_id").unique_key())
        // No foreign key to `stores`: every store of a secret would lock one and the same row.
        .col(c.uuid("store_id"))
        .col(c.bytes("reference"))
        .col(c.uuid("reference_key"))
        .take()
}

fn secret_metadata(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("secret_metadata")
        .col(c.uuid("secret_id").not_null())
        .col(c.text("key").not_null())
        .col(c.text("value").not_null())
        .primary_key(Index::create().col("secret_id").col("key"))
        .foreign_key(
            ForeignKey::create()
                .from("secret_metadata", "secret_id")
                .to("secrets", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

fn secret_consumers(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("secret_consumers")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.uuid("secret_id").not_null())
        .col(c.text("project").not_null())
        .col(c.text("service").not_null())
        .col(c.text("resource_type").not_null())
        .col(c.text("resource_id").not_null())
        .col(c.time("created_at").not_null())
        .col(c.time("updated_at").not_null())
        .foreign_key(
            ForeignKey::create()
                .from("secret_consumers", "secret_id")
                .to("secrets", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

fn acls(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("acls")
        .col(c.text("entity_kind").not_null())
        .col(c.uuid("entity_id").not_null())
        .col(c.text("operation").not_null())
        .col(c.flag("project_access").not_null())
        .col(c.time("created_at").not_null())
        .col(c.time("updated_at").not_null())
        .primary_key(Index::create().col("entity_id").col("entity_kind").col("operation"))
        .take()
}

fn acl_users(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("acl_users")
        .col(c.text("entity_kind").not_null())
        .col(c.uuid("entity_id").not_null())
        .col(c.text("operation").not_null())
        .col(c.text("user_id").not_null())
        .primary_key(Index::create().col("entity_id").col("entity_kind").col("operation").col("user_id"))
        .foreign_key(
            ForeignKey::create()
                .from("acl_users", ("entity_id", "entity_kind", "operation"))
                .to("acls", ("entity_id", "entity_kind", "operation"))
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

fn writes(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("writes")
        .col(c.uuid("write_id").not_null().primary_key())
        .col(c.text("state").not_null().check(Expr::col("state").is_in(["live", "dead", "condemned"])))
        .take()
}

fn deletions(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("deletions")
        .col(c.uuid("write_id").not_null().primary_key())
        .col(c.uuid("store_id").not_null())
        .col(c.text("project").not_null())
        .col(c.uuid("secret_id").not_null())
        .col(c.bytes("reference").not_null())
        .col(c.uuid("reference_key").not_null())
        .col(c.integer("attempts").not_null())
        .col(c.time("next_attempt_at").not_null())
        .take()
}

fn project_counters(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("project_counters")
        .col(c.text("project").not_null())
        .col(c.text("resource").not_null())
        .col(c.integer("slot").not_null())
        .col(c.count("live").not_null())
        .primary_key(Index::create().col("project").col("resource").col("slot"))
        .take()
}

fn static_tokens(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("static_tokens")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.bytes("secret_sha256").not_null())
        .col(c.text("user_id").not_null())
        .col(c.text("project").not_null())
        .col(c.text("roles").not_null())
        .col(c.time("created_at").not_null())
        .col(c.time("expires_at"))
        .take()
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        // With the expiration in it, a page far down is found without touching the rows before it.
        index("secrets_by_creation", "secrets", &["project", "created_at", "id", "expires_at"]),
        index("secrets_by_expiration", "secrets", &["project", "expires_at"])
            .and_where(Expr::col("expires_at").is_not_null())
            .take(),
        index(
            "secret_consumers_once",
            "secret_consumers",
            &["secret_id", "project", "service", "resource_type", "resource_id"],
        )
        .unique()
        .take(),
        index("acl_users_by_user", "acl_users", &["user_id", "entity_kind", "entity_id"]),
        index("deletions_by_attempt", "deletions", &["next_attempt_at", "write_id"]),
    ]
}
