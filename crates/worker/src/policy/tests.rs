#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::io::Write;

use bailey_core::access::Method;
use bailey_core::ids::{ProjectId, UserId};
use tempfile::NamedTempFile;

use super::*;

/// Barbican's own answers, computed with its policy engine.
const TABLE: &str = include_str!("../../../../tests/data/policy-table.csv");
/// What Barbican's default rules for CAs were while it had any, and the same in the roles of the new generation.
const CAS: &str = include_str!("../../../../tests/data/policy-table-cas.csv");

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn project(name: &str) -> ProjectId {
    ProjectId::new(name).unwrap()
}

fn caller(name: &str, roles: &[&str]) -> Caller {
    Caller::new(Some(user(name)), project("here"), roles, Method::StaticToken)
}

fn policy(generation: Generation, compat: Compat) -> Policy {
    Policy::new(&PolicyConfig { generation, ..PolicyConfig::default() }, compat).unwrap()
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn with_file(text: &str) -> (NamedTempFile, PolicyConfig) {
    let file = file(text);
    let config = PolicyConfig { file: file.path().to_owned(), ..PolicyConfig::default() };
    (file, config)
}

/// Alice's request for something of `creator`'s in `project`.
struct Case {
    project: ProjectId,
    creator: Option<UserId>,
    is_private: bool,
    readers: Vec<UserId>,
}

impl Case {
    fn target(&self) -> Target<'_> {
        Target {
            project: Some(&self.project),
            creator: self.creator.as_ref(),
            is_private: self.is_private,
            readers: &self.readers,
        }
    }

    fn of(creator: &str, is_private: bool, readers: &[&str]) -> Self {
        Self {
            project: project("here"),
            creator: Some(user(creator)),
            is_private,
            readers: readers.iter().copied().map(user).collect(),
        }
    }
}

/// A role alone, and with those that an identity service adds to it.
fn role_sets(role: &str) -> Vec<Vec<&str>> {
    match role {
        "none" => vec![vec![]],
        "admin" => vec![vec!["admin"], vec!["admin", "manager", "member", "reader"]],
        "member" => vec![vec!["member"], vec!["member", "reader"]],
        role => vec![vec![role]],
    }
}

/// Every case that a row of the table stands for: a blank column stands for both values.
fn cases(row: &csv::StringRecord) -> Vec<Case> {
    let all = (0..16).map(|bits| [1, 2, 4, 8].map(|bit| bits & bit != 0));
    let fits = |flags: &[bool; 4]| {
        flags.iter().zip(row.iter().skip(3)).all(|(flag, column)| column.is_empty() || (column == "1") == *flag)
    };
    let mut cases = Vec::new();
    for [is_here, is_owner, is_private, is_reader] in all.filter(fits) {
        // Whose it is, if not hers, and who is listed, if not she, must make no difference.
        let creators: &[_] = if is_owner { &[Some("alice")] } else { &[Some("bob"), None] };
        let readers: &[&[_]] = if is_reader { &[&["bob", "alice"]] } else { &[&[], &["bob"]] };
        for (creator, readers) in creators.iter().flat_map(|creator| readers.iter().map(move |list| (creator, list))) {
            cases.push(Case {
                project: project(if is_here { "here" } else { "elsewhere" }),
                creator: creator.map(user),
                is_private,
                readers: readers.iter().copied().map(user).collect(),
            });
        }
    }
    cases
}

