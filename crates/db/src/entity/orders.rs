//! Table `orders`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub project: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub creator: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub order_type: String,
    #[sea_orm(column_type = "Text")]
    pub meta: String,
    #[sea_orm(column_type = "Text")]
    pub status: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub sub_status: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub sub_status_message: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub error_status_code: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub error_reason: Option<String>,
    pub secret_id: Option<Uuid>,
    pub container_id: Option<Uuid>,
    pub charged_secrets: i32,
    pub charged_containers: i32,
    #[sea_orm(column_type = "Text")]
    pub request_id: String,
    pub attempts: i32,
    pub last_attempt: i32,
    pub locked_by: Option<Uuid>,
    pub locked_until: Option<DateTimeUtc>,
    pub next_attempt_at: DateTimeUtc,
    pub deadline_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    #[sea_orm(column_type = "Text", nullable)]
    pub certificate: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub issuance_state: Option<String>,
    pub issued_id: Option<Uuid>,
}

impl ActiveModelBehavior for ActiveModel {}
