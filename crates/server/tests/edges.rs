//! Which crate imports which: the table of `docs/architecture.md`, held against `cargo metadata`.

#![allow(clippy::expect_used, reason = "a test program")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Ours that a crate of ours may import; `server` and `tests` may import everything.
const ALLOWED: [(&str, &[&str]); 16] = [
    ("core", &[]),
    ("sql", &["core"]),
    ("queue", &["core"]),
    ("auth", &["core"]),
    ("store-simple", &["core"]),
    ("store-pkcs11", &["core"]),
    ("ca-plugin", &["core"]),
    ("store-kmip", &["core"]),
    ("testkit", &["core"]),
    ("db", &["core", "sql"]),
    ("vault", &["core", "sql"]),
    ("api", &["core", "queue"]),
    ("worker", &["core", "db", "queue"]),
    ("migrations", &[]),
    ("bench", &["testkit"]),
    (
        "fuzz-targets",
        &[
            "api",
            "auth",
            "ca-plugin",
            "core",
            "queue",
            "store-kmip",
            "store-pkcs11",
            "store-simple",
            "testkit",
            "worker",
        ],
    ),
];

const UNLIMITED: [&str; 2] = ["server", "tests"];

/// Others' crates that only some of ours may know.
const CONFINED: [(&str, &[&str]); 7] = [
    ("sea-orm", &["sql", "db", "vault", "migrations"]),
    ("sea-orm-migration", &["migrations"]),
    ("sqlx", &["sql", "bench", "testkit", "tests"]),
    ("actix-web", &["api", "server", "bench", "fuzz-targets"]),
    ("cedar-policy", &["worker"]),
    ("cryptoki", &["store-pkcs11", "bench"]),
    ("clap", &["server", "bench"]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// Normal dependencies by crate; ours without their prefix.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"].as_array().expect("dependencies").iter();
            let names = normal.filter(|dependency| dependency["kind"].is_null()).map(name);
            (name(package), names.collect())
        })
        .collect()
}

fn name(value: &Value) -> String {
    let name = value["name"].as_str().expect("a name");
    name.strip_prefix("bailey-").unwrap_or(name).to_owned()
}

fn forbidden(dependencies: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut edges = Vec::new();
    for (from, imports) in dependencies {
        let allowed = ALLOWED.iter().find(|(name, _)| name == from).map(|(_, allowed)| *allowed);
        for import in imports {
            let is_ours = dependencies.contains_key(import);
            let ours_ok =
                !is_ours || UNLIMITED.contains(&from.as_str()) || allowed.is_some_and(|ok| ok.contains(&&**import));
            let confined = CONFINED.iter().find(|(name, _)| name == import);
            if !ours_ok || confined.is_some_and(|(_, may)| !may.contains(&&**from)) {
                edges.push(format!("{from} -> {import}"));
            }
        }
    }
    edges
}

#[test]
fn no_crate_imports_what_it_must_not_know() {
    let dependencies = dependencies();
    let known: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).chain(UNLIMITED).collect();
    let unknown: Vec<_> = dependencies.keys().filter(|name| !known.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "crates that are not in the table: {unknown:?}");
    assert_eq!(forbidden(&dependencies), Vec::<String>::new());
}

#[test]
fn a_forbidden_edge_is_found() {
    let mut dependencies = dependencies();
    for (from, import) in [("api", "db"), ("core", "sea-orm"), ("auth", "worker"), ("worker", "vault")] {
        dependencies.get_mut(from).expect("a crate of ours").insert(import.to_owned());
    }
    assert_eq!(forbidden(&dependencies), ["api -> db", "auth -> worker", "core -> sea-orm", "worker -> vault"]);
}

/// The README's first command is `cargo run`: without default members it would run something else.
#[test]
fn cargo_run_runs_bailey() {
    let metadata = metadata();
    let default = metadata["workspace_default_members"].as_array().expect("default members");
    assert_eq!(default.len(), 1, "{default:?}");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["id"] == default[0]).expect("the default member");
    let targets = package["targets"].as_array().expect("targets");
    let programs = targets.iter().filter(|target| target["kind"][0] == "bin").map(name);
    assert_eq!(programs.collect::<Vec<_>>(), ["bailey"]);
}
