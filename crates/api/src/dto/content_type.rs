//! Content types of payloads, as clients are told them.

use bailey_core::spec::ContentType;

/// The type's name in a `Content-Type` header.
#[must_use]
pub const fn name(kind: ContentType) -> &'static str {
    match kind {
        ContentType::TextPlain => "text/plain; charset=UTF-8",
        ContentType::OctetStream => "application/octet-stream",
        ContentType::Pkcs8 => "application/pkcs8",
    }
}
