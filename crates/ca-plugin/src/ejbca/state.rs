//! Where an enrolment stands between two steps.

use bailey_core::ca::{CaError, CaErrorKind, IssuanceState};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What comes next. Nothing of it is secret: the enrolment code follows from the order's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum State {
    /// To enrol, at once.
    Enrol {
        /// Names the enrolment. For whoever doesn't act first on it, somebody may have enrolled and died, so it is
        /// settled first.
        intention: String,
    },
    /// To search for what came of an enrolment whose answer nobody has.
    Settle {
        /// When EJBCA is done with it.
        until: DateTime<Utc>,
    },
    /// To ask whether the enrolment was approved.
    Approval {
        /// EJBCA's number of the request for approval, if its answer was not lost.
        request: Option<i64>,
    },
}

impl State {
    /// Reads what [`text`](Self::text) wrote.
    ///
    /// # Errors
    /// `Corrupt` for anything else.
    pub(super) fn read(state: &IssuanceState) -> Result<Self, CaError> {
        let corrupt = |error| CaError::new(CaErrorKind::Corrupt, "poll", "the state is not EJBCA's").with_source(error);
        serde_json::from_str(&state.0).map_err(corrupt)
    }

    pub(super) fn text(&self) -> Result<IssuanceState, CaError> {
        let failed = |error| CaError::new(CaErrorKind::Internal, "keep state", "").with_source(error);
        serde_json::to_string(self).map(IssuanceState).map_err(failed)
    }
}
