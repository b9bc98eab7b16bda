//! Certificate authorities, and what orders for certificates need.

use sea_orm_migration::prelude::{
    DeriveMigrationName, Index, MigrationTrait, SchemaManager, Table, TableCreateStatement, async_trait,
};
use sea_orm_migration::sea_orm::DbErr;

use crate::columns::{Columns, index};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns(manager.get_database_backend());
        manager.create_table(c.keyed(ca_challenges(c))).await?;
        for table in
            [cas(c), project_cas(c), preferred_cas(c), ca_keys(c), ca_certificates(c), ca_revocations(c), ca_lists(c)]
        {
            manager.create_table(c.keyed(table)).await?;
        }
        for name in ["certificate", "issuance_state"] {
            if !manager.has_column("orders", name).await? {
                manager.alter_table(Table::alter().table("orders").add_column(c.text(name)).take()).await?;
            }
        }
        manager.create_index(index("cas_by_project", "cas", &["project"])).await?;
        manager.create_index(index("project_cas_by_ca", "project_cas", &["ca_id"])).await
    }
}

/// Configured ones, which have no project, and those that projects have below them.
fn cas(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("cas")
        .col(c.uuid("id").not_null().primary_key())
        .col(c.text("name").not_null())
        .col(c.text("plugin").not_null())
        .col(c.text("plugin_ca_id").not_null())
        .col(c.text("description"))
        .col(c.uuid("parent_id"))
        .col(c.text("project"))
        .col(c.text("creator"))
        .col(c.time("created_at").not_null())
        .col(c.time("updated_at").not_null())
        .take()
}

/// The CAs that projects have chosen for themselves; projects without one have all of the configured.
fn project_cas(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("project_cas")
        .col(c.text("project").not_null())
        .col(c.uuid("ca_id").not_null())
        .col(c.time("created_at").not_null())
        .primary_key(Index::create().col("project").col("ca_id"))
        .take()
}

/// The row of no project, which is blank, is everybody's.
fn preferred_cas(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("preferred_cas")
        .col(c.text("project").not_null().primary_key())
        .col(c.uuid("ca_id").not_null())
        .col(c.time("updated_at").not_null())
        .take()
}

/// The secrets that a CA's own keys are payloads of.
fn ca_keys(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("ca_keys")
        .col(c.uuid("ca_id").not_null())
        .col(c.text("name").not_null())
        .col(c.uuid("secret_id").not_null())
        .col(c.time("created_at").not_null())
        .primary_key(Index::create().col("ca_id").col("name"))
        .take()
}

/// What the tokens of CAs that prove names over HTTP are answered with.
fn ca_challenges(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("ca_challenges")
        .col(c.text("token").not_null().primary_key())
        .col(c.text("answer").not_null())
        .col(c.time("expires_at").not_null())
        .take()
}

/// The chain of each generation of a CA of Bailey's own; its own certificate is at position 0.
fn ca_certificates(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("ca_certificates")
        .col(c.uuid("ca_id").not_null())
        .col(c.integer("generation").not_null())
        .col(c.integer("position").not_null())
        .col(c.bytes("der").not_null())
        .col(c.time("created_at").not_null())
        .primary_key(Index::create().col("ca_id").col("generation").col("position"))
        .take()
}

fn ca_revocations(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("ca_revocations")
        .col(c.uuid("ca_id").not_null())
        .col(c.integer("generation").not_null())
        .col(c.bytes("serial").not_null())
        .col(c.text("reason").not_null())
        .col(c.time("revoked_at").not_null())
        .col(c.time("expires_at").not_null())
        .primary_key(Index::create().col("ca_id").col("generation").col("serial"))
        .take()
}

/// The number of the last list of revocations of each generation of a CA.
fn ca_lists(c: Columns) -> TableCreateStatement {
    Table::create()
        .table("ca_lists")
        .col(c.uuid("ca_id").not_null())
        .col(c.integer("generation").not_null())
        .col(c.count("number").not_null())
        .primary_key(Index::create().col("ca_id").col("generation"))
        .take()
}
