//! Bytes and text that must not leak: zeroized on drop, never cloned, printed, compared or
//! serialised for humans by accident.

mod setting;
pub mod wire;

use std::fmt;

use zeroize::Zeroizing;

pub use setting::SecretSetting;

/// Secret bytes. Read them only through [`SecretBytes::expose`].
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes over `bytes`; they are wiped when this value is dropped.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. The one way to read them, so that a search finds every place that does.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The same bytes with the lowest bit of each chosen so that the number of ones is odd, as DES
    /// keys have it (FIPS 46-3).
    #[must_use]
    pub fn with_odd_parity(mut self) -> Self {
        for byte in self.0.iter_mut() {
            let is_even = (*byte >> 1).count_ones() % 2 == 0;
            *byte = (*byte & 0xfe) | u8::from(is_even);
        }
        self
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Secret text: a token, a PIN, a passphrase. Read it only through [`SecretText::expose`].
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes over `text`; it is wiped when this value is dropped.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text. The one way to read it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_parity_changes_the_lowest_bits_only() {
        let bytes = SecretBytes::new((0..=255).collect()).with_odd_parity();
        for (before, after) in (0..=255).zip(bytes.expose()) {
            assert_eq!((after.count_ones() % 2, after >> 1), (1, before >> 1));
        }
    }

    #[test]
    fn debug_prints_nothing_of_the_secret() {
        assert_eq!(format!("{:?}", SecretBytes::new(b"canary".to_vec())), "[redacted]");
        assert_eq!(format!("{:?}", SecretText::new("canary".into())), "[redacted]");
    }
}
