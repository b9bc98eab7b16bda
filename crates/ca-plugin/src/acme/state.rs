//! Where an issuance stands, as text without secrets.

use bailey_core::ca::{CaError, CaErrorKind, IssuanceState};
use serde::{Deserialize, Serialize};

use super::limit::Limit;
use super::search::Search;

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    /// An order is asked for.
    Order,
    /// What proves the names is put where the CA will look for it.
    Prove,
    /// The CA is told to look.
    Announce,
    /// The CA is looking.
    Validate,
    /// The certificate is asked for.
    Finalize,
    /// The CA is signing.
    Collect,
}

/// Where an issuance stands. What the CA knows better, it is asked for; this names the step before it is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Standing {
    pub(super) step: Step,
    /// Names the intention to ask for an order, before there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) intention: String,
    /// The order's URL, once there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) order: String,
    /// Orders for the same names that turned out to be somebody else's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) others: Vec<String>,
    /// How far an order was looked for that may have been asked for already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) search: Option<Search>,
    /// What keeps the step from being taken, for whoever comes to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<Limit>,
}

impl Standing {
    /// Before anything was done.
    pub(super) fn beginning(intention: String, others: Vec<String>) -> Self {
        Self { step: Step::Order, intention, order: String::new(), others, search: None, limit: None }
    }

    /// The same, before another step.
    pub(super) fn before(&self, step: Step) -> Self {
        Self { step, ..self.clone() }
    }

    /// With an order, before the next step.
    pub(super) fn with_order(&self, order: String) -> Self {
        Self { step: Step::Prove, intention: String::new(), order, search: None, ..self.clone() }
    }

    /// In the midst of a search for an order.
    pub(super) fn searching(&self, search: Search) -> Self {
        Self { search: Some(search), ..self.clone() }
    }

    pub(super) fn read(state: &IssuanceState) -> Result<Self, CaError> {
        let corrupt = || CaError::new(CaErrorKind::Corrupt, "poll", "the state is none of an ACME CA's");
        let standing: Self = serde_json::from_str(&state.0).map_err(|_| corrupt())?;
        if (standing.step == Step::Order) != standing.order.is_empty() {
            return Err(corrupt());
        }
        Ok(standing)
    }

    pub(super) fn state(&self) -> Result<IssuanceState, CaError> {
        let text = serde_json::to_string(self);
        let text = text.map_err(|error| CaError::new(CaErrorKind::Internal, "write state", "").with_source(error))?;
        Ok(IssuanceState(text))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn states_come_back_and_others_dont() {
        let beginning = Standing::beginning("i".into(), vec!["https://ca/order/1".into()]);
        let later = beginning.with_order("https://ca/order/2".into()).before(Step::Finalize);
        for standing in [&beginning, &later] {
            assert_eq!(&Standing::read(&standing.state().unwrap()).unwrap(), standing);
        }
        for text in
            ["", "{}", "null", "{\"step\":\"prove\"}", "{\"step\":\"order\",\"order\":\"u\"}", "{\"step\":\"x\"}"]
        {
            let error = Standing::read(&IssuanceState(text.into())).unwrap_err();
            assert_eq!(error.kind, CaErrorKind::Corrupt, "{text}");
        }
    }
}
