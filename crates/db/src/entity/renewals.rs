//! Table `renewals`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "renewals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub container_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub project: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub creator: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub meta: String,
    #[sea_orm(column_type = "Text")]
    pub certificate: String,
    pub expires_at: DateTimeUtc,
    pub due_at: DateTimeUtc,
    pub order_id: Option<Uuid>,
    pub failures: i32,
    #[sea_orm(column_type = "Blob", nullable)]
    pub issued: Option<Vec<u8>>,
    pub ask_at: Option<DateTimeUtc>,
    pub failed_order_id: Option<Uuid>,
}

impl ActiveModelBehavior for ActiveModel {}
