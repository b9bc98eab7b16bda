//! A question for a list of secrets, from the query string.

use bailey_core::failure::Failure;
use bailey_core::secret::{Comparison, Direction, SecretFilter, SecretQuery, SecretSortKey, TimeFilter};
use percent_encoding::percent_decode_str;
use utoipa::IntoParams;

use crate::config::Limits;
use crate::dto::{paging, time};
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
        bit_length: params.integer("bits")?.filter(|bits| *bits > 0).map(clamp_bits),
        secret_type: text("secret_type")?,
        created: times("created", params.one("created")?)?,
        updated: times("updated", params.one("updated")?)?,
        expiration: times("expiration", params.one("expiration")?)?,
    };
    Ok(SecretQuery {
        filter,
        page: paging::read(params, limits)?,
        sort: order(params.one("sort")?.unwrap_or_default())?,
        acl_only: params.one("acl_only")?.is_some_and(|value| value.eq_ignore_ascii_case("true")),
    })
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
mod tests;
