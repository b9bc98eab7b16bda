//! Which names patterns grant.

use crate::pattern::matches;

/// Whether patterns grant a host; a name such as `*.example.org` if they grant all that it stands for, not one host
/// that happens to be called so.
pub(crate) fn grants_host(patterns: &[String], host: &str) -> bool {
    let stands_for = |pattern: &String, rest: &str| {
        let stars = pattern.strip_prefix("**.").or_else(|| pattern.strip_prefix("*."));
        pattern == "**" || stars == Some(rest) || matches_below(pattern, rest)
    };
    match host.strip_prefix("*.") {
        Some(rest) => is_host(rest) && patterns.iter().any(|pattern| stands_for(pattern, rest)),
        None => is_host(host) && patterns.iter().any(|pattern| matches(pattern, host, |character| character != '.')),
    }
}

/// Whether a pattern grants every host that is one part longer than `rest`.
fn matches_below(pattern: &str, rest: &str) -> bool {
    pattern.strip_prefix("**.").is_some_and(|end| rest.ends_with(&format!(".{end}")))
}

fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Whether patterns grant a mailbox.
pub(crate) fn grants_mailbox(patterns: &[String], mailbox: &str) -> bool {
    let is_mailbox = mailbox.split_once('@').is_some_and(|(who, host)| !who.is_empty() && is_host(host));
    is_mailbox && patterns.iter().any(|pattern| matches(pattern, mailbox, |character| character != '@'))
}

/// Whether a pattern of URIs can be told where the host ends.
pub(crate) fn is_uri_pattern(pattern: &str) -> bool {
    pattern == "**" || pattern.contains("://")
}

/// Whether patterns grant a URI. Its host has no user, and what says in a path to go up again is never granted.
pub(crate) fn grants_uri(patterns: &[String], uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else { return false };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let segments = path.split(['?', '#']).next().unwrap_or_default().split('/');
    let mut goes_up =
        segments.map(|segment| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."));
    if uri.contains('\\') || host.contains(['@', '%']) || goes_up.any(|goes_up| goes_up) {
        return false;
    }
    let is_granted = |pattern: &String| {
        let Some((granted, rest)) = pattern.split_once("://") else { return pattern == "**" };
        granted == scheme && grants_place(rest, host, path)
    };
    patterns.iter().any(is_granted)
}

/// What a pattern says of the host grants nothing behind it, but for `**` at the very end.
fn grants_place(pattern: &str, host: &str, path: &str) -> bool {
    let is_part = |character: char| !"/?#@%\\".contains(character);
    match pattern.find('/') {
        Some(at) => {
            let (of_host, of_path) = pattern.split_at(at);
            matches(of_host, host, is_part) && matches(of_path, path, is_part)
        }
        None if path.is_empty() => matches(pattern, host, is_part),
        None => pattern
            .strip_suffix("**")
            .is_some_and(|start| matches(pattern, host, is_part) || matches(start, host, is_part)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(grants: fn(&[String], &str) -> bool, cases: &[(&str, &str, bool)]) {
        for (pattern, name, expected) in cases {
            assert_eq!(grants(&[(*pattern).to_owned()], name), *expected, "{pattern} {name}");
        }
    }

    #[test]
    fn hosts_with_stars_are_all_that_they_stand_for() {
        check(
            grants_host,
            &[
                ("*.example.org", "*.example.org", true),
                ("**.example.org", "*.a.example.org", true),
                ("*.example.org", "*.a.example.org", false),
                ("a*.example.org", "*.example.org", false),
                ("**", "*.example.org", true),
                ("**", "a b", false),
            ],
        );
    }

    #[test]
    fn mailboxes_have_one_host() {
        check(
            grants_mailbox,
            &[
                ("*@example.org", "ann@example.org", true),
                ("**@example.org", "ann@evil.test@example.org", false),
                ("*@*.example.org", "ann@a.example.org", true),
                ("**", "@example.org", false),
                ("**", "ann@example.org\0", false),
            ],
        );
    }

    #[test]
    fn uris_are_granted_host_by_host() {
        const WORKLOADS: &str = "spiffe://example.org/ns/*/sa/*";
        check(
            grants_uri,
            &[
                (WORKLOADS, "spiffe://example.org/ns/a/sa/b", true),
                (WORKLOADS, "spiffe://example.org/ns/a/b/sa/c", false),
                (WORKLOADS, "spiffe://example.org/ns/a/sa/b?c", false),
                (WORKLOADS, "spiffe://example.org/ns/a/sa/b#c", false),
                (WORKLOADS, "spiffe://example.org/ns/a/sa/%62", false),
                (WORKLOADS, "spiffe://example.org/ns/../sa/b", false),
                (WORKLOADS, "spiffe://example.org/ns/./sa/b", false),
                (WORKLOADS, "spiffe://evil.test/ns/a/sa/b", false),
                (WORKLOADS, "http://example.org/ns/a/sa/b", false),
                ("https://*.example.org/**", "https://a.example.org/x/y?z", true),
                ("https://*.example.org/**", "https://evil.test?.example.org/x", false),
                ("https://*.example.org/**", "https://evil.test#.example.org/x", false),
                ("https://*.example.org/**", "https://evil.test\\.example.org/x", false),
                ("https://*.example.org/**", "https://me@a.example.org/x", false),
                ("https://*.example.org/**", "https://evil.test%2f.example.org/x", false),
                ("https://**.example.org/**", "https://evil.test/.example.org/x", false),
                ("https://**.example.org/**", "https://a.b.example.org/x", true),
                ("https://**.example.org", "https://evil.test/.example.org", false),
                ("https://example.org/a/**", "https://example.org/a/%2E./b", false),
                ("spiffe://example.org/**", "spiffe://example.org/a/b", true),
                ("spiffe://example.org/**", "spiffe://example.org", false),
                ("spiffe://**", "spiffe://example.org/a", true),
                ("spiffe://**", "spiffe://me@example.org/a", false),
                ("**", "spiffe://example.org", true),
                ("**", "urn:example", false),
            ],
        );
    }
}
