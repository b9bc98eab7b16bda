//! Table `deletions`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deletions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub write_id: Uuid,
    pub store_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub project: String,
    pub secret_id: Uuid,
    #[sea_orm(column_type = "Blob")]
    pub reference: Vec<u8>,
    pub reference_key: Uuid,
    pub attempts: i32,
    pub next_attempt_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
