//! Static tokens as text: `id.secret`.
//!
//! The id is a UUID in its canonical form. The secret is 256 random bits in base64url without
//! padding (RFC 4648, section 5). Only the SHA-256 of those bits is kept.

use bailey_core::access::StaticToken;
use bailey_core::ids::{ProjectId, TokenId, UserId};
use bailey_core::sensitive::SecretText;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const SECRET_BYTES: usize = 32;
/// 36 characters of a UUID, a dot, and 43 that stand for 32 bytes.
const TEXT_BYTES: usize = 36 + 1 + 43;

/// Makes a token: what is to be kept of it, and the text that its bearer shows.
///
/// # Errors
/// When the system has no randomness to give.
pub fn generate(
    user: UserId,
    project: ProjectId,
    roles: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(StaticToken, SecretText), getrandom::Error> {
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(secret.as_mut())?;
    let id = TokenId::new();
    let mut text = String::with_capacity(TEXT_BYTES);
    text.push_str(&id.to_string());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(secret.as_ref(), &mut text);
    let secret_sha256 = digest(&secret);
    Ok((StaticToken { id, secret_sha256, user, project, roles, created_at, expires_at }, SecretText::new(text)))
}

/// Whether the text has the shape of a token, and so can't be anybody else's.
pub(crate) fn has_form(text: &str) -> bool {
    read(text).is_some()
}

/// The id and the digest of the secret, if the text has the shape of a token.
#[must_use]
pub fn read(text: &str) -> Option<(TokenId, [u8; 32])> {
    if text.len() != TEXT_BYTES {
        return None;
    }
    let (id, secret) = text.split_once('.')?;
    let id = id.parse().ok()?;
    // The decoder wants room for what the padding would stand for.
    let mut bytes = Zeroizing::new([0; SECRET_BYTES + 1]);
    let length = URL_SAFE_NO_PAD.decode_slice(secret, bytes.as_mut()).ok()?;
    let secret = bytes.get(..length)?.try_into().ok()?;
    Some((id, digest(secret)))
}

fn digest(secret: &[u8; SECRET_BYTES]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn token() -> (StaticToken, SecretText) {
        let (user, project) = (UserId::new("u").unwrap(), ProjectId::new("p").unwrap());
        generate(user, project, vec!["admin".into()], Utc::now(), None).unwrap()
    }

    #[test]
    fn what_is_made_can_be_read() {
        let (token, text) = token();
        assert_eq!(read(text.expose()), Some((token.id, token.secret_sha256)));
        assert_eq!(text.expose().len(), TEXT_BYTES);
        assert!(text.expose().starts_with(&format!("{}.", token.id)));
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let ((one, _), (other, _)) = (token(), token());
        assert_ne!(one.id, other.id);
        assert_ne!(one.secret_sha256, other.secret_sha256);
    }

    #[test]
    fn only_the_one_form_of_a_token_is_read() {
        let (_, text) = token();
        let (id, secret) = text.expose().split_once('.').unwrap();
        let shifted = format!("{id}{}.{}", &secret[..1], &secret[1..]);
        // The last character stands for four bits and two that must be zero.
        let loose = format!("{id}.{}B", &secret[..42]);
        for other in [
            "",
            ".",
            id,
            &format!("{id}."),
            &format!("{id}:{secret}"),
            &format!("{}.{secret}", id.to_uppercase()),
            &format!("{id}.{secret}="),
            &format!("{id}.{}+", &secret[..42]),
            &format!("{id}.{}é", &secret[..41]),
            &format!(" {id}.{secret}"),
            &shifted,
            &loose,
            &"x".repeat(1 << 20),
        ] {
            assert_eq!(read(other), None, "{} bytes", other.len());
        }
    }
}
