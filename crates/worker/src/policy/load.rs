//! From policy files to a set that may be used: parsed, put together, checked against the schema.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, ValidationWarning, Validator,
};
use miette::Diagnostic;

use super::config::{Compat, Generation, PolicyConfig};
use super::rule::Rule;

const SCHEMA_NAME: &str = "config/policy.cedarschema";
const SCHEMA: &str = include_str!("../../../../config/policy.cedarschema");
const LEGACY: (&str, &str) = ("config/policy.cedar", include_str!("../../../../config/policy.cedar"));
const NEW: (&str, &str) = ("config/policy-new.cedar", include_str!("../../../../config/policy-new.cedar"));
const STRICT: (&str, &str) = ("config/policy-strict.cedar", include_str!("../../../../config/policy-strict.cedar"));

/// Everything that is wrong with a set of policies.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct PolicyError(pub Vec<PolicyProblem>);

impl PolicyError {
    pub(super) fn of(file: impl Into<String>, message: impl fmt::Display) -> Self {
        Self(vec![PolicyProblem { file: file.into(), line: None, message: message.to_string() }])
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProblem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1, if it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// One file of policies.
struct Source {
    name: String,
    text: String,
}

impl Source {
    fn embedded((name, text): (&str, &str)) -> Self {
        Self { name: name.to_owned(), text: text.to_owned() }
    }

    fn read(path: &Path) -> Result<Self, PolicyError> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => Err(PolicyError::of(name, format!("can't be read: {error}"))),
        }
    }

    /// A problem that Cedar found.
    fn problem(&self, error: &dyn Diagnostic) -> PolicyProblem {
        let offset = error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
        let line = offset.map(|offset| self.line(offset));
        let help = error.help().map(|help| format!(" ({help})")).unwrap_or_default();
        PolicyProblem { file: self.name.clone(), line, message: format!("{error}{help}") }
    }

    /// A problem with a policy of this file, whose text Cedar keeps as it was written.
    fn at(&self, policy: impl fmt::Display, message: &str) -> PolicyProblem {
        let line = self.text.find(&policy.to_string()).map(|offset| self.line(offset));
        PolicyProblem { file: self.name.clone(), line, message: message.to_owned() }
    }

    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }
}

/// Policies by their ids, with the file each came from.
#[derive(Default)]
struct Collection {
    sources: Vec<Source>,
    policies: BTreeMap<PolicyId, (usize, Policy)>,
    problems: Vec<PolicyProblem>,
}

impl Collection {
    /// Adds a file's policies. One that repeats the `@id` of an earlier file's policy replaces it.
    fn add(&mut self, source: Source) {
        let number = self.sources.len();
        match source.text.parse::<PolicySet>() {
            Ok(set) => {
                for template in set.templates() {
                    self.problems.push(source.at(template, "a template is never used: write the policy out"));
                }
                for policy in set.policies() {
                    self.add_policy(number, &source, policy);
                }
            }
            Err(errors) => self.problems.extend(errors.iter().map(|error| source.problem(error))),
        }
        self.sources.push(source);
    }

    fn add_policy(&mut self, number: usize, source: &Source, policy: &Policy) {
        let id = match policy.annotation("id") {
            Some(id) => PolicyId::new(id),
            None => PolicyId::new(format!("{}#{}", source.name, policy.id())),
        };
        if policy.entity_literals().iter().any(|entity| entity.type_name().basename() != "Action") {
            let complaint = "entities are known by their attributes only: write principal.user == \"…\", for example";
            self.problems.push(source.at(policy, complaint));
        }
        if self.policies.get(&id).is_some_and(|(other, _)| *other == number) {
            self.problems.push(source.at(policy, &format!("there are two policies with the id {id}")));
        }
        self.policies.insert(id.clone(), (number, policy.new_id(id)));
    }

    /// Checks all policies against the schema.
    fn validate(&mut self) -> Result<PolicySet, PolicyError> {
        let policies = self.policies.values().map(|(_, policy)| policy.clone());
        let set = PolicySet::from_policies(policies).map_err(|error| PolicyError::of("policies", error))?;
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(|error| PolicyError::of(SCHEMA_NAME, error))?;
        let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
        let errors = result.validation_errors().map(|error| (error.policy_id(), error as &dyn Diagnostic));
        let warnings = result.validation_warnings().filter(|warning| never_applies(warning));
        let warnings = warnings.map(|warning| (warning.policy_id(), warning as &dyn Diagnostic));
        for (id, error) in errors.chain(warnings) {
            if let Some((number, _)) = self.policies.get(id) {
                self.problems.push(self.sources[*number].problem(error));
            }
        }
        if self.problems.is_empty() { Ok(set) } else { Err(PolicyError(std::mem::take(&mut self.problems))) }
    }
}

/// A policy that can't ever apply is a mistake, and dangerous where it was meant to forbid.
fn never_applies(warning: &ValidationWarning) -> bool {
    matches!(warning, ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_))
}

