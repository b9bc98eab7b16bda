//! The migrated schema and the entities must say the same.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use bailey_migrations::{Schema as Which, migrate};
use bailey_sql::{Config, Db};
use bailey_testkit::postgres::Postgres;
use sea_orm::sea_query::TableCreateStatement;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Schema, Statement};

use crate::entity;

/// Tables that belong to the migrations themselves.
const BOOKKEEPING: [&str; 2] = ["schema_version", "seaql_migrations"];

/// Table, column -> type, nullability, place in the primary key or not.
type Shape = BTreeMap<(String, String), (String, bool, bool)>;

fn tables(schema: &Schema) -> Vec<TableCreateStatement> {
    vec![
        schema.create_table_from_entity(entity::acl_users::Entity),
        schema.create_table_from_entity(entity::acls::Entity),
        schema.create_table_from_entity(entity::ca_certificates::Entity),
        schema.create_table_from_entity(entity::ca_challenges::Entity),
        schema.create_table_from_entity(entity::ca_keys::Entity),
        schema.create_table_from_entity(entity::ca_lists::Entity),
        schema.create_table_from_entity(entity::ca_revocations::Entity),
        schema.create_table_from_entity(entity::cas::Entity),
        schema.create_table_from_entity(entity::container_consumers::Entity),
        schema.create_table_from_entity(entity::container_secrets::Entity),
        schema.create_table_from_entity(entity::containers::Entity),
        schema.create_table_from_entity(entity::deletions::Entity),
        schema.create_table_from_entity(entity::idempotency_keys::Entity),
        schema.create_table_from_entity(entity::installation::Entity),
        schema.create_table_from_entity(entity::order_inputs::Entity),
        schema.create_table_from_entity(entity::orders::Entity),
        schema.create_table_from_entity(entity::preferred_cas::Entity),
        schema.create_table_from_entity(entity::project_cas::Entity),
        schema.create_table_from_entity(entity::project_counters::Entity),
        schema.create_table_from_entity(entity::project_quotas::Entity),
        schema.create_table_from_entity(entity::project_stores::Entity),
        schema.create_table_from_entity(entity::queue_messages::Entity),
        schema.create_table_from_entity(entity::notices::Entity),
        schema.create_table_from_entity(entity::renewals::Entity),
        schema.create_table_from_entity(entity::retired_reference_keys::Entity),
        schema.create_table_from_entity(entity::secret_consumers::Entity),
        schema.create_table_from_entity(entity::secret_metadata::Entity),
        schema.create_table_from_entity(entity::secrets::Entity),
        schema.create_table_from_entity(entity::static_tokens::Entity),
        schema.create_table_from_entity(entity::stores::Entity),
        schema.create_table_from_entity(entity::transport_keys::Entity),
        schema.create_table_from_entity(entity::writes::Entity),
    ]
}

const SQLITE: &str = "SELECT t.name, c.name, lower(c.type), c.\"notnull\" = 0 AND c.pk = 0, c.pk > 0 \
     FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'";
const POSTGRES: &str = "SELECT CAST(c.table_name AS text), CAST(c.column_name AS text), CAST(c.data_type AS text), \
     c.is_nullable = 'YES', EXISTS (SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid \
     AND a.attnum = ANY (i.indkey) WHERE i.indisprimary AND i.indrelid = CAST(c.table_name AS regclass) \
     AND a.attname = c.column_name) FROM information_schema.columns c WHERE c.table_schema = 'public'";

async fn shape(connection: &DatabaseConnection) -> Shape {
    let backend = connection.get_database_backend();
    let sql = if backend == DbBackend::Postgres { POSTGRES } else { SQLITE };
    let rows = connection.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    rows.iter()
        .map(|row| {
            let column = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
            let bare =
                (row.try_get_by_index(2).unwrap(), row.try_get_by_index(3).unwrap(), row.try_get_by_index(4).unwrap());
            (column, bare)
        })
        .filter(|((table, _), _): &((String, String), _)| !BOOKKEEPING.contains(&table.as_str()))
        .collect()
}

async fn compare(migrated: &str, described: &str) {
    let migrated = Db::connect(&Config::new(migrated)).await.unwrap();
    migrate(Which::Metadata, migrated.schema_connection()).await.unwrap();
    let described = Db::connect(&Config::new(described)).await.unwrap();
    let connection = described.schema_connection();
    for table in tables(&Schema::new(connection.get_database_backend())) {
        connection.execute(&table).await.unwrap();
    }
    let (migrated, described) = (shape(migrated.schema_connection()).await, shape(connection).await);
    let tables = |shape: &Shape| shape.keys().map(|(table, _)| table.clone()).collect::<BTreeSet<_>>();
    assert_eq!(tables(&migrated), tables(&described));
    for (column, said) in &described {
        assert_eq!(migrated.get(column), Some(said), "{column:?}");
    }
    assert_eq!(migrated.len(), described.len(), "a column without an entity's field");
}

#[tokio::test]
async fn entities_describe_the_schema_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite://{}/{name}.db", folder.path().display());
    compare(&url("migrated"), &url("described")).await;
}

#[tokio::test]
async fn entities_describe_the_schema_on_postgres() {
    let server = tokio::task::spawn_blocking(|| Postgres::shared().unwrap()).await.unwrap();
    compare(&server.create_database().unwrap(), &server.create_database().unwrap()).await;
}
