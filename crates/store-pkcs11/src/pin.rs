//! The PIN: where it stands, and which one was refused.

use std::fmt;
use std::sync::Arc;

use bailey_core::sensitive::SecretText;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;

use crate::error::{Failure, Fault, Operation};

/// A PIN as configured: itself, `file:PATH` or `env:NAME`.
///
/// What it refers to is read at each login, so that a PIN that was changed in both places, token and file, is
/// found without a restart.
#[derive(Clone)]
pub struct Pin(Arc<SecretText>);

impl Pin {
    /// Takes the PIN or where it stands.
    #[must_use]
    pub fn new(configured: String) -> Self {
        Self(Arc::new(SecretText::new(configured)))
    }

    /// Whether nothing is configured.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.0.expose().is_empty()
    }

    /// The PIN itself, as it is now.
    ///
    /// # Errors
    /// `Pin` when what it refers to can't be read or is empty; never tells the PIN.
    pub fn read(&self) -> Result<SecretText, Failure> {
        let configured = self.0.expose();
        let refused = |context: String| Failure::new(Operation::LogIn, Fault::Pin, context);
        let pin = if let Some(file) = configured.strip_prefix("file:") {
            let text = std::fs::read_to_string(file).map(SecretText::new);
            text.map_err(|error| refused(format!("{file}, where the PIN should be, can't be read: {error}")))?
        } else if let Some(name) = configured.strip_prefix("env:") {
            let text = std::env::var(name).map(SecretText::new);
            text.map_err(|_| refused(format!("the environment has no {name}, where the PIN should be")))?
        } else {
            SecretText::new(configured.to_owned())
        };
        match pin.expose().trim() {
            "" => Err(refused("there is no PIN: set `pin` of the store".to_owned())),
            trimmed => Ok(SecretText::new(trimmed.to_owned())),
        }
    }
}

impl Default for Pin {
    fn default() -> Self {
        Self::new(String::new())
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Pin {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose().as_bytes().ct_eq(other.0.expose().as_bytes()).into()
    }
}

/// Blank where people read it; itself on the way to a child process.
impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let told = if serializer.is_human_readable() { "" } else { self.0.expose() };
        serializer.serialize_str(told)
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// A PIN that a token refused, with what the token said about its PIN afterwards.
pub(crate) struct RefusedPin {
    pub(crate) pin: SecretText,
    pub(crate) flags: PinFlags,
}

impl RefusedPin {
    /// Whether presenting `pin` would be the same mistake again: the same PIN, and nobody logged in or set
    /// the PIN since, which is when a token takes its warnings back.
    pub(crate) fn is_same(&self, pin: &SecretText, flags: PinFlags) -> bool {
        let is_equal: bool = self.pin.expose().as_bytes().ct_eq(pin.expose().as_bytes()).into();
        let is_pardoned = self.flags.warns() && !flags.warns();
        is_equal && !is_pardoned
    }
}

/// What a token says about its user PIN (PKCS#11 3.1, section 3.3, `CKF_USER_PIN_…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PinFlags {
    pub(crate) count_low: bool,
    pub(crate) final_try: bool,
    pub(crate) locked: bool,
}

impl PinFlags {
    const fn warns(self) -> bool {
        self.count_low || self.final_try || self.locked
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const CALM: PinFlags = PinFlags { count_low: false, final_try: false, locked: false };
    const LOW: PinFlags = PinFlags { count_low: true, ..CALM };

    fn text(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    #[test]
    fn a_refused_pin_stays_refused_until_it_or_the_tokens_word_changes() {
        let refused = RefusedPin { pin: text("1234"), flags: LOW };
        assert!(refused.is_same(&text("1234"), LOW));
        assert!(refused.is_same(&text("1234"), PinFlags { locked: true, ..LOW }));
        assert!(!refused.is_same(&text("12345"), LOW));
        assert!(!refused.is_same(&text("1234"), CALM), "somebody logged in or set the PIN since");
        // A token that never warns says nothing by not warning.
        assert!(RefusedPin { pin: text("1234"), flags: CALM }.is_same(&text("1234"), CALM));
    }

    #[test]
    fn a_pin_is_read_where_it_stands() {
        let file = std::env::temp_dir().join(format!("bailey-pin-{}", uuid::Uuid::now_v7()));
        std::fs::write(&file, "1234\n").unwrap();
        let pin = Pin::new(format!("file:{}", file.display()));
        assert_eq!(pin.read().unwrap().expose(), "1234");
        std::fs::write(&file, " \n").unwrap();
        assert!(pin.read().is_err());
        std::fs::remove_file(&file).unwrap();
        let told = format!("{:?}", pin.read().unwrap_err());
        assert!(told.contains("can't be read"), "{told}");
        assert!(Pin::new("env:BAILEY_NO_SUCH_VARIABLE".into()).read().is_err());
        assert_eq!(Pin::new("5678".into()).read().unwrap().expose(), "5678");
    }

    #[test]
    fn a_pin_is_never_printed() {
        let pin = Pin::new("canary".into());
        assert_eq!(format!("{pin:?}"), "[redacted]");
        assert_eq!(serde_json::to_string(&pin).unwrap(), "\"\"");
    }
}
