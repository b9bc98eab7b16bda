//! What a server says when it won't (RFC 8555, section 6.7; RFC 7807).

use std::fmt;
use std::time::Duration;

use bailey_core::ca::{CaError, CaErrorKind};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::limit::Limit;
use super::wire::Identifier;

const KIND: &str = "urn:ietf:params:acme:error:";
/// Longest text of a problem that is passed on.
const LONGEST: usize = 1_000;

/// A problem document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) detail: String,
    pub(super) status: Option<u16>,
    pub(super) subproblems: Vec<Subproblem>,
    /// When the server wants to be asked again.
    #[serde(skip)]
    pub(super) retry_after: Option<Duration>,
}

/// A problem with one of several names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Subproblem {
    #[serde(rename = "type")]
    kind: String,
    detail: String,
    identifier: Option<Identifier>,
}

/// Why a step wasn't taken.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be taken later, or is nobody's but the operator's.
    Failed(CaError),
    /// The server won't before a time, which is so far away.
    Limited(Limit, Duration),
    /// The server says no.
    Refused(Problem),
}

impl From<CaError> for Trouble {
    fn from(error: CaError) -> Self {
        Self::Failed(error)
    }
}

impl Problem {
    /// Whether it is of this kind: `badNonce`.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind.strip_prefix(KIND) == Some(kind)
    }

    /// What it says of when the same request will be granted, if that is a limit's end.
    pub(super) fn limit(&self, now: DateTime<Utc>) -> Option<(Limit, Duration)> {
        let wait = self.retry_after.filter(|_| self.is("rateLimited") || self.status == Some(429))?;
        let limit = Limit { until: now + wait, reason: self.to_string() };
        limit.left(now).map(|left| (limit, left))
    }

    /// Whether the same request may be granted another time.
    fn passes(&self) -> bool {
        // What operators have to do at the CA, such as agree to new terms, passes too.
        let kinds = ["badNonce", "rateLimited", "serverInternal", "userActionRequired", "accountDoesNotExist"];
        kinds.into_iter().any(|kind| self.is(kind))
            || self.status.is_some_and(|code| code == 429 || code >= 500)
            // What stands before the server said it, not the server.
            || matches!(self.kind.as_str(), "" | "about:blank")
    }

    /// The problem as a CA's error, if it passes; otherwise itself.
    fn sorted(self, operation: &'static str) -> Trouble {
        if !self.passes() {
            return Trouble::Refused(self);
        }
        let error = CaError::new(CaErrorKind::Unavailable, operation, self.to_string());
        Trouble::Failed(match self.retry_after {
            Some(wait) => error.retried_after(wait),
            None => error,
        })
    }
}

impl Trouble {
    /// What passes as the CA's error that it is.
    pub(super) fn sorted(self, operation: &'static str) -> Self {
        match self {
            Self::Failed(_) | Self::Limited(..) => self,
            Self::Refused(problem) => problem.sorted(operation),
        }
    }

    /// As an error, where it isn't a client's doing whatever the server says.
    pub(super) fn into_error(self, operation: &'static str) -> CaError {
        match self {
            Self::Failed(error) => error,
            Self::Limited(limit, left) => {
                CaError::new(CaErrorKind::Unavailable, operation, limit.reason).retried_after(left)
            }
            Self::Refused(problem) => CaError::new(CaErrorKind::Internal, operation, problem.to_string()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = one(&self.detail, &self.kind);
        for part in &self.subproblems {
            let name = part.identifier.as_ref().map(|name| format!("{}: ", name.value)).unwrap_or_default();
            text.push_str("; ");
            text.push_str(&name);
            text.push_str(&one(&part.detail, &part.kind));
        }
        // It comes from outside, and goes into logs and answers.
        let plain = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
        f.write_str(&plain.take(LONGEST).collect::<String>())
    }
}

fn one(detail: &str, kind: &str) -> String {
    let kind = kind.strip_prefix(KIND).unwrap_or(kind);
    match (detail.is_empty(), kind.is_empty()) {
        (false, false) => format!("{detail} ({kind})"),
        (false, true) => detail.to_owned(),
        (true, false) => kind.to_owned(),
        (true, true) => "it says nothing more".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_part_of_a_problem_is_told() {
        let problem: Problem = serde_json::from_str(
            r#"{"type": "urn:ietf:params:acme:error:malformed", "detail": "Some names were rejected", "subproblems": [
                {"type": "urn:ietf:params:acme:error:caa", "detail": "forbidden\nby CAA",
                 "identifier": {"type": "dns", "value": "example.org"}}, {"type": "about:blank"}]}"#,
        )
        .unwrap();
        let expected = "Some names were rejected (malformed); example.org: forbidden by CAA (caa); about:blank";
        assert_eq!(problem.to_string(), expected);
        assert_eq!(Problem::default().to_string(), "it says nothing more");
        let long = Problem { detail: "ä".repeat(5_000), ..Problem::default() };
        assert_eq!(long.to_string().chars().count(), LONGEST);
    }

    #[test]
    fn what_passes_is_tried_again_and_when_the_server_says() {
        let limited = Problem {
            kind: format!("{KIND}rateLimited"),
            detail: "too many".into(),
            retry_after: Some(Duration::from_secs(7)),
            ..Problem::default()
        };
        let error = limited.sorted("order").into_error("order");
        assert_eq!((error.kind, error.retry_after), (CaErrorKind::Unavailable, Some(Duration::from_secs(7))));
        assert_eq!(error.context, "too many (rateLimited)");
        for (kind, status, passes) in
            [("malformed", 400, false), ("rejectedIdentifier", 400, false), ("unauthorized", 403, false)]
                .into_iter()
                .chain([("malformed", 503, true), ("", 502, true), ("", 429, true), ("badNonce", 400, true)])
        {
            let problem = Problem { kind: format!("{KIND}{kind}"), status: Some(status), ..Problem::default() };
            assert_eq!(matches!(problem.sorted("order"), Trouble::Failed(_)), passes, "{kind} {status}");
        }
        let foreign = Problem { status: Some(403), ..Problem::default() };
        assert!(matches!(foreign.sorted("order"), Trouble::Failed(_)));
    }
}
