//! Pages of lists: which one is asked for, and what is told beside its items.

use bailey_core::failure::Failure;
use bailey_core::secret::{Page, PageRequest};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Limits;
use crate::extract::params::Params;

/// The page asked for; nonsense counts as nothing said.
#[must_use]
pub fn asked(params: &Params, limits: &Limits) -> PageRequest {
    let number = |name| params.integer(name).ok().flatten();
    let clamp = |limit: i128| u64::try_from(limit.max(1)).unwrap_or(u64::MAX).min(limits.page_max);
    let offset = number("offset").and_then(|offset| i64::try_from(offset).ok());
    PageRequest {
        limit: number("limit").map_or(limits.page_default, clamp).max(1),
        offset: offset.and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0),
    }
}

/// The page asked for, of a list that refuses what is repeated.
///
/// # Errors
/// `Invalid` for a repeated parameter.
pub fn read(params: &Params, limits: &Limits) -> Result<PageRequest, Failure> {
    for name in ["limit", "offset"] {
        params.one(name)?;
    }
    Ok(asked(params, limits))
}

/// What every list tells beside the items on a page.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Page)]
pub struct PageBody {
    /// How many there are in all.
    total: u64,
    /// The page before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    previous: Option<String>,
    /// The page after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

impl PageBody {
    /// Links to the neighbours of the page that was asked for; an empty one has none. `href` is given the
    /// parameters, `limit=L&offset=O`.
    #[must_use]
    pub fn of<T>(page: &Page<T>, asked: PageRequest, href: impl Fn(&str) -> String) -> Self {
        let linked = Self::leading_back(page, asked, href);
        if page.items.is_empty() { Self { previous: None, next: None, ..linked } } else { linked }
    }

    /// The same, but a page beyond the end has a link to the one before it.
    #[must_use]
    pub fn leading_back<T>(page: &Page<T>, asked: PageRequest, href: impl Fn(&str) -> String) -> Self {
        let PageRequest { limit, offset } = asked;
        let link = |offset: u64| href(&format!("limit={limit}&offset={offset}"));
        let following = offset.saturating_add(limit);
        Self {
            total: page.total,
            previous: (offset > 0).then(|| link(offset.saturating_sub(limit))),
            next: (page.total > following).then(|| link(following)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

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
            let (params, limits) = (Params::read(text), Limits::default());
            assert_eq!(asked(&params, &limits), PageRequest { limit, offset }, "{text}");
            assert_eq!(read(&params, &limits).unwrap(), PageRequest { limit, offset }, "{text}");
        }
    }

    #[test]
    fn a_repeated_parameter_is_told_where_it_matters() {
        let (params, limits) = (Params::read("limit=1&limit=2&offset=3"), Limits::default());
        assert_eq!(asked(&params, &limits), PageRequest { limit: 10, offset: 3 });
        assert!(read(&params, &limits).is_err());
    }

    #[test]
    fn pages_link_to_their_neighbours() {
        let linked = |page: PageBody| (page.previous, page.next);
        let (page, empty) = (Page { items: vec![()], total: 9 }, Page::<()> { items: Vec::new(), total: 9 });
        let asked = |offset| PageRequest { limit: 4, offset };
        let href = |page: &str| format!("/list?{page}");
        let link = |offset: u64| Some(format!("/list?limit=4&offset={offset}"));
        assert_eq!(linked(PageBody::of(&page, asked(0), href)), (None, link(4)));
        assert_eq!(linked(PageBody::of(&page, asked(3), href)), (link(0), link(7)));
        assert_eq!(linked(PageBody::of(&page, asked(5), href)), (link(1), None));
        assert_eq!(linked(PageBody::of(&empty, asked(20), href)), (None, None));
        assert_eq!(linked(PageBody::leading_back(&empty, asked(20), href)), (link(16), None));
    }
}
