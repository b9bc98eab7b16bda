//! Table `writes`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "writes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub write_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub state: String,
}

impl ActiveModelBehavior for ActiveModel {}
