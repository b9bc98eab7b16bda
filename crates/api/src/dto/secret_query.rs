//! A question for a list of secrets, from the query string.

use bailey_core::failure::Failure;
use bailey_core::secret::{Comparison, Direction, PageRequest, SecretFilter, SecretQuery, SecretSortKey, TimeFilter};
use percent_encoding::percent_decode_str;
use utoipa::IntoParams;

use crate::config::Limits;
use crate::dto::time;
use crate::extract::params::Params;

/// The parameters of `GET /v1/secrets`. None is ever malformed but times, orders and what is repeated.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters in the OpenAPI document; they are read by hand")]
pub struct SecretListParams {
    /// Most secrets on the page; nonsense counts as the default.
    limit: Option<String>,
    /// How many secrets to leave out first; nonsense counts as 0.
    offset: Option<String>,
    /// LIKE pattern on the name, with `%` and `_`; percent-decoded once more.
    name: Option<String>,
    /// LIKE pattern on the algorithm.
    alg: Option<String>,
    /// LIKE pattern on the mode.
    mode: Option<String>,
    /// The bit length; nonsense is ignored.
    bits: Option<String>,
    /// The type; an unknown one matches nothing.
    secret_type: Option<String>,
    /// `true`: secrets of any project whose ACL names the caller.
    acl_only: Option<String>,
    /// Times of ISO 8601 with `gt:`, `gte:`, `lt:`, `lte:` or nothing before each.
    #[param(example = "gt:2030-01-01,lt:2031-01-01")]
    created: Option<String>,
    /// As `created`.
    #[param(example = "gte:2030-01-01")]
    updated: Option<String>,
    /// As `created`.
    #[param(example = "lt:2031-01-01")]
    expiration: Option<String>,
    /// Keys with `:asc`, `:desc` or nothing behind each: algorithm, bit_length, created, expiration, mode,
    /// name, secret_type, status, updated.
    #[param(example = "name:asc,created:desc")]
    sort: Option<String>,
}

/// Reads the query string of `GET /v1/secrets`.
///
/// # Errors
/// `Invalid` for a repeated parameter, a bad time or a bad order; a bad `limit`, `offset` or `bits`
/// is no error.
pub fn read(params: &Params, limits: &Limits) -> Result<SecretQuery, Failure> {
    let text = |name| Ok::<_, Failure>(params.one(name)?.map(str::to_owned));
    let filter = SecretFilter {
        name: params.one("name")?.map(decode_again).transpose()?,
        algorithm: text("alg")?,
        mode: text("mode")?,
        bit_length: params.one("bits")?.and_then(integer).filter(|bits| *bits > 0).map(clamp_bits),
        secret_type: text("secret_type")?,
        created: times("created", params.one("created")?)?,
        updated: times("updated", params.one("updated")?)?,
        expiration: times("expiration", params.one("expiration")?)?,
    };
    for name in ["limit", "offset"] {
        params.one(name)?;
    }
    Ok(SecretQuery {
        filter,
        sort: order(params.one("sort")?.unwrap_or_default())?,
        page: page(params, limits),
        acl_only: params.one("acl_only")?.is_some_and(|value| value.eq_ignore_ascii_case("true")),
    })
}

/// The page asked for; nonsense counts as nothing said.
#[must_use]
pub fn page(params: &Params, limits: &Limits) -> PageRequest {
    let number = |name| params.one(name).ok().flatten().and_then(integer);
    let clamp = |limit: i128| u64::try_from(limit.max(1)).unwrap_or(u64::MAX).min(limits.page_max);
    let offset = number("offset").and_then(|offset| i64::try_from(offset).ok());
    PageRequest {
        limit: number("limit").map_or(limits.page_default, clamp).max(1),
        offset: offset.and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0),
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

/// More bits than any secret has match nothing.
fn clamp_bits(bits: i128) -> i32 {
    i32::try_from(bits).unwrap_or(i32::MAX)
}

/// Names are decoded once more than the other parameters, `+` included.
fn decode_again(name: &str) -> Result<String, Failure> {
    let name = percent_decode_str(&name.replace('+', " ")).decode_utf8_lossy().into_owned();
    if name.contains('\0') { Err(Failure::invalid("The parameter 'name' contains NUL")) } else { Ok(name) }
}

fn order(text: &str) -> Result<Vec<(SecretSortKey, Direction)>, Failure> {
    let invalid = || Failure::invalid("The parameter 'sort' is not a list of 'key' or 'key:asc' or 'key:desc'");
    let mut order: Vec<(SecretSortKey, Direction)> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (key, direction) = match part.split_once(':') {
            None | Some((_, "asc")) => (part.strip_suffix(":asc").unwrap_or(part), Direction::Ascending),
            Some((key, "desc")) => (key, Direction::Descending),
            Some(_) => return Err(invalid()),
        };
        let key = sort_key(key).ok_or_else(invalid)?;
        if order.iter().any(|(known, _)| *known == key) {
            return Err(Failure::invalid("The parameter 'sort' names a key twice"));
        }
        order.push((key, direction));
    }
    Ok(order)
}

fn sort_key(name: &str) -> Option<SecretSortKey> {
    Some(match name {
        "algorithm" => SecretSortKey::Algorithm,
        "bit_length" => SecretSortKey::BitLength,
        "created" => SecretSortKey::Created,
        "expiration" => SecretSortKey::Expiration,
        "mode" => SecretSortKey::Mode,
        "name" => SecretSortKey::Name,
        "secret_type" => SecretSortKey::SecretType,
        "status" => SecretSortKey::Status,
        "updated" => SecretSortKey::Updated,
        _ => return None,
    })
}

