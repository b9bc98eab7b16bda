//! How end entities are named.

use std::str::FromStr;

/// Most characters that a placeholder stands for, so that the name stays within EJBCA's 250.
const LONGEST_PART: usize = 40;
/// Most characters of a rule.
const LONGEST_RULE: usize = 100;

/// What the placeholders stand for.
pub(super) struct Parts<'a> {
    pub(super) id: &'a str,
    pub(super) cn: &'a str,
    pub(super) dns: &'a str,
    pub(super) project: &'a str,
    pub(super) profile: &'a str,
}

/// A rule that names an end entity after an order. The order's id is in each name: one end entity has the
/// certificate of one order, so that a search by its name finds that certificate and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamingRule(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Id,
    Cn,
    Dns,
    Project,
    Profile,
}

impl FromStr for NamingRule {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text.chars().count() > LONGEST_RULE {
            return Err("longer than 100 characters");
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (placeholder, after) = after.split_once('}').ok_or("a { without its }")?;
            pieces.push(Piece::Text(plain(before)?));
            pieces.push(match placeholder {
                "id" => Piece::Id,
                "cn" => Piece::Cn,
                "dns" => Piece::Dns,
                "project" => Piece::Project,
                "profile" => Piece::Profile,
                _ => return Err("a placeholder that is none of {id}, {cn}, {dns}, {project} and {profile}"),
            });
            rest = after;
        }
        pieces.push(Piece::Text(plain(rest)?));
        if !pieces.contains(&Piece::Id) {
            return Err("without {id}: certificates of different orders could not be told apart");
        }
        Ok(Self(pieces))
    }
}

impl NamingRule {
    /// The name of the end entity.
    pub(super) fn name(&self, parts: &Parts<'_>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Id => parts.id.to_owned(),
            Piece::Cn => tame(parts.cn),
            Piece::Dns => tame(parts.dns),
            Piece::Project => tame(parts.project),
            Piece::Profile => tame(parts.profile),
        };
        self.0.iter().map(piece).collect()
    }
}

const fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-' | '@')
}

fn plain(text: &str) -> Result<String, &'static str> {
    if text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("a character that is neither letter, digit, nor one of . _ - @")
    }
}

/// The start of a text, without the characters that EJBCA changes or refuses in names.
fn tame(text: &str) -> String {
    text.chars().take(LONGEST_PART).map(|letter| if is_plain(letter) { letter } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_have_the_order_in_them_and_nothing_odd() {
        let long = "x".repeat(500);
        let parts = Parts { id: "0190-ab", cn: "*.a/b;ü", dns: "a.example", project: &long, profile: "" };
        for (rule, name) in [
            ("{id}", "0190-ab"),
            ("bailey-{id}", "bailey-0190-ab"),
            ("{cn}_{id}@{dns}{profile}", "_.a_b___0190-ab@a.example"),
        ] {
            assert_eq!(rule.parse::<NamingRule>().unwrap().name(&parts), name);
        }
        let longest = "{id}{cn}{dns}{project}{profile}".parse::<NamingRule>().unwrap().name(&parts);
        assert!(longest.len() < 250 - LONGEST_RULE, "{longest}");
    }

    #[test]
    fn a_rule_that_does_not_tell_orders_apart_is_refused() {
        for rule in ["", "bailey", "{cn}", "{id", "{ID}", "{id}{}", "a b{id}", "{id};"] {
            assert!(rule.parse::<NamingRule>().is_err(), "{rule}");
        }
        assert!(format!("{{id}}{}", "x".repeat(100)).parse::<NamingRule>().is_err());
    }
}
