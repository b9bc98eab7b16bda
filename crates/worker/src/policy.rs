//! Who may do what: Barbican's rules as Cedar policies, decided once per set of facts.
//!
//! Start reading at `config/policy.cedar`; [`Rule`] lists what can be decided about.

mod config;
mod facts;
mod load;
mod rule;

use std::fmt;
use std::sync::{PoisonError, RwLock};

use bailey_core::access::Caller;
use bailey_core::failure::{Failure, FailureKind};
use cedar_policy::{Authorizer, PolicySet};
use moka::sync::Cache;

pub use config::{Compat, Generation, PolicyConfig};
pub use facts::Target;
use facts::{Facts, Names};
pub use load::{PolicyError, PolicyProblem};
pub use rule::Rule;

/// How many bytes of facts are remembered with what was decided on them.
const MEMO_BYTES: u64 = 4 << 20;

/// What a policy says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A policy permits it and none forbids it.
    Allow,
    /// Nothing permits it, or something forbids it.
    Deny,
}

/// The policies in force.
pub struct Policy {
    authorizer: Authorizer,
    names: Names,
    rules: RwLock<RuleSet>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policy")
    }
}

/// A set of policies with the decisions it made. They go together, so that a new set starts
/// without any.
struct RuleSet {
    compat: Compat,
    /// The policies that have a say about each rule, by the rule's discriminant.
    policies: Vec<PolicySet>,
    memo: Cache<Vec<u8>, Decision>,
}

impl RuleSet {
    fn load(config: &PolicyConfig, compat: Compat) -> Result<Self, PolicyError> {
        let weigher = |key: &Vec<u8>, _: &Decision| u32::try_from(key.len()).unwrap_or(u32::MAX);
        let memo = Cache::builder().max_capacity(MEMO_BYTES).weigher(weigher).build();
        let all = load::load(config, compat)?;
        let policies = Rule::ALL.iter().map(|rule| load::about(&all, *rule)).collect::<Result<_, _>>()?;
        Ok(Self { compat, policies, memo })
    }
}

impl Policy {
    /// Loads the policies that are asked for and checks them strictly against the schema.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its file and, if known, its line.
    pub fn new(config: &PolicyConfig, compat: Compat) -> Result<Self, PolicyError> {
        let rules = RwLock::new(RuleSet::load(config, compat)?);
        Ok(Self { authorizer: Authorizer::new(), names: Names::new()?, rules })
    }

    /// Loads the policies anew, and decides by them from here on.
    ///
    /// # Errors
    /// As [`new`](Self::new); then the running policies stay in force.
    pub fn replace(&self, config: &PolicyConfig, compat: Compat) -> Result<(), PolicyError> {
        let rules = RuleSet::load(config, compat)?;
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        Ok(())
    }

    /// Decides whether `caller` may do `rule` to `target`. The same facts get the same decision
    /// until the policies are replaced.
    ///
    /// # Errors
    /// `Internal` when a policy can't be evaluated, whatever the others say: it may have been
    /// meant to forbid. Also when a rule that needs a target is asked without one.
    pub fn decide(&self, rule: Rule, caller: &Caller, target: &Target<'_>) -> Result<Decision, Failure> {
        let facts = Facts::new(rule, caller, target)?;
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let key = facts.key();
        if let Some(decision) = rules.memo.get(&key) {
            return Ok(decision);
        }
        let decision = self.evaluate(&rules.policies[rule as usize], &facts)?;
        rules.memo.insert(key, decision);
        Ok(decision)
    }

    /// As [`decide`](Self::decide), with a denial as a failure.
    ///
    /// # Errors
    /// `Forbidden`, without a reason; `Internal` as above.
    pub fn authorise(&self, rule: Rule, caller: &Caller, target: &Target<'_>) -> Result<(), Failure> {
        match self.decide(rule, caller, target)? {
            Decision::Allow => Ok(()),
            Decision::Deny => Err(Failure::new(FailureKind::Forbidden, "")),
        }
    }

    /// Whether what Barbican leaves open is closed.
    pub fn is_strict(&self) -> bool {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).compat == Compat::Strict
    }

    /// Whether a denial mustn't tell the caller that there is such a thing: strictly, nobody learns
    /// what another project has.
    pub fn hides(&self, caller: &Caller, target: &Target<'_>) -> bool {
        self.is_strict() && target.project.is_some_and(|project| *project != caller.project)
    }

    fn evaluate(&self, policies: &PolicySet, facts: &Facts<'_>) -> Result<Decision, Failure> {
        let (request, entities) =
            self.names.question(facts).map_err(|error| Failure::internal(format!("policy question: {error}")))?;
        let response = self.authorizer.is_authorized(&request, policies, &entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(Failure::internal(error.to_string()));
        }
        Ok(match response.decision() {
            cedar_policy::Decision::Allow => Decision::Allow,
            cedar_policy::Decision::Deny => Decision::Deny,
        })
    }
}

#[cfg(test)]
mod tests;
