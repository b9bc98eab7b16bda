//! JSON bodies, read strictly, without leaving copies of secret text in freed memory.
//!
//! serde_json unescapes strings in a buffer that it never wipes. So it only splits the text here;
//! strings are unescaped into zeroizing memory.

use std::collections::BTreeMap;

use bailey_core::failure::Failure;
use bailey_core::sensitive::SecretText;
use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// How deep arrays and objects may be nested.
const MAX_DEPTH: usize = 64;

/// A JSON value. Strings are trimmed, as the contract wants all of them; of equal keys the last wins.
#[derive(Debug)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that a double can hold, and as it was written.
    Number { value: f64, text: Box<str> },
    /// A string.
    Text(SecretText),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// `Invalid` when the bytes are not UTF-8 or not JSON, when a number is out of range, when a
    /// string contains NUL or half of a surrogate pair, or when the nesting is too deep.
    pub fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(bytes).map_err(|_| Failure::invalid("The body is not valid UTF-8"))?;
        value(split(text)?, MAX_DEPTH)
    }

    /// A copy in ordinary memory: for what is no secret.
    #[must_use]
    pub fn disclose(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Number { value, text } => serde_json::from_str(text).unwrap_or_else(|_| Value::from(*value)),
            Self::Text(text) => Value::String(text.expose().to_owned()),
            Self::List(items) => items.iter().map(Self::disclose).collect(),
            Self::Object(fields) => fields.iter().map(|(key, field)| (key.clone(), field.disclose())).collect(),
        }
    }
}

fn malformed() -> Failure {
    Failure::invalid("The body is not valid JSON")
}

fn split<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|_| malformed())
}

fn value(raw: &RawValue, depth: usize) -> Result<Json, Failure> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'n') => Ok(Json::Null),
        Some(first @ (b't' | b'f')) => Ok(Json::Bool(*first == b't')),
        Some(b'"') => string(text).map(Json::Text),
        Some(b'[' | b'{') if depth == 0 => Err(Failure::invalid("The body is nested too deeply")),
        Some(b'[') => {
            let items: Vec<&RawValue> = split(text)?;
            items.into_iter().map(|item| value(item, depth - 1)).collect::<Result<_, _>>().map(Json::List)
        }
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = split(text)?;
            fields
                .into_iter()
                .map(|(key, field)| Ok((without_nul(key)?, value(field, depth - 1)?)))
                .collect::<Result<_, _>>()
                .map(Json::Object)
        }
        _ => number(text),
    }
}

fn without_nul(key: String) -> Result<String, Failure> {
    if key.contains('\0') { Err(nul()) } else { Ok(key) }
}

fn nul() -> Failure {
    Failure::invalid("A string in the body contains a NUL character")
}

fn number(text: &str) -> Result<Json, Failure> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Json::Number { value, text: text.into() }),
        _ => Err(Failure::invalid("A number in the body is out of range")),
    }
}

/// Unescapes and trims a quoted string.
fn string(quoted: &str) -> Result<SecretText, Failure> {
    let mut rest = quoted.get(1..quoted.len() - 1).ok_or_else(malformed)?;
    let mut text = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (character, length) = unescape(&rest[at + 1..]).ok_or_else(malformed)?;
        text.push(character);
        rest = &rest[at + 1 + length..];
    }
    text.push_str(rest);
    if text.contains('\0') {
        return Err(nul());
    }
    let end = text.trim_end_matches(is_blank).len();
    text.truncate(end);
    let start = text.len() - text.trim_start_matches(is_blank).len();
    text.drain(..start);
    Ok(SecretText::new(std::mem::take(&mut *text)))
}

/// What Python's `str.strip` takes for white space: Unicode's, and the four separators of ASCII.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// The character that the text after a backslash stands for, and how many bytes of it that took.
fn unescape(text: &str) -> Option<(char, usize)> {
    let simple = match text.as_bytes().first()? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return unescape_unicode(text),
        other => char::from(*other),
    };
    Some((simple, 1))
}

/// `uXXXX`, or a surrogate pair `uXXXX\uXXXX` (RFC 8259, section 7).
fn unescape_unicode(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| u16::from_str_radix(text.get(at..at + 4)?, 16).ok();
    let first = unit(1)?;
    if let Some(character) = char::from_u32(u32::from(first)) {
        return Some((character, 5));
    }
    (text.get(5..7)? == "\\u").then_some(())?;
    let character = char::decode_utf16([first, unit(7)?]).next()?.ok()?;
    Some((character, 11))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    fn text(body: &str) -> String {
        match Json::read(body.as_bytes()).unwrap() {
            Json::Text(text) => text.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn strings_are_unescaped_and_trimmed() {
        let cases = [
            (r#""plain""#, "plain"),
            (r#""  a b \n""#, "a b"),
            (r#""\u001c\u00a0x\u2003""#, "x"),
            (r#""a\"\\\/\b\f\n\r\tb""#, "a\"\\/\u{8}\u{c}\n\r\tb"),
            (r#""\u00fcn\u00EF""#, "ünï"),
            (r#""\ud83d\ude00!""#, "😀!"),
            ("\"-----BEGIN\\nA\\n-----END\"", "-----BEGIN\nA\n-----END"),
        ];
        for (body, expected) in cases {
            assert_eq!(text(body), expected, "{body}");
        }
    }

    #[test]
    fn what_is_not_json_or_out_of_bounds_is_invalid() {
        let cases: [&[u8]; 16] = [
            b"",
            b"{",
            b"{\"a\":1}x",
            b"{'a':1}",
            b"{\"a\":NaN}",
            b"{\"a\":1e999}",
            b"\"\\ud800\"",
            b"\"\\ud800\\u0041\"",
            b"\"\\x\"",
            b"\"a\nb\"",
            b"\"a\\u0000b\"",
            b"{\"a\\u0000\":1}",
            b"{\"x\":[{\"y\":\"\\u0000\"}]}",
            b"\"\xff\"",
            b"\xef\xbb\xbf{}",
            b"[1,]",
        ];
        for body in cases {
            let failure = Json::read(body).unwrap_err();
            assert_eq!(failure.kind, bailey_core::failure::FailureKind::Invalid, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::read(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(Json::read(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(Json::read(nested(30_000).as_bytes()).is_err());
    }

    #[test]
    fn what_is_disclosed_is_what_was_written_trimmed() {
        let body = r#"{"b":[true,false,null,{"x":" y "}],"i":18446744073709551615,"f":256.0,"n":-3}"#;
        let expected = r#"{"b":[true,false,null,{"x":"y"}],"f":256.0,"i":18446744073709551615,"n":-3}"#;
        assert_eq!(Json::read(body.as_bytes()).unwrap().disclose().to_string(), expected);
    }

    #[test]
    fn of_equal_keys_the_last_wins() {
        let Json::Object(fields) = Json::read(br#"{"a":1,"a":"x","\u0061":null}"#).unwrap() else {
            panic!("no object")
        };
        assert!(matches!(fields.get("a"), Some(Json::Null)));
        assert_eq!(fields.len(), 1);
    }
}
