//! Table `project_counters`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "project_counters")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub project: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub resource: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub slot: i32,
    pub live: i64,
}

impl ActiveModelBehavior for ActiveModel {}
