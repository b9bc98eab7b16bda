//! The files as text: `ID STATE KIND:KEY psk:KEY` per line, `#` begins a comment.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use bailey_core::ids::QueueKeyId;
use bailey_core::keyring::KeySourceError;
use bailey_core::sensitive::{SecretBytes, SecretText};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{ApiKey, ApiKeys, KEY_LENGTH, WorkerKey, WorkerKeys, private_key};

const WORKER_HEADER: &str = "\
# Keys of Bailey's queue, for workers: version, state, X25519 private key, pre-shared key. Whoever has them
# reads what is asked and answered.
";
const API_HEADER: &str = "\
# Keys of Bailey's queue, for APIs: version, state, X25519 public key, pre-shared key.
";

/// One line, whoever's it is.
struct Line {
    id: QueueKeyId,
    is_active: bool,
    key: SecretBytes,
    psk: SecretBytes,
}

impl WorkerKeys {
    /// Reads a worker's key file.
    ///
    /// # Errors
    /// Names the line that is wrong, and quotes nothing of it.
    pub fn parse(text: &str) -> Result<Self, KeySourceError> {
        let keys = lines(text, "private:", "public:", "an API's: workers have one of their own")?;
        let key = |(id, Line { is_active, key, psk, .. })| {
            private_key(&key)?;
            Ok((id, WorkerKey { is_active, private: Arc::new(key), psk: Arc::new(psk) }))
        };
        keys.into_iter().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// The text of the key file.
    #[must_use]
    pub fn to_text(&self) -> SecretText {
        let lines = self.0.iter().map(|(id, key)| (*id, key.is_active, "private:", key.private.expose(), &*key.psk));
        write(WORKER_HEADER, lines)
    }
}

impl ApiKeys {
    /// Reads an API's key file.
    ///
    /// # Errors
    /// Names the line that is wrong, and quotes nothing of it. A worker's key file is refused: an API must
    /// not have it.
    pub fn parse(text: &str) -> Result<Self, KeySourceError> {
        let keys = lines(text, "public:", "private:", "a worker's: an API must not have it")?;
        let key = |(id, Line { is_active, key, psk, .. }): (_, Line)| {
            let public = <[u8; KEY_LENGTH]>::try_from(key.expose()).ok()?;
            Some((id, ApiKey { is_active, public, psk: Arc::new(psk) }))
        };
        let keys = Self(keys.into_iter().filter_map(key).collect());
        if keys.active().is_none() {
            return Err(KeySourceError("the queue's key file has no active version".to_owned()));
        }
        Ok(keys)
    }

    /// The text of the key file.
    #[must_use]
    pub fn to_text(&self) -> SecretText {
        let lines = self.0.iter().map(|(id, key)| (*id, key.is_active, "public:", key.public.as_slice(), &*key.psk));
        write(API_HEADER, lines)
    }
}

fn lines(
    text: &str,
    kind: &str,
    other_kind: &str,
    other_meaning: &str,
) -> Result<BTreeMap<QueueKeyId, Line>, KeySourceError> {
    let mut keys = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |what: &str| KeySourceError(format!("the queue's key file, line {}: {what}", index + 1));
        if line.contains(other_kind) {
            return Err(wrong(&format!("this key file is {other_meaning}")));
        }
        let line = parse(line, kind).ok_or_else(|| wrong(&format!("not `ID STATE {kind}KEY psk:KEY`")))?;
        if keys.insert(line.id, line).is_some() {
            return Err(wrong("a version that was there before"));
        }
    }
    if keys.is_empty() {
        return Err(KeySourceError("the queue's key file has no key".to_owned()));
    }
    Ok(keys)
}

fn parse(line: &str, kind: &str) -> Option<Line> {
    let mut words = line.split_whitespace();
    let (id, state, key, psk) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let is_active = match state {
        "active" => true,
        "accepted" => false,
        _ => return None,
    };
    let read = |word: &str, kind: &str| {
        let bytes = SecretBytes::new(STANDARD.decode(word.strip_prefix(kind)?).ok()?);
        (bytes.len() == KEY_LENGTH).then_some(bytes)
    };
    let line = Line { id: id.parse().ok()?, is_active, key: read(key, kind)?, psk: read(psk, "psk:")? };
    words.next().is_none().then_some(line)
}

fn write<'a>(
    header: &str,
    keys: impl Iterator<Item = (QueueKeyId, bool, &'static str, &'a [u8], &'a SecretBytes)>,
) -> SecretText {
    let keys: Vec<_> = keys.collect();
    // So long that the text never moves and leaves a copy behind.
    let mut text = String::with_capacity(header.len() + keys.len() * 256);
    text.push_str(header);
    for (id, is_active, kind, key, psk) in keys {
        let state = if is_active { "active" } else { "accepted" };
        let _ = write!(text, "{id} {state} {kind}");
        STANDARD.encode_string(key, &mut text);
        text.push_str(" psk:");
        STANDARD.encode_string(psk.expose(), &mut text);
        text.push('\n');
    }
    SecretText::new(text)
}
