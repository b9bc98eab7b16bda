//! Table `container_secrets`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "container_secrets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub container_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    pub secret_id: Uuid,
    #[sea_orm(column_type = "Text", nullable)]
    pub name: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
