//! What a decision is made from: as Cedar's entities, and as the exact key of its memo.

use std::collections::{HashMap, HashSet};

use bailey_core::access::Caller;
use bailey_core::failure::Failure;
use bailey_core::ids::{ProjectId, UserId};
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityUid, ParseErrors, Request, RestrictedExpression as Value,
};

use super::load::PolicyError;
use super::rule::{Resource, Rule};

/// The resource that a rule is about, as far as a policy can see it.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The project it belongs to.
    pub project: Option<&'a ProjectId>,
    /// Who made it, if known.
    pub creator: Option<&'a UserId>,
    /// Whether its ACL shuts the project's members out.
    pub is_private: bool,
    /// Whom its ACL lets in.
    pub readers: &'a [UserId],
}

impl Target<'_> {
    /// No resource: for lists and creations.
    #[must_use]
    pub const fn none() -> Self {
        Self { project: None, creator: None, is_private: false, readers: &[] }
    }
}

/// Everything that one decision depends on, beside the policies.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    rule: Rule,
    caller: &'a Caller,
    resource: Option<(&'a ProjectId, &'a Target<'a>)>,
}

impl<'a> Facts<'a> {
    /// Drops what the rule's policies can't see.
    pub(super) fn new(rule: Rule, caller: &'a Caller, target: &'a Target<'a>) -> Result<Self, Failure> {
        let resource = match (rule.resource(), target.project) {
            (Resource::Service, _) => None,
            (_, Some(project)) => Some((project, target)),
            (_, None) => return Err(Failure::internal(format!("rule {} was asked without a target", rule.as_str()))),
        };
        Ok(Self { rule, caller, resource })
    }

    fn has_access_list(&self) -> bool {
        matches!(self.rule.resource(), Resource::Secret | Resource::Container)
    }

    /// All facts, unambiguously: equal keys mean equal facts.
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = Key(Vec::with_capacity(256));
        key.number(self.rule as usize);
        key.option(self.caller.user.as_ref().map(UserId::as_str));
        key.text(self.caller.project.as_str());
        key.list(self.caller.roles.iter().map(String::as_str));
        if let Some((project, target)) = self.resource {
            key.text(project.as_str());
            key.option(target.creator.map(UserId::as_str));
            if self.has_access_list() {
                key.number(usize::from(target.is_private));
                key.list(target.readers.iter().map(UserId::as_str));
            }
        }
        key.0
    }

    fn caller_attributes(&self) -> HashMap<String, Value> {
        let Caller { user, project, roles, .. } = self.caller;
        let mut attributes = HashMap::from([
            ("project".to_owned(), text(project.as_str())),
            ("roles".to_owned(), Value::new_set(roles.iter().map(|role| text(role)))),
        ]);
        attributes.extend(user.as_ref().map(|user| ("user".to_owned(), text(user.as_str()))));
        attributes
    }

    fn resource_attributes(&self) -> HashMap<String, Value> {
        let Some((project, target)) = self.resource else { return HashMap::new() };
        let mut attributes = HashMap::from([("project".to_owned(), text(project.as_str()))]);
        attributes.extend(target.creator.map(|user| ("creator".to_owned(), text(user.as_str()))));
        if self.has_access_list() {
            let readers = target.readers.iter().map(|user| text(user.as_str()));
            attributes.insert("private".to_owned(), Value::new_bool(target.is_private));
            attributes.insert("readers".to_owned(), Value::new_set(readers));
        }
        attributes
    }
}

fn text(text: &str) -> Value {
    Value::new_string(text.to_owned())
}

/// Concatenates fields so that no two lists of fields give the same bytes.
struct Key(Vec<u8>);

impl Key {
    fn number(&mut self, number: usize) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn option(&mut self, text: Option<&str>) {
        self.list(text.into_iter());
    }

    fn list<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.number(texts.len());
        texts.for_each(|text| self.text(text));
    }
}

