//! One unambiguous encoding for everything that is authenticated: associated data and MAC inputs.

/// Builds `domain string, format version, then length-prefixed fields`.
///
/// The domain is length-prefixed like a field; every length is four bytes, big-endian. Two
/// different lists of fields never give the same bytes.
#[derive(Debug, Clone)]
pub struct Context(Vec<u8>);

impl Context {
    /// Begins with a domain, such as `bailey payload`, and the version of the format.
    #[must_use]
    pub fn new(domain: &str, version: u8) -> Self {
        let mut context = Self(Vec::with_capacity(192)).field(domain.as_bytes());
        context.0.push(version);
        context
    }

    /// Appends one field.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a UUID as its 16 bytes.
    #[must_use]
    pub fn uuid(self, uuid: uuid::Uuid) -> Self {
        self.field(uuid.as_bytes())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Context;

    #[test]
    fn moving_a_byte_between_fields_changes_the_bytes() {
        let context =
            |a: &str, b: &str| Context::new("d", 1).field(a.as_bytes()).field(b.as_bytes()).as_bytes().to_vec();
        assert_ne!(context("ab", "c"), context("a", "bc"));
        assert_ne!(Context::new("d", 1).as_bytes(), Context::new("d", 2).as_bytes());
        assert_eq!(context("a", ""), [0, 0, 0, 1, b'd', 1, 0, 0, 0, 1, b'a', 0, 0, 0, 0]);
    }
}
