//! Columns as both engines understand them alike.

use sea_orm_migration::prelude::{ColumnDef, Index, IndexCreateStatement, IntoIden, TableCreateStatement};
use sea_orm_migration::sea_orm::DbBackend;

/// Makes columns for one engine.
#[derive(Clone, Copy)]
pub(crate) struct Columns(pub(crate) DbBackend);

impl Columns {
    /// Text that sorts and compares by bytes.
    pub(crate) fn text(self, name: impl IntoIden) -> ColumnDef {
        let mut column = ColumnDef::new(name);
        column.text();
        if self.0 == DbBackend::Postgres {
            column.extra(r#"COLLATE "C""#);
        }
        column
    }

    pub(crate) fn uuid(self, name: impl IntoIden) -> ColumnDef {
        ColumnDef::new(name).uuid().take()
    }

    pub(crate) fn bytes(self, name: impl IntoIden) -> ColumnDef {
        ColumnDef::new(name).blob().take()
    }

    pub(crate) fn time(self, name: impl IntoIden) -> ColumnDef {
        ColumnDef::new(name).timestamp_with_time_zone().take()
    }

    pub(crate) fn flag(self, name: impl IntoIden) -> ColumnDef {
        ColumnDef::new(name).boolean().take()
    }

    pub(crate) fn integer(self, name: impl IntoIden) -> ColumnDef {
        ColumnDef::new(name).integer().take()
    }

    pub(crate) fn count(self, name: impl IntoIden) -> ColumnDef {
        ColumnDef::new(name).big_integer().take()
    }

    /// Keeps a table's rows in its primary key, where the engine can: one tree less to write to.
    pub(crate) fn keyed(self, mut table: TableCreateStatement) -> TableCreateStatement {
        if self.0 == DbBackend::Sqlite {
            table.extra("WITHOUT ROWID");
        }
        table.if_not_exists().take()
    }
}

/// An index over these columns, in this order.
pub(crate) fn index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.if_not_exists().name(name).table(table);
    for column in columns {
        index.col(*column);
    }
    index.take()
}
