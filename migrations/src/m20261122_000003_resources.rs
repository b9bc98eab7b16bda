//! Containers, orders, quotas, transport keys, and what later promises of the stores need.

use sea_orm_migration::prelude::{
    ConditionalStatement, DeriveMigrationName, Expr, ExprTrait, ForeignKey, ForeignKeyAction, Index, MigrationTrait,
    SchemaManager, Table, TableCreateStatement, async_trait,
};
use sea_orm_migration::sea_orm::DbErr;

use crate::columns::{Columns, index};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns(manager.get_database_backend());
        for table in [
            retired_reference_keys(c),
            project_stores(c),
            project_quotas(c),
            containers(c),
            container_secrets(c),
            container_consumers(c),
            orders(c),
            order_inputs(c),
            idempotency_keys(c),
            transport_keys(c),
        ] {
            manager.create_table(c.keyed(table)).await?;
        }
        for (table, name) in [
            ("installation", "restored_at"),
            ("installation", "destruction_held_until"),
            ("stores", "created_at"),
            ("stores", "updated_at"),
        ] {
            if !manager.has_column(table, name).await? {
                manager.alter_table(Table::alter().table(table).add_column(c.time(name)).take()).await?;
            }
        }
        // A consumer is registered once, whoever asks.
        manager
            .drop_index(Index::drop().if_exists().name("secret_consumers_once").table("secret_consumers").to_owned())
            .await?;
        for index in [
            index(
                "secret_consumers_once",
                "secret_consumers",
                &["secret_id", "service", "resource_type", "resource_id"],
            )
            .unique()
            .take(),
            index("secret_consumers_by_project", "secret_consumers", &["project"]),
            index("containers_by_creation", "containers", &["project", "created_at", "id"]),
            index("container_secrets_by_secret", "container_secrets", &["secret_id"]),
            index("container_consumers_once", "container_consumers", &["container_id", "name", "url"]).unique().take(),
            index("container_consumers_by_project", "container_consumers", &["project"]),
            index("orders_by_creation", "orders", &["project", "created_at", "id"]),
            index("orders_due", "orders", &["next_attempt_at", "id"])
                .and_where(Expr::col("status").eq("PENDING"))
                .take(),
            index("orders_pending", "orders", &["project"]).and_where(Expr::col("status").eq("PENDING")).take(),
            index("secrets_expired", "secrets", &["expires_at", "id"])
                .and_where(Expr::col("expires_at").is_not_null())
                .take(),
            // Of two workers that make a store's key at once, one does.
            index("transport_keys_once", "transport_keys", &["store_id", "worker_key"]).unique().take(),
            index("idempotency_keys_by_creation", "idempotency_keys", &["created_at"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

/// Versions of the worker key that no reference may be sealed under any more.
fn retired_reference_keys(c: Columns) -> TableCreateStatement {
    Table::create().table("retired_reference_keys").col(c.uuid("id").not_null().primary_key()).take()
}

fn project_stores(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("project_stores")
        .col(c.text("project").not_null().primary_key())
        .col(c.uuid("store_id").not_null())
        .col(c.time("created_at").not_null())
        .col(c.time("updated_at").not_null())
        .take()
}

fn project_quotas(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("project_quotas")
        .col(c.text("project").not_null().primary_key())
        .col(c.count("secrets"))
        .col(c.count("orders"))
        .col(c.count("containers"))
        .col(c.count("consumers"))
        .col(c.count("cas"))
        .col(c.time("created_at").not_null())
        .col(c.time("updated_at").not_null())
        .take()
}

fn containers(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("containers")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.text("project").not_null())
        .col(c.text("creator"))
        .col(c.text("name"))
        .col(c.text("container_type").not_null())
        .col(c.time("created_at").not_null())
        .col(c.time("updated_at").not_null())
        .take()
}

fn container_secrets(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("container_secrets")
        .col(c.uuid("container_id").not_null())
        .col(c.integer("position").not_null())
        .col(c.uuid("secret_id").not_null())
        .col(c.text("name"))
        .primary_key(Index::create().col("container_id").col("position"))
        .foreign_key(
            ForeignKey::create()
                .from("container_secrets", "container_id")
                .to("containers", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .foreign_key(
            ForeignKey::create()
                .from("container_secrets", "secret_id")
                .to("secrets", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

fn container_consumers(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("container_consumers")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.uuid("container_id").not_null())
        .col(c.text("project").not_null())
        .col(c.text("name").not_null())
        .col(c.text("url").not_null())
        .col(c.time("created_at").not_null())
        .col(c.time("updated_at").not_null())
        .foreign_key(
            ForeignKey::create()
                .from("container_consumers", "container_id")
                .to("containers", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

/// The row is the job: whoever holds the lease works on it.
fn orders(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("orders")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.text("project").not_null())
        .col(c.text("creator"))
        .col(c.text("order_type").not_null())
        .col(c.text("meta").not_null())
        .col(c.text("status").not_null().check(Expr::col("status").is_in(["PENDING", "ACTIVE", "ERROR"])))
        .col(c.text("sub_status"))
        .col(c.text("sub_status_message"))
        .col(c.text("error_status_code"))
        .col(c.text("error_reason"))
        .col(c.uuid("secret_id"))
        .col(c.uuid("container_id"))
        // What a pending order is charged against the quotas.
        .col(c.integer("charged_secrets").not_null())
        .col(c.integer("charged_containers").not_null())
        .col(c.text("request_id").not_null())
        .col(c.integer("attempts").not_null())
        // The attempt whose failure is the last.
        .col(c.integer("last_attempt").not_null())
        .col(c.uuid("locked_by"))
        .col(c.time("locked_until"))
        .col(c.time("next_attempt_at").not_null())
        .col(c.time("deadline_at").not_null())
        .col(c.time("created_at").not_null())
        .col(c.time("updated_at").not_null())
        .take()
}

/// What a client gave an order to work with and nobody may read: placed in a store, as a payload is.
fn order_inputs(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("order_inputs")
        .col(c.uuid("order_id").not_null())
        .col(c.text("name").not_null())
        .col(c.text("project").not_null())
        .col(c.uuid("secret_id").not_null())
        .col(c.uuid("write_id").not_null().unique_key())
        .col(c.uuid("store_id").not_null())
        .col(c.bytes("reference").not_null())
        .col(c.uuid("reference_key").not_null())
        .col(c.text("content_type").not_null())
        .primary_key(Index::create().col("order_id").col("name"))
        .foreign_key(ForeignKey::create().from("order_inputs", "order_id").to("orders", "id"))
        .take()
}

fn idempotency_keys(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("idempotency_keys")
        .col(c.text("project").not_null())
        // Blank for a caller without a user.
        .col(c.text("user_id").not_null())
        .col(c.text("route").not_null())
        .col(c.text("key").not_null())
        .col(c.bytes("fingerprint").not_null())
        .col(c.uuid("fingerprint_key").not_null())
        .col(c.uuid("resource_id").not_null())
        .col(c.time("created_at").not_null())
        .primary_key(Index::create().col("project").col("user_id").col("route").col("key"))
        .take()
}

fn transport_keys(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("transport_keys")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.text("plugin_name").not_null())
        .col(c.text("transport_key").not_null())
        // Blank for keys that operators registered.
        .col(c.uuid("store_id"))
        .col(c.uuid("worker_key"))
        .col(c.time("created_at").not_null())
        .col(c.time("updated_at").not_null())
        .take()
}
