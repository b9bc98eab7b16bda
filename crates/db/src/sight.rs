//! How much of what is private a list shows.

use bailey_core::ids::UserId;

/// What a list shows of what an ACL shuts the project's members out of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sight<'a> {
    /// Everything.
    #[default]
    All,
    /// What `owner` made, and what its ACL lets `reader` read.
    Of {
        /// A maker whose own is shown.
        owner: Option<&'a UserId>,
        /// A reader to whom is shown what names them.
        reader: Option<&'a UserId>,
    },
}
