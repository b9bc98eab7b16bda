//! What a revocation says.

use bailey_core::ca::RevocationReason;
use bailey_core::failure::Failure;
use utoipa::ToSchema;

use crate::dto::fields::Fields;
use crate::extract::body::Body;

/// Why a certificate is revoked.
#[derive(ToSchema)]
#[schema(as = Revocation)]
pub struct RevocationBody {
    /// One of RFC 5280: `unspecified`, `keyCompromise`, `cACompromise`, `affiliationChanged`, `superseded`,
    /// `cessationOfOperation`, `privilegeWithdrawn`.
    #[expect(dead_code, reason = "the fields are read one by one; this is what the document says of them")]
    #[schema(default = "unspecified")]
    reason: Option<String>,
}

/// Reads the body.
///
/// # Errors
/// `UnsupportedMedia`, then `Invalid` with every bad field.
pub fn read(body: Body) -> Result<RevocationReason, Failure> {
    let mut fields = Fields::open("Revocation", body.json()?)?;
    let given = fields.nullable_label("reason");
    let reason = match given.as_deref().map(str::parse) {
        None => RevocationReason::Unspecified,
        Some(Ok(reason)) => reason,
        Some(Err(_)) => {
            fields.complain("reason", "must be one that RFC 5280 knows, such as keyCompromise");
            RevocationReason::Unspecified
        }
    };
    fields.close()?;
    Ok(reason)
}
