//! What callers show to be let in.

use bailey_auth::token;

use crate::fixture::texts;

/// A token: no other text is the same one.
pub fn static_token(bytes: &[u8]) -> bool {
    let Some((text, (id, digest))) = std::str::from_utf8(bytes).ok().and_then(|text| Some((text, token::read(text)?)))
    else {
        return false;
    };
    assert!(text.starts_with(&format!("{id}.")), "two texts that mean token {id}");
    for at in 37..text.len() {
        let mut other = text.as_bytes().to_vec();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let read = std::str::from_utf8(&other).ok().and_then(token::read);
        assert_ne!(read, Some((id, digest)), "two texts that mean token {id}");
    }
    true
}

/// What a corpus of tokens begins with.
pub fn static_token_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "0193a5c0-0000-7000-8000-000000000001.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "0193A5C0-0000-7000-8000-000000000001.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "0193a5c0-0000-7000-8000-000000000001.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9",
        "0193a5c0000070008000000000000001.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AAAA",
        "gAAAAABk",
    ])
}
