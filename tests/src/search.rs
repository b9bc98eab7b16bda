//! Searching what Bailey leaves behind for what must not be in it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Bytes to search in: a dump, a log, an answer.
#[derive(Debug)]
pub struct Haystack {
    name: String,
    /// One character a byte, so that the standard library's fast search can be used.
    text: String,
    folded: String,
}

impl Haystack {
    /// Takes the bytes to search in.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: &[u8]) -> Self {
        let text = as_text(bytes);
        Self { name: name.into(), folded: text.to_ascii_lowercase(), text }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The first form in which `bytes` are in here: raw, hex, or base64 of something they are part of.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<&'static str> {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let forms = base64_forms(bytes);
        if self.text.contains(&as_text(bytes)) {
            Some("raw")
        } else if self.folded.contains(&hex) {
            Some("hex")
        } else if forms.iter().any(|form| self.text.contains(form)) {
            Some("base64")
        } else {
            None
        }
    }

    /// The same with `bytes` put into the middle.
    #[must_use]
    pub fn with(&self, bytes: &[u8]) -> Self {
        let (before, after) = self.text.split_at(self.text.ceil_char_boundary(self.text.len() / 2));
        let text = format!("{before}{}{after}", as_text(bytes));
        Self { name: self.name.clone(), folded: text.to_ascii_lowercase(), text }
    }

    /// Fails unless each form of a planted value would be found.
    ///
    /// # Panics
    /// When one isn't.
    pub fn prove(&self, planted: &[u8]) {
        assert_eq!(self.find(planted), None, "{}: already there", self.name);
        let hex: String = planted.iter().map(|byte| format!("{byte:02X}")).collect();
        let mut forms = vec![(planted.to_vec(), "raw"), (hex.into_bytes(), "hex")];
        for before in ["", "a", "ab"] {
            let around = [before.as_bytes(), planted, b"z"].concat();
            forms.push((STANDARD_NO_PAD.encode(&around).into_bytes(), "base64"));
            forms.push((URL_SAFE_NO_PAD.encode(&around).into_bytes(), "base64"));
        }
        for (form, kind) in forms {
            assert_eq!(self.with(&form).find(planted), Some(kind), "{}", self.name);
        }
    }
}

fn as_text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// What is always part of the base64 of bytes that contain these, wherever they begin: in both
/// alphabets, without the characters that depend on the neighbours.
fn base64_forms(bytes: &[u8]) -> Vec<String> {
    let at = |skipped: usize| {
        let shifted = &bytes[skipped..];
        &shifted[..shifted.len() / 3 * 3]
    };
    (0..3).flat_map(|skipped| [STANDARD_NO_PAD.encode(at(skipped)), URL_SAFE_NO_PAD.encode(at(skipped))]).collect()
}