const PREFIXES: [(&str, Comparison); 4] = [
    ("gt:", Comparison::After),
    ("gte:", Comparison::NotBefore),
    ("lt:", Comparison::Before),
    ("lte:", Comparison::NotAfter),
];

/// Conditions on a time: `gt:2030-01-01,lt:2031`, or a time alone for equality.
fn times(name: &str, text: Option<&str>) -> Result<Vec<TimeFilter>, Failure> {
    let mut filters: Vec<TimeFilter> = Vec::new();
    for part in text.iter().flat_map(|text| text.split(',')) {
        let prefixed = PREFIXES.iter().find_map(|(prefix, comparison)| Some((part.strip_prefix(prefix)?, *comparison)));
        let (text, comparison) = prefixed.unwrap_or((part, Comparison::Equal));
        let time = time::parse(text)
            .ok_or_else(|| Failure::invalid(format!("The parameter '{name}' is not a list of times of ISO 8601")))?;
        if filters.iter().any(|known| conflict(known.comparison, comparison)) {
            return Err(Failure::invalid(format!("The parameter '{name}' has conditions that exclude each other")));
        }
        filters.push(TimeFilter { comparison, time });
    }
    Ok(filters)
}

/// Whether two conditions may not stand together: the same bound twice, or equality with a bound
/// that includes it.
fn conflict(one: Comparison, other: Comparison) -> bool {
    let side = |comparison| match comparison {
        Comparison::After | Comparison::NotBefore => 1,
        Comparison::Before | Comparison::NotAfter => 2,
        Comparison::Equal => 3,
    };
    let includes = |comparison| matches!(comparison, Comparison::NotBefore | Comparison::NotAfter);
    side(one) == side(other)
        || (one == Comparison::Equal && includes(other))
        || (other == Comparison::Equal && includes(one))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn query(text: &str) -> Result<SecretQuery, Failure> {
        read(&Params::read(text), &Limits::default())
    }

    #[test]
    fn pages_are_clamped_and_never_refused() {
        let cases = [
            ("", 10, 0),
            ("limit=&offset=", 10, 0),
            ("limit=7&offset=3", 7, 3),
            ("limit=0", 1, 0),
            ("limit=-5&offset=-1", 1, 0),
            ("limit=101", 100, 0),
            ("limit=9999999999999999999999", 100, 0),
            ("limit=1.5&offset=junk", 10, 0),
            ("limit=%201&offset=%2B2", 1, 2),
            ("offset=9223372036854775807", 10, i64::MAX.unsigned_abs()),
            ("offset=9223372036854775808", 10, 0),
            ("offset=99999999999999999999999999999999999999999999", 10, 0),
        ];
        for (text, limit, offset) in cases {
            assert_eq!(query(text).unwrap().page, PageRequest { limit, offset }, "{text}");
        }
    }

    #[test]
    fn filters_are_read() {
        let filter = query("name=a%252Bb%2Bc%25&alg=aes&mode=&bits=128&secret_type=bogus&acl_only=TRUE").unwrap();
        assert!(filter.acl_only);
        let filter = filter.filter;
        assert_eq!(filter.name.as_deref(), Some("a+b c%"));
        assert_eq!((filter.algorithm.as_deref(), filter.mode), (Some("aes"), None));
        assert_eq!((filter.bit_length, filter.secret_type.as_deref()), (Some(128), Some("bogus")));
        for (text, bits) in
            [("0", None), ("-4", None), ("junk", None), ("128.0", None), ("99999999999", Some(i32::MAX))]
        {
            assert_eq!(query(&format!("bits={text}")).unwrap().filter.bit_length, bits, "{text}");
        }
        assert_eq!(query("name=%2500").unwrap_err().reason, "The parameter 'name' contains NUL");
    }

    #[test]
    fn orders_are_read_or_refused() {
        let by = |text: &str| query(&format!("sort={text}")).map(|query| query.sort);
        assert_eq!(by("").unwrap(), []);
        let expected = [(SecretSortKey::Name, Direction::Descending), (SecretSortKey::Created, Direction::Ascending)];
        assert_eq!(by("name:desc,created").unwrap(), expected);
        assert_eq!(by("status:asc").unwrap(), [(SecretSortKey::Status, Direction::Ascending)]);
        for bad in [
            "bogus",
            "name:up",
            "name:ASC",
            "name,name:desc",
            "name:asc:desc",
            "name:desc:asc",
            "name:asc:asc",
            "name,",
            "name:",
            "%20name",
            ",",
        ] {
            assert!(by(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn conditions_on_times_are_read_or_refused() {
        let created = |text: &str| query(&format!("created={text}")).map(|query| query.filter.created.len());
        for (good, count) in [
            ("", 0),
            ("2001", 1),
            ("gt:2001-01-01,lte:2002-01-01T00:00:00Z", 2),
            ("2001,gt:2000", 2),
            ("lt:2003,2001,gt:2000", 3),
        ] {
            assert_eq!(created(good).unwrap(), count, "{good}");
        }
        let bad = [
            "junk",
            "gt:",
            ",",
            "eq:2001",
            "gt:2001,gte:2001",
            "lt:2001,lte:2001",
            "gt:2001,gt:2002",
            "lt:2001,lt:2002",
            "2001,2001",
            "2001,gte:2000",
            "lte:2002,2001",
        ];
        for text in bad {
            assert!(created(text).is_err(), "{text}");
        }
    }

    #[test]
    fn repeated_parameters_are_refused() {
        for name in [
            "limit",
            "offset",
            "name",
            "alg",
            "mode",
            "bits",
            "secret_type",
            "created",
            "updated",
            "expiration",
            "sort",
            "acl_only",
        ] {
            assert!(query(&format!("{name}=1&{name}=1")).is_err(), "{name}");
        }
        assert!(query("other=1&other=1").is_ok());
    }
}
