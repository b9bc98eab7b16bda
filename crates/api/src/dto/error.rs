//! The two shapes of errors.

use actix_web::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::title;

/// An error of the API.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error, example = json!({"code": 404, "title": "Not Found", "description": "Secret not found."}))]
pub struct ErrorBody {
    /// The HTTP status.
    code: u16,
    /// What the status means.
    title: &'static str,
    /// What is wrong; null when there is nothing to add.
    description: Option<String>,
}

impl ErrorBody {
    /// The body for `status`.
    #[must_use]
    pub fn new(status: StatusCode, description: Option<String>) -> Self {
        Self { code: status.as_u16(), title: title(status), description }
    }
}

/// An error told before the API proper is reached: about identity or microversion.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EarlyError, example = json!({
    "message": "The token is not valid", "code": "401 Unauthorized", "title": "Unauthorized",
}))]
pub struct EarlyErrorBody {
    /// What is wrong.
    message: String,
    /// The HTTP status with its meaning.
    code: String,
    /// What the status means.
    title: &'static str,
}

impl EarlyErrorBody {
    /// The body for `status`.
    #[must_use]
    pub fn new(status: StatusCode, message: &str) -> Self {
        let title = title(status);
        Self { message: message.to_owned(), code: format!("{} {title}", status.as_u16()), title }
    }
}
