//! Table `ca_lists`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ca_lists")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub ca_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub generation: i32,
    pub number: i64,
}

impl ActiveModelBehavior for ActiveModel {}
