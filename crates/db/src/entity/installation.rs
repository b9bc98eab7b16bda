//! Table `installation`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "installation")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    pub deployment_id: Uuid,
    pub epoch: i64,
    pub accepted_epoch: i64,
    pub admin_token_made: bool,
    pub created_at: DateTimeUtc,
    pub restored_at: Option<DateTimeUtc>,
    pub destruction_held_until: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
