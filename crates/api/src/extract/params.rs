//! The query string.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use bailey_core::failure::Failure;
use percent_encoding::percent_decode_str;

use crate::error::ApiError;

/// The parameters of a query string, decoded, in their order.
#[derive(Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
    is_malformed: bool,
}

impl Params {
    /// Reads a query string.
    #[must_use]
    pub fn read(query: &str) -> Self {
        let mut params = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => params.pairs.push((name, value)),
                _ => params.is_malformed = true,
            }
        }
        params
    }

    /// The value of a parameter that may be given once; an empty one counts as absent.
    ///
    /// # Errors
    /// `Invalid` when it is repeated, or when the query string is not UTF-8 or contains NUL.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Failure> {
        Ok(self.given(name)?.filter(|value| !value.is_empty()))
    }

    /// The same, with an empty value as a value.
    ///
    /// # Errors
    /// As [`Params::one`].
    pub fn given(&self, name: &str) -> Result<Option<&str>, Failure> {
        if self.is_malformed {
            return Err(Failure::invalid("The query string is not valid UTF-8 without NUL"));
        }
        let mut values = self.pairs.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Failure::invalid(format!("The parameter '{name}' is repeated"))),
            (first, None) => Ok(first.map(|(_, value)| value.as_str())),
        }
    }

    /// The value as an integer; nonsense counts as absent.
    ///
    /// # Errors
    /// As [`Params::one`].
    pub fn integer(&self, name: &str) -> Result<Option<i128>, Failure> {
        Ok(self.one(name)?.and_then(integer))
    }

    /// Whether a parameter is there, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| known == name)
    }

    /// Every parameter but `left_out`, encoded again.
    #[must_use]
    pub fn without(&self, left_out: &[&str]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.pairs.iter().filter(|(name, _)| !left_out.contains(&name.as_str())));
        query.finish()
    }
}

/// An integer as Python's `int` reads it, as far as anyone writes it so; one that is too large for
/// every purpose stays too large.
fn integer(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let limit = if text.starts_with('-') { i128::MIN } else { i128::MAX };
    Some(text.parse().unwrap_or(limit))
}

/// Percent-decoded, `+` as a space; `None` unless that is UTF-8 without NUL.
fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().ok()?;
    (!decoded.contains('\0')).then(|| decoded.into_owned())
}

impl FromRequest for Params {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::read(request.query_string())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parameters_are_decoded_and_kept_in_order() {
        let params = Params::read("limit=1&name=a%2Bb+c&&x&e=%C3%A9&foo=b%20r:");
        assert_eq!(params.one("name").unwrap(), Some("a+b c"));
        assert_eq!(params.one("x").unwrap(), None);
        assert_eq!(params.given("x").unwrap(), Some(""));
        assert_eq!(params.one("absent").unwrap(), None);
        assert!(params.has("x") && !params.has("y"));
        assert_eq!(params.without(&["limit"]), "name=a%2Bb+c&x=&e=%C3%A9&foo=b+r%3A");
    }

    #[test]
    fn repetition_and_malformed_text_are_complaints() {
        assert!(Params::read("limit=1&limit=2").one("limit").is_err());
        assert!(Params::read("x=1&x=2&limit=1").one("limit").is_ok());
        for query in ["a=%ff", "a=%00", "%ff=1"] {
            assert!(Params::read(query).one("limit").is_err(), "{query}");
        }
    }
}
