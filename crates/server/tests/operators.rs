//! What operators start from, as a machine would take it: example configurations, units, the container's file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test program")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const EXAMPLES: [(&str, &str); 5] = [
    ("one-machine.toml", "serve"),
    ("hsm.toml", "serve"),
    ("kmip.toml", "serve"),
    ("api.toml", "api"),
    ("worker.toml", "worker"),
];
const UNITS: [(&str, &str); 3] =
    [("bailey.service", "serve"), ("bailey-api.service", "api"), ("bailey-worker.service", "worker")];

/// What a file handed over as a credential holds.
const CREDENTIALS: [(&str, &str); 4] = [
    ("metadata-dsn", "postgres://bailey:secret@db.example.org/bailey_metadata"),
    ("vault-dsn", "postgres://bailey_vault:secret@db.example.org/bailey_vault"),
    ("nats-password", "secret"),
    ("queue-api.key", "keys"),
];

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

/// `bailey config check` of an example, with these variables and nothing else of the environment.
fn check(example: &str, role: &str, variables: &[(String, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailey"));
    command.env_clear().envs(variables.iter().cloned()).args(["config", "check", "--role", role, "--config"]);
    command.arg(config().join("examples").join(example)).output().unwrap()
}

fn assert_good(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What `file:` values refer to, as variables.
fn passwords() -> Vec<(String, String)> {
    let [(_, metadata), (_, vault), (_, nats), _] = CREDENTIALS;
    let values = [("DATABASE__URL", metadata), ("VAULT__URL", vault), ("QUEUE__NATS__PASSWORD", nats)];
    values.map(|(name, value)| (format!("BAILEY_{name}"), value.to_owned())).to_vec()
}

#[test]
fn every_example_is_good_for_its_process() {
    let listed: Vec<String> = EXAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect();
    for entry in fs::read_dir(config().join("examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "nats.conf" || listed.contains(&name), "{name} is checked by nobody");
    }
    for (example, role) in EXAMPLES {
        let text = fs::read_to_string(config().join("examples").join(example)).unwrap();
        let variables: Vec<_> = passwords()
            .into_iter()
            .filter(|(name, _)| match name.as_str() {
                "BAILEY_QUEUE__NATS__PASSWORD" => text.contains("nats-password"),
                _ => text.lines().any(|line| line.starts_with("url = \"file:")),
            })
            .collect();
        let pin = ("HSM_PIN".to_owned(), "1234".to_owned());
        let variables: Vec<_> = variables.into_iter().chain(text.contains("env:HSM_PIN").then_some(pin)).collect();
        assert_good(&check(example, role, &variables), example);
    }
}

#[test]
fn examples_of_one_process_are_refused_for_another() {
    let of_worker = check("worker.toml", "api", &[("BAILEY_QUEUE__NATS__PASSWORD".to_owned(), "x".to_owned())]);
    let refusals = String::from_utf8(of_worker.stderr).unwrap();
    for key in ["database.url", "vault.url", "keys_dir", "orders.slots"] {
        // What is as it is by default isn't refused.
        let is_default = key == "orders.slots";
        let refusal = format!("{key}: an API process must not hold it");
        assert_eq!(refusals.contains(&refusal), !is_default, "{refusals}");
    }
}

/// The lines of a unit as names and values.
fn unit(name: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(config().join("systemd").join(name)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn values<'a>(unit: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    unit.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn units_start_a_process_with_a_configuration_that_is_good() {
    for (name, role) in UNITS {
        let (unit, folder) = (unit(name), tempfile::tempdir().unwrap());
        let folder = folder.path().to_str().unwrap();
        for credential in values(&unit, "LoadCredential") {
            let (id, path) = credential.split_once(':').unwrap();
            assert_eq!(path, format!("/etc/bailey/{id}"));
            let (_, text) = CREDENTIALS.iter().find(|(known, _)| *known == id).unwrap();
            fs::write(Path::new(folder).join(id), text).unwrap();
        }
        let variables: Vec<_> = values(&unit, "Environment")
            .map(|line| line.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.replace("%d", folder).replace("%S", folder)))
            .collect();
        let start: Vec<&str> = values(&unit, "ExecStart").next().unwrap().split(' ').collect();
        let [binary, command, flag, file] = start[..] else { panic!("{start:?}") };
        assert_eq!((binary, command, flag), ("/usr/bin/bailey", role, "--config"));
        let example = file.strip_prefix("/etc/bailey/").unwrap();
        let example = if role == "serve" { "one-machine.toml" } else { example };
        assert_good(&check(example, role, &variables), name);
    }
}

#[test]
fn units_take_from_an_intruder_what_can_be_taken() {
    for (name, _) in UNITS {
        let unit = unit(name);
        for (option, value) in [
            ("NoNewPrivileges", "yes"),
            ("MemoryDenyWriteExecute", "yes"),
            ("LimitCORE", "0"),
            ("LimitMEMLOCK", "infinity"),
            ("CapabilityBoundingSet", ""),
            ("ProtectSystem", "strict"),
            ("UMask", "0077"),
        ] {
            assert_eq!(values(&unit, option).collect::<Vec<_>>(), [value], "{name}: {option}");
        }
        let user = values(&unit, "User").next().unwrap_or("nobody's");
        assert!(user != "root" && (user == "bailey" || values(&unit, "DynamicUser").eq(["yes"])), "{name}: {user}");
    }
}

/// Where systemd is installed, it says itself what it thinks of them.
#[test]
fn systemd_understands_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in UNITS {
        let text = fs::read_to_string(config().join("systemd").join(name)).unwrap();
        let file = folder.path().join(name);
        fs::write(&file, text.replace("/usr/bin/bailey", env!("CARGO_BIN_EXE_bailey"))).unwrap();
        let verified = Command::new("systemd-analyze").arg("verify").arg(&file).output().unwrap();
        let said = String::from_utf8(verified.stderr).unwrap();
        assert!(verified.status.success() && !said.contains(name), "{said}");
        // In tenths of what it calls exposure; 20 is what it calls OK.
        let exposed = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=20"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(exposed.status.success(), "{name}: {}", String::from_utf8_lossy(&exposed.stdout));
    }
}

#[test]
fn the_container_s_file_builds_what_the_workspace_has() {
    let root = config().join("..");
    let text = fs::read_to_string(root.join("Dockerfile")).unwrap();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(text.contains(&format!("FROM rust:{version}-")), "another Rust than {version}");
    assert!(text.contains("cargo build --release --locked --package bailey-server"));
    assert!(text.contains("target/release/bailey"));
    let ignored = fs::read_to_string(root.join(".dockerignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "target"), "gigabytes would be sent to the builder");
}