fn name(kind: &str, id: &str) -> Result<EntityUid, PolicyError> {
    let kind = kind.parse().map_err(|error: ParseErrors| PolicyError::of(kind, error))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// Names that every request needs, parsed once.
#[derive(Debug)]
pub(super) struct Names {
    caller: EntityUid,
    /// Action and resource of each rule, by its discriminant.
    rules: Vec<(EntityUid, EntityUid)>,
}

impl Names {
    /// Fails only if a name in this program isn't one to Cedar.
    pub(super) fn new() -> Result<Self, PolicyError> {
        let rules = Rule::ALL.iter().map(|rule| {
            let (action, resource) = (rule.as_str(), rule.resource().type_name());
            Ok((name("Action", action)?, name(resource, "")?))
        });
        Ok(Self { caller: name("Caller", "")?, rules: rules.collect::<Result<_, PolicyError>>()? })
    }

    /// The facts as Cedar takes them.
    pub(super) fn question(&self, facts: &Facts<'_>) -> Result<(Request, Entities), Box<dyn std::error::Error>> {
        let (action, resource) = self.rules[facts.rule as usize].clone();
        let principal = Entity::new(self.caller.clone(), facts.caller_attributes(), HashSet::new())?;
        let target = Entity::new(resource.clone(), facts.resource_attributes(), HashSet::new())?;
        let request = Request::new(self.caller.clone(), action, resource, Context::empty(), None)?;
        Ok((request, Entities::from_entities([principal, target], None)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashMap;

    use bailey_core::access::Method;
    use cedar_policy::Schema;

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn project(name: &str) -> ProjectId {
        ProjectId::new(name).unwrap()
    }

    fn callers() -> Vec<Caller> {
        let mut callers = Vec::new();
        for name in [None, Some("a"), Some("b")] {
            for place in ["p", "q"] {
                for roles in [vec![], vec!["a"], vec!["a", "b"], vec!["ab"]] {
                    callers.push(Caller::new(name.map(user), project(place), roles, Method::NoAuth));
                }
            }
        }
        callers
    }

    #[test]
    fn different_facts_have_different_keys() {
        let places = [project("p"), project("q")];
        let users = [user("a"), user("b"), user("ab")];
        let mut targets = Vec::new();
        for place in &places {
            for creator in [None, Some(&users[0]), Some(&users[1])] {
                for readers in [&[], &users[..1], &users[..2], &users[2..]] {
                    for is_private in [false, true] {
                        targets.push(Target { project: Some(place), creator, is_private, readers });
                    }
                }
            }
        }
        let mut keys = HashMap::new();
        for (caller, target) in callers().iter().flat_map(|caller| targets.iter().map(move |target| (caller, target))) {
            for rule in [Rule::SecretGet, Rule::SecretDecrypt] {
                let facts = Facts::new(rule, caller, target).unwrap();
                let other = keys.insert(facts.key(), format!("{facts:?}"));
                assert_eq!(other, None, "has the key of {facts:?}");
            }
        }
        assert_eq!(keys.len(), 24 * 48 * 2);
    }

    #[test]
    fn facts_that_no_policy_sees_are_no_part_of_the_key() {
        let (caller, place, readers) = (callers().pop().unwrap(), project("p"), [user("a")]);
        let plain = Target { project: Some(&place), creator: None, is_private: false, readers: &[] };
        let listed = Target { is_private: true, readers: &readers, ..plain };
        let key = |rule, target: &Target<'_>| Facts::new(rule, &caller, target).unwrap().key();
        assert_eq!(key(Rule::SecretAclsGet, &plain), key(Rule::SecretAclsGet, &listed));
        assert_eq!(key(Rule::SecretsGet, &plain), key(Rule::SecretsGet, &Target::none()));
        assert_ne!(key(Rule::SecretGet, &plain), key(Rule::SecretGet, &listed));
    }

    #[test]
    fn every_question_fits_the_schema() {
        let text = include_str!("../../../../config/policy.cedarschema");
        let (schema, _) = Schema::from_cedarschema_str(text).unwrap();
        let (names, readers, place) = (Names::new().unwrap(), [user("a")], project("p"));
        for rule in Rule::ALL {
            for caller in callers() {
                let target = Target {
                    project: Some(&place),
                    creator: caller.user.as_ref(),
                    is_private: true,
                    readers: &readers,
                };
                let facts = Facts::new(*rule, &caller, &target).unwrap();
                let (request, entities) = names.question(&facts).unwrap();
                let (principal, resource) = (request.principal().unwrap(), request.resource().unwrap());
                let again = Request::new(
                    principal.clone(),
                    request.action().unwrap().clone(),
                    resource.clone(),
                    Context::empty(),
                    Some(&schema),
                );
                assert!(again.is_ok(), "{}", rule.as_str());
                assert!(Entities::from_entities(entities, Some(&schema)).is_ok(), "{}", rule.as_str());
            }
        }
    }
}
