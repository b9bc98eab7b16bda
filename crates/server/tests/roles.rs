//! API process and worker apart, as far as they get alone, and the keys that join them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, reason = "a test program")]

mod process;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use process::{bailey, bailey_with, free_address, get};
use tempfile::TempDir;

/// A folder with the keys of a queue in it.
struct Keys {
    folder: TempDir,
}

impl Keys {
    fn new() -> Self {
        let keys = Self { folder: tempfile::tempdir().unwrap() };
        let made = keys.queue(&["keygen"]);
        assert!(made.success, "{made:?}");
        keys
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("keys").join(name)
    }

    fn queue(&self, arguments: &[&str]) -> process::Output {
        let data = self.folder.path().to_str().unwrap();
        bailey_with(&[], &[&["queue"], arguments, &["--data-dir", data]].concat())
    }

    /// The lines of a file that are no comments.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    fn states(&self) -> Vec<String> {
        let list = self.queue(&["list", "--json"]).stdout;
        let list: Vec<serde_json::Value> = serde_json::from_str(&list).unwrap();
        list.iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn the_queue_s_keys_are_made_and_followed_by_others() {
    let keys = Keys::new();
    for name in ["queue.key", "queue-api.key"] {
        let mode = fs::metadata(keys.path(name)).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, keys.lines(name).len()), (0o600, 1), "{name}");
    }
    assert!(keys.lines("queue.key")[0].contains("private:"));
    assert!(!keys.lines("queue-api.key")[0].contains("private:"));
    let before = keys.lines("queue.key");
    let again = keys.queue(&["keygen"]);
    assert!(!again.success && again.stderr.contains("is there already"), "{again:?}");
    assert_eq!(keys.lines("queue.key"), before);

    let (old, new) = (before[0].split(' ').next().unwrap().to_owned(), keys.queue(&["add"]).stdout);
    let new = new.trim();
    assert_eq!(keys.states(), ["active", "accepted"]);
    assert!(keys.lines("queue-api.key")[0].starts_with(&old), "API processes don't use it yet");
    assert!(!keys.queue(&["retire", &old]).success, "API processes use it");
    assert!(keys.queue(&["activate", new]).success);
    assert_eq!(keys.states(), ["accepted", "active"]);
    assert!(keys.lines("queue-api.key")[0].starts_with(new));
    assert!(keys.queue(&["retire", &old]).success);
    assert_eq!(keys.states(), ["active"]);
    assert!(!keys.queue(&["activate", &old]).success, "it is gone");

    let audit = fs::read_to_string(keys.folder.path().join("audit.log")).unwrap();
    for action in ["queue keygen", "queue add", "queue activate", "queue retire"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    let secret = keys.lines("queue.key")[0].split(' ').nth(2).unwrap().to_owned();
    assert!(!audit.contains(secret.split_once(':').unwrap().1));
}

/// `bailey api` with nothing but what it needs.
struct Api(Child);

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn api(home: &Path, key_file: &Path, more: &[(&str, &str)]) -> (Api, String) {
    let (address, nats) = (free_address().to_string(), format!("nats://{}", free_address()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailey"));
    command.env_clear().env("HOME", home).env("BAILEY_QUEUE__NATS__URL", nats).env("BAILEY_QUEUE__KEY_FILE", key_file);
    command.envs(more.iter().copied()).args(["api", "--listen", &address]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    (Api(command.spawn().unwrap()), address)
}

#[test]
fn an_api_process_without_nats_answers_503_and_makes_no_file() {
    let (keys, home) = (Keys::new(), tempfile::tempdir().unwrap());
    let (_api, address) = api(home.path(), &keys.path("queue-api.key"), &[]);
    assert!(get(&address, "/livez", None).starts_with("HTTP/1.1 200"));
    assert!(get(&address, "/readyz", None).starts_with("HTTP/1.1 503"));
    let answer = get(&address, "/v1/secrets", Some("token"));
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "it keeps nothing");
}

fn refusal(mut api: Api) -> String {
    let mut said = String::new();
    std::io::Read::read_to_string(&mut api.0.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(api.0.wait().unwrap().code(), Some(1), "{said}");
    said
}

#[test]
fn an_api_process_does_not_start_with_what_is_the_workers() {
    let (keys, home) = (Keys::new(), tempfile::tempdir().unwrap());
    let dsn = [("BAILEY_DATABASE__URL", "postgres://bailey:canary@db/meta")];
    let said = refusal(api(home.path(), &keys.path("queue-api.key"), &dsn).0);
    assert!(said.contains("BAILEY_DATABASE__URL: an API process must not hold it"), "{said}");
    assert!(!said.contains("canary"), "{said}");
    let said = refusal(api(home.path(), &keys.path("queue.key"), &[]).0);
    assert!(said.contains("an API must not have it"), "{said}");
}

#[test]
fn a_worker_needs_nats_and_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    let refused = bailey(["worker", "--data-dir", folder.path().to_str().unwrap()]);
    assert_eq!(refused.code, Some(1));
    for key in ["database.url: ", "vault.url: ", "queue.nats.url: "] {
        assert!(refused.stderr.contains(key), "{key}: {}", refused.stderr);
    }
}
