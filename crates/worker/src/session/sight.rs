//! What of others' private things a caller sees in lists.

use bailey_core::failure::Failure;
use bailey_core::ids::UserId;
use bailey_db::Sight;

use crate::policy::{Decision, Rule, Target};
use crate::session::Session;

impl Session<'_> {
    /// What a list shows of what is private: everything, as Barbican's do, or strictly what the caller may do
    /// `rule` with, for being its owner or on its ACL.
    pub(crate) fn sight(&self, rule: Rule) -> Result<Sight<'_>, Failure> {
        if !self.worker.policy.is_strict() || self.may_if_private(rule, None, &[])? {
            return Ok(Sight::All);
        }
        let Some(user) = &self.caller.user else { return Ok(Sight::Of { owner: None, reader: None }) };
        let owner = self.may_if_private(rule, Some(user), &[])?.then_some(user);
        let reader = self.may_if_private(rule, None, std::slice::from_ref(user))?.then_some(user);
        Ok(Sight::Of { owner, reader })
    }

    /// What the policy would say of a private thing of the caller's project.
    fn may_if_private(&self, rule: Rule, creator: Option<&UserId>, readers: &[UserId]) -> Result<bool, Failure> {
        let target = Target { project: Some(&self.caller.project), creator, is_private: true, readers };
        Ok(self.worker.policy.decide(rule, &self.caller, &target)? == Decision::Allow)
    }
}
