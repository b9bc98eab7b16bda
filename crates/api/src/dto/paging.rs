//! Pages of lists: the hrefs of those before and after.

use bailey_core::secret::{Page, PageRequest};

/// Hrefs of the pages next to one.
#[derive(Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// The page before it.
    pub previous: Option<String>,
    /// The page after it.
    pub next: Option<String>,
}

impl Neighbours {
    /// The neighbours of the page that was asked for; an empty one has none. `href` is given the
    /// parameters, `limit=L&offset=O`.
    #[must_use]
    pub fn of<T>(page: &Page<T>, asked: PageRequest, href: impl Fn(&str) -> String) -> Self {
        let PageRequest { limit, offset } = asked;
        let link = |offset: u64| href(&format!("limit={limit}&offset={offset}"));
        let has_items = !page.items.is_empty();
        let following = offset.saturating_add(limit);
        Self {
            previous: (has_items && offset > 0).then(|| link(offset.saturating_sub(limit))),
            next: (has_items && page.total > following).then(|| link(following)),
        }
    }
}
