//! Table `order_inputs`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "order_inputs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub name: String,
    #[sea_orm(column_type = "Text")]
    pub project: String,
    pub secret_id: Uuid,
    #[sea_orm(unique)]
    pub write_id: Uuid,
    pub store_id: Uuid,
    #[sea_orm(column_type = "Blob")]
    pub reference: Vec<u8>,
    pub reference_key: Uuid,
    #[sea_orm(column_type = "Text")]
    pub content_type: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
