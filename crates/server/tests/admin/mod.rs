//! Commands beside a server and without one: what they print, and what they leave alone.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use crate::process::{Bailey, Output, bailey, bailey_with, free_address, get, serve_somehow};
use crate::until;

const TO_STDOUT: (&str, &str) = ("BAILEY_AUDIT__SINK", "stdout");

fn create_token(folder: &Path, variables: &[(&str, &str)], more: &[&str]) -> Output {
    let create = ["token", "create", "--project", "p", "--user", "u", "--role", "creator", "--data-dir"];
    let folder = folder.to_str().unwrap();
    bailey_with(variables, &[&create[..], &[folder], more].concat())
}

/// One line, an id and a secret, and nothing else.
fn assert_is_token(stdout: &str) {
    let token = stdout.strip_suffix('\n').unwrap();
    let (id, secret) = token.split_once('.').unwrap();
    assert!(!id.is_empty() && !secret.is_empty() && !token.contains(char::is_whitespace), "{stdout}");
}

#[test]
fn events_that_go_to_stdout_are_not_among_what_a_command_prints() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Bailey::serve(folder.path(), &[]);
    let created = create_token(folder.path(), &[TO_STDOUT], &[]);
    assert!(created.success);
    assert_is_token(&created.stdout);
    let event: serde_json::Value = serde_json::from_str(created.stderr.trim()).unwrap();
    assert_eq!(event["action"], "token create");

    let data = folder.path().to_str().unwrap();
    for list in [["token", "list"], ["mkek", "list"], ["kek", "list"], ["store", "audit"]] {
        let listed = bailey_with(&[TO_STDOUT], &[&list[..], &["--json", "--data-dir", data]].concat());
        serde_json::from_str::<serde_json::Value>(&listed.stdout).unwrap_or_else(|error| panic!("{error}: {listed:?}"));
    }
}

#[test]
fn events_of_a_server_go_to_stdout_alone() {
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let path = folder.path().join("stdout");
    let stdout = Stdio::from(File::create(&path).unwrap());
    let data = folder.path().join("data");
    let _server = serve_somehow(&data, address, &[TO_STDOUT], stdout);
    until(|| data.join("admin.token").exists());
    let token = fs::read_to_string(data.join("admin.token")).unwrap();
    until(|| get(address, "/v1/secrets", Some(token.trim())).starts_with("HTTP/1.1 200"));

    let events = || {
        let text = fs::read_to_string(&path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    until(|| !events().is_empty());
    assert_eq!(events()[0]["action"], "token create");
    assert!(!data.join("audit.log").exists());
}

#[test]
fn a_token_is_shown_though_its_event_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let server = Bailey::serve(folder.path(), &[]);
    let created = create_token(folder.path(), &[("BAILEY_AUDIT__PATH", "/dev/full")], &[]);
    assert_eq!(created.code, Some(1));
    assert_is_token(&created.stdout);
    assert!(created.stderr.contains("the audit event could not be written"), "{}", created.stderr);
    assert!(server.get("/v1/secrets", Some(created.stdout.trim())).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_token_works_until_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = Bailey::serve(folder.path(), &[]);
    let soon = chrono::Utc::now() + chrono::TimeDelta::seconds(20);
    let created = create_token(folder.path(), &[], &["--expires-at", &soon.to_rfc3339()]);
    assert!(created.success, "{created:?}");
    let token = created.stdout.trim();
    let status = || server.get("/v1/secrets", Some(token)).split(' ').nth(1).unwrap().to_owned();
    let (before, after) = (status(), chrono::Utc::now());
    assert!(before == "200" || after >= soon, "{before}");
    until(|| status() == "401");
    assert!(chrono::Utc::now() >= soon);

    let past = create_token(folder.path(), &[], &["--expires-at", "2020-01-01T00:00:00Z"]);
    assert_eq!((past.code, past.stdout.as_str()), (Some(1), ""));
    assert!(past.stderr.contains("expired already"), "{}", past.stderr);
}

#[test]
fn schemas_are_looked_at_and_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let status = || bailey(["db", "status", "--data-dir", data]);
    let empty = status();
    assert_eq!((empty.code, empty.stdout.matches("empty").count()), (Some(1), 2), "{empty:?}");
    assert!(!folder.path().join("metadata.db").exists(), "looking makes no file");

    let migrated = bailey(["db", "migrate", "--data-dir", data]);
    assert!(migrated.success && migrated.stdout.matches("up to date").count() == 2, "{migrated:?}");
    assert!(status().success);
    fs::remove_file(folder.path().join("vault.db")).unwrap();
    let half = status();
    assert_eq!((half.code, half.stdout.matches("up to date").count()), (Some(1), 1), "{half:?}");
    assert!(half.stderr.contains("bailey db migrate"), "{}", half.stderr);

    assert!(bailey(["db", "migrate", "--data-dir", data]).success);
    let audit = fs::read_to_string(folder.path().join("audit.log")).unwrap();
    assert_eq!(audit.matches("\"db migrate\"").count(), 2, "{audit}");
    Bailey::serve(folder.path(), &[]);
}

#[test]
fn only_a_server_makes_key_files() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let refused = || {
        let audit = bailey(["store", "audit", "--data-dir", data]);
        assert_eq!(audit.code, Some(1));
        assert!(audit.stderr.contains("run `bailey serve` first"), "{}", audit.stderr);
    };
    refused();
    assert!(bailey(["db", "migrate", "--data-dir", data]).success);
    refused();
    assert!(!folder.path().join("keys").exists());

    assert!(Bailey::serve(folder.path(), &[]).stop().success());
    assert!(bailey(["store", "audit", "--data-dir", data]).success);
    let stores = "[[stores]]\nname = \"simple\"\nkind = \"simple\"\ndefault = true\n\
                  [[stores]]\nname = \"second\"\nkind = \"simple\"\ndefault = false\n";
    fs::write(folder.path().join("bailey.toml"), stores).unwrap();
    refused();
    let file = folder.path().join("keys/mkek-second.key");
    assert!(!file.exists());
    Bailey::serve(folder.path(), &[]);
    assert!(file.exists(), "a store that was added gets its file at the next start");
}

#[test]
fn nothing_is_restored_before_something_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let refused = || {
        let restore = bailey(["restore", "--data-dir", data]);
        assert_eq!((restore.code, restore.stdout.as_str()), (Some(1), ""));
        assert!(restore.stderr.contains("run `bailey serve` first"), "{}", restore.stderr);
    };
    refused();
    assert!(bailey(["db", "migrate", "--data-dir", data]).success);
    refused();
    assert!(!folder.path().join("keys").exists());
    assert!(Bailey::serve(folder.path(), &[]).stop().success());
    assert!(bailey(["restore", "--data-dir", data]).success);
}
