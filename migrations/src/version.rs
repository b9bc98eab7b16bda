//! The table `schema_version`: one row that says what the database holds and who can read it.

use sea_orm_migration::prelude::{ColumnDef, Expr, ExprTrait, OnConflict, Query, Table};
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// A version of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaVersion {
    /// What the database holds.
    pub version: i32,
    /// The oldest version that a binary must know to work with it.
    pub oldest_reader: i32,
}

/// The recorded version, or `None` if the database was never migrated.
pub(crate) async fn find<C: ConnectionTrait>(connection: &C) -> Result<Option<SchemaVersion>, DbErr> {
    if !is_there(connection).await? {
        return Ok(None);
    }
    let query = Query::select().columns(["version", "oldest_reader"]).from("schema_version").take();
    let Some(row) = connection.query_one(&query).await? else { return Ok(None) };
    Ok(Some(SchemaVersion { version: row.try_get("", "version")?, oldest_reader: row.try_get("", "oldest_reader")? }))
}

async fn is_there<C: ConnectionTrait>(connection: &C) -> Result<bool, DbErr> {
    let backend = connection.get_database_backend();
    let query = match backend {
        DbBackend::Postgres => "SELECT 1 WHERE to_regclass('schema_version') IS NOT NULL",
        _ => "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'",
    };
    Ok(connection.query_one_raw(Statement::from_string(backend, query)).await?.is_some())
}

/// Records the version, replacing an older one.
pub(crate) async fn put<C: ConnectionTrait>(connection: &C, version: SchemaVersion) -> Result<(), DbErr> {
    let mut id = ColumnDef::new("id");
    let table = Table::create()
        .table("schema_version")
        .if_not_exists()
        .col(id.small_integer().not_null().primary_key().check(Expr::col("id").eq(1)))
        .col(ColumnDef::new("version").integer().not_null())
        .col(ColumnDef::new("oldest_reader").integer().not_null())
        .take();
    connection.execute(&table).await?;
    let row = Query::insert()
        .into_table("schema_version")
        .columns(["id", "version", "oldest_reader"])
        .values_panic([1.into(), version.version.into(), version.oldest_reader.into()])
        .on_conflict(OnConflict::column("id").update_columns(["version", "oldest_reader"]).to_owned())
        .take();
    connection.execute(&row).await?;
    Ok(())
}