#[test]
fn both_generations_decide_as_barbican_does() {
    let policies = [policy(Generation::Legacy, Compat::Barbican), policy(Generation::New, Compat::Barbican)];
    let tables = [TABLE, CAS].map(|table| csv::Reader::from_reader(table.as_bytes()).into_records());
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for row in tables.into_iter().flatten() {
        let row = row.unwrap();
        let rule = *Rule::ALL.iter().find(|rule| rule.as_str() == &row[0]).unwrap_or_else(|| panic!("{row:?}"));
        let generation = ["legacy", "new"].iter().position(|name| *name == &row[1]).unwrap();
        let expected = if &row[7] == "1" { Decision::Allow } else { Decision::Deny };
        seen.insert((rule.as_str(), generation));
        for roles in role_sets(&row[2]) {
            for case in cases(&row) {
                let decision = policies[generation].decide(rule, &caller("alice", &roles), &case.target()).unwrap();
                if decision != expected {
                    wrong.push(row.iter().collect::<Vec<_>>().join(","));
                }
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{} rows are decided wrongly:\n{}", wrong.len(), wrong.join("\n"));
    let all = Rule::ALL.iter().flat_map(|rule| [(rule.as_str(), 0), (rule.as_str(), 1)]).collect();
    assert_eq!(seen, all, "every rule stands in the table, for both generations");
}

#[test]
fn who_has_no_name_owns_nothing_and_stands_in_no_list() {
    let nobody = Caller::new(None, project("here"), ["creator"], Method::NoAuth);
    let case = Case { creator: None, ..Case::of("bob", true, &["bob"]) };
    for generation in [Generation::Legacy, Generation::New] {
        let policy = policy(generation, Compat::Barbican);
        assert_eq!(policy.decide(Rule::SecretDecrypt, &nobody, &case.target()), Ok(Decision::Deny));
    }
}

#[test]
fn strict_closes_what_the_contract_leaves_open() {
    let elsewhere = || Case { project: project("elsewhere"), ..Case::of("bob", false, &["carol"]) };
    let private = || Case::of("bob", true, &["carol"]);
    let lax = [
        (Generation::Legacy, "creator", Rule::SecretAclsPutPatch, private()),
        (Generation::Legacy, "creator", Rule::SecretAclsDelete, private()),
        (Generation::Legacy, "creator", Rule::ContainerAclsPutPatch, private()),
        (Generation::Legacy, "creator", Rule::SecretPut, private()),
        (Generation::Legacy, "audit", Rule::ConsumerGet, elsewhere()),
        (Generation::New, "admin", Rule::SecretGet, elsewhere()),
        (Generation::New, "admin", Rule::SecretDelete, elsewhere()),
        (Generation::New, "admin", Rule::ConsumerGet, elsewhere()),
    ];
    for (generation, role, rule, case) in lax {
        for (compat, expected) in [(Compat::Barbican, Decision::Allow), (Compat::Strict, Decision::Deny)] {
            let decision = policy(generation, compat).decide(rule, &caller("alice", &[role]), &case.target());
            assert_eq!(decision, Ok(expected), "{generation:?} {compat:?} {role} {}", rule.as_str());
        }
    }
}

#[test]
fn strict_leaves_owners_admins_and_listed_readers_alone() {
    let elsewhere = || Case { project: project("elsewhere"), ..Case::of("bob", true, &["alice"]) };
    for generation in [Generation::Legacy, Generation::New] {
        let policy = policy(generation, Compat::Strict);
        for (roles, rule, case) in [
            (["creator", "member"], Rule::SecretPut, Case::of("alice", true, &[])),
            (["creator", "member"], Rule::SecretAclsPutPatch, Case::of("alice", true, &[])),
            (["admin", "admin"], Rule::SecretPut, Case::of("bob", true, &[])),
            (["admin", "admin"], Rule::SecretAclsDelete, Case::of("bob", true, &[])),
            (["creator", "member"], Rule::SecretPut, Case::of("bob", false, &[])),
            (["audit", "reader"], Rule::SecretDecrypt, elsewhere()),
        ] {
            let decision = policy.decide(rule, &caller("alice", &roles), &case.target());
            assert_eq!(decision, Ok(Decision::Allow), "{generation:?} {roles:?} {}", rule.as_str());
        }
    }
}

#[test]
fn strict_alone_hides_what_is_elsewhere() {
    let elsewhere = Case { project: project("elsewhere"), ..Case::of("bob", false, &[]) };
    let here = Case::of("bob", true, &[]);
    let hides = |compat, target: &Target<'_>| policy(Generation::Legacy, compat).hides(&caller("alice", &[]), target);
    assert!(hides(Compat::Strict, &elsewhere.target()));
    assert!(!hides(Compat::Barbican, &elsewhere.target()));
    assert!(!hides(Compat::Strict, &here.target()));
    assert!(!hides(Compat::Strict, &Target::none()));
}

#[test]
fn an_error_is_a_fault_whatever_the_other_policies_say() {
    // The one error that strict validation can't see: an overflow.
    let broken = r#"forbid (principal, action == Action::"secret:get", resource)
        when { resource.readers.containsAny(["x"]) || 9223372036854775807 + 1 > 0 };"#;
    let (_file, config) = with_file(broken);
    let policy = Policy::new(&config, Compat::Barbican).unwrap();
    let case = Case::of("alice", false, &[]);
    for _ in 0..2 {
        let failure = policy.authorise(Rule::SecretGet, &caller("alice", &["admin"]), &case.target()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Internal, "{failure}");
    }
    assert_eq!(policy.authorise(Rule::SecretDecrypt, &caller("alice", &["admin"]), &case.target()), Ok(()));
}

#[test]
fn a_rule_about_a_resource_needs_one() {
    let policy = policy(Generation::Legacy, Compat::Barbican);
    let failure = policy.decide(Rule::SecretGet, &caller("alice", &["admin"]), &Target::none()).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Internal);
    assert_eq!(policy.authorise(Rule::SecretsPost, &caller("alice", &["admin"]), &Target::none()), Ok(()));
}

#[test]
fn a_denial_is_a_failure_without_a_reason() {
    let policy = policy(Generation::Legacy, Compat::Barbican);
    let failure = policy.authorise(Rule::SecretsPost, &caller("alice", &["audit"]), &Target::none()).unwrap_err();
    assert_eq!(failure, Failure::new(FailureKind::Forbidden, ""));
}

#[test]
fn replacing_the_policies_forgets_the_decisions_of_the_old_ones() {
    let alice = caller("alice", &["creator"]);
    let policy = policy(Generation::Legacy, Compat::Barbican);
    assert_eq!(policy.decide(Rule::SecretsPost, &alice, &Target::none()), Ok(Decision::Allow));
    let new = PolicyConfig { generation: Generation::New, ..PolicyConfig::default() };
    policy.replace(&new, Compat::Barbican).unwrap();
    assert_eq!(policy.decide(Rule::SecretsPost, &alice, &Target::none()), Ok(Decision::Deny));
}

#[test]
fn an_invalid_set_replaces_nothing() {
    let alice = caller("alice", &["creator"]);
    let policy = policy(Generation::Legacy, Compat::Barbican);
    let (_file, config) = with_file("forbid (principal, action, resource);\npermit (");
    policy.replace(&config, Compat::Barbican).unwrap_err();
    assert_eq!(policy.decide(Rule::SecretsPost, &alice, &Target::none()), Ok(Decision::Allow));
}
