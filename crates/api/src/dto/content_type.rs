//! Content types of payloads, as clients may write them.

use bailey_core::spec::ContentType;

/// The normalised content type, or `None` if payloads can't have it.
///
/// Case doesn't matter; the first parameter, whatever its name, may only have the value `utf-8`;
/// later ones are ignored.
#[must_use]
pub fn normalise(given: &str) -> Option<ContentType> {
    let mut parts = given.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    if let Some(parameter) = parts.next() {
        let (_, charset) = parameter.split_once('=')?;
        charset.trim().eq_ignore_ascii_case("utf-8").then_some(())?;
    }
    media_type.parse().ok()
}

/// The type's name in a `Content-Type` header.
#[must_use]
pub const fn name(kind: ContentType) -> &'static str {
    match kind {
        ContentType::TextPlain => "text/plain; charset=UTF-8",
        ContentType::OctetStream => "application/octet-stream",
        ContentType::Pkcs8 => "application/pkcs8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_normalised_as_the_contract_says() {
        let (text, octets, pkcs8) =
            (Some(ContentType::TextPlain), Some(ContentType::OctetStream), Some(ContentType::Pkcs8));
        let cases = [
            ("text/plain", text),
            ("TEXT/Plain", text),
            ("text/plain;charset=utf-8", text),
            ("text/plain ; charset = UTF-8", text),
            ("text/plain; charset=utf-8; format=flowed", text),
            ("application/octet-stream", octets),
            ("Application/Octet-Stream;charset=utf-8", octets),
            ("application/pkcs8", pkcs8),
            ("text/plain;charset=utf-88", None),
            ("text/plain; charset=latin-1", None),
            ("text/plain; charset", None),
            ("text/plain;", None),
            ("application/aes", None),
            ("text", None),
            ("text/", None),
            ("", None),
        ];
        for (given, expected) in cases {
            assert_eq!(normalise(given), expected, "{given}");
        }
    }
}
