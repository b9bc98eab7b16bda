//! Table `secrets`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "secrets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub project: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub creator: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub name: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub secret_type: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub algorithm: Option<String>,
    pub bit_length: Option<i32>,
    #[sea_orm(column_type = "Text", nullable)]
    pub mode: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub content_type: Option<String>,
    pub expires_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    #[sea_orm(unique)]
    pub write_id: Option<Uuid>,
    pub store_id: Option<Uuid>,
    #[sea_orm(column_type = "Blob", nullable)]
    pub reference: Option<Vec<u8>>,
    pub reference_key: Option<Uuid>,
}

impl ActiveModelBehavior for ActiveModel {}