/// The set that the configuration asks for.
///
/// # Errors
/// Every problem of every file.
pub(super) fn load(config: &PolicyConfig, compat: Compat) -> Result<PolicySet, PolicyError> {
    let mut collection = Collection::default();
    collection.add(Source::embedded(match config.generation {
        Generation::Legacy => LEGACY,
        Generation::New => NEW,
    }));
    if compat == Compat::Strict {
        collection.add(Source::embedded(STRICT));
    }
    if !config.file.as_os_str().is_empty() {
        collection.add(Source::read(&config.file)?);
    }
    collection.validate()
}

/// Those of the policies that have a say about `rule`. Actions have no groups, so the head of a
/// policy tells.
pub(super) fn about(all: &PolicySet, rule: Rule) -> Result<PolicySet, PolicyError> {
    let is_it = |action: &EntityUid| action.id().unescaped() == rule.as_str();
    let concerned = all.policies().filter(|policy| match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(action) => is_it(&action),
        ActionConstraint::In(actions) => actions.iter().any(is_it),
    });
    PolicySet::from_policies(concerned.cloned()).map_err(|error| PolicyError::of("policies", error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn load_file(text: &str) -> (PathBuf, Result<PolicySet, PolicyError>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.cedar");
        fs::write(&file, text).unwrap();
        let config = PolicyConfig { file: file.clone(), ..PolicyConfig::default() };
        (file, load(&config, Compat::Barbican))
    }

    #[test]
    fn the_schema_knows_exactly_the_rules() {
        let (schema, warnings) = Schema::from_cedarschema_str(SCHEMA).unwrap();
        assert_eq!(warnings.count(), 0);
        let known: BTreeSet<String> = schema.actions().map(|action| action.id().unescaped().to_owned()).collect();
        assert_eq!(known, Rule::ALL.iter().map(|rule| rule.as_str().to_owned()).collect());
    }

    #[test]
    fn every_shipped_set_is_valid_and_names_its_policies() {
        for generation in [Generation::Legacy, Generation::New] {
            for compat in [Compat::Barbican, Compat::Strict] {
                let set = load(&PolicyConfig { generation, ..PolicyConfig::default() }, compat).unwrap();
                assert!(set.policies().all(|policy| policy.annotation("id") == Some(policy.id().as_ref())));
            }
        }
    }

    #[test]
    fn a_mistake_is_refused_with_file_and_line() {
        let mistakes = [
            ("permit (principal, action, resource)", "unexpected end of input"),
            (r#"permit (principal, action == Action::"secret:read", resource);"#, "secret:read"),
            (
                r#"permit (principal, action == Action::"secret:get", resource) when { resource.owner == "x" };"#,
                "owner",
            ),
            (r#"permit (principal, action == Action::"secret:get", resource) when { principal.user == "x" };"#, "user"),
            (
                r#"permit (principal, action == Action::"secret_acls:get", resource) when { resource.private };"#,
                "private",
            ),
            (
                r#"forbid (principal, action in [Action::"secret:get"], resource is Order);"#,
                "unable to find an applicable action",
            ),
            (r#"forbid (principal == Caller::"alice", action, resource);"#, "principal.user"),
            (r#"forbid (principal == ?principal, action, resource);"#, "template"),
            (
                "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") permit (principal, action, resource);",
                "id a",
            ),
        ];
        for (mistake, reason) in mistakes {
            let (file, result) = load_file(&format!("// Ours.\n{mistake}\n"));
            let problems = result.expect_err(mistake).0;
            let problem = problems.iter().find(|problem| problem.message.contains(reason));
            let problem = problem.unwrap_or_else(|| panic!("{mistake}: {problems:#?}"));
            assert_eq!(problem.file, file.display().to_string());
            assert!(problem.line.is_some_and(|line| (2..=3).contains(&line)), "{mistake}: {problem}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = r#"
            permit (principal, action == Action::"a", resource);
            permit (principal, action == Action::"b", resource);
            permit (principal == Caller::"c", action, resource);"#;
        let mut lines: Vec<_> = load_file(text).1.unwrap_err().0.iter().filter_map(|problem| problem.line).collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines, [2, 3, 4]);
    }

    #[test]
    fn the_documented_example_is_valid() {
        let page = include_str!("../../../../docs/policy.md");
        let example = page.split_once("```cedar\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
        let shipped = load(&PolicyConfig::default(), Compat::Barbican).unwrap();
        assert_eq!(load_file(example).1.unwrap().num_of_policies(), shipped.num_of_policies() + 1);
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let config = PolicyConfig { file: "no/such.cedar".into(), ..PolicyConfig::default() };
        let error = load(&config, Compat::Barbican).unwrap_err();
        assert!(error.to_string().starts_with("no/such.cedar: can't be read"), "{error}");
    }

    #[test]
    fn own_policies_add_to_the_default_ones_or_replace_them() {
        let shipped = load(&PolicyConfig::default(), Compat::Barbican).unwrap();
        let text = "@id(\"list\") permit (principal, action == Action::\"secrets:get\", resource);
            forbid (principal, action == Action::\"orders:post\", resource);";
        let set = load_file(text).1.unwrap();
        assert_eq!(set.num_of_policies(), shipped.num_of_policies() + 1);
        let list = set.policy(&PolicyId::new("list")).unwrap().to_string();
        assert!(!list.contains("orders:get"), "{list}");
    }
}
