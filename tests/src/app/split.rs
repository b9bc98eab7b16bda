//! A Bailey in several processes: what joins them, and what each of them may know.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use bailey_testkit::nats::{Nats, PASSWORD, SUBJECT, User};
use bailey_testkit::{ports, process};
use tempfile::TempDir;

use super::TestApp;
use super::node::{Node, Role, bailey};

/// What an API process alone reads, and what it reads like a worker.
const OF_API: [&str; 5] = ["BAILEY_CORS__", "BAILEY_HOST_HREF", "BAILEY_HTTP__", "BAILEY_LIMITS__", "BAILEY_TLS__"];
const OF_BOTH: [&str; 3] = ["BAILEY_LOG__", "BAILEY_QUEUE__", "BAILEY_TRACES__"];

/// What joins API processes and workers.
#[derive(Debug)]
pub(super) struct Split {
    nats: Nats,
    worker_keys: PathBuf,
    api_keys: PathBuf,
    processes: AtomicU32,
}

impl Split {
    /// Makes the queue's keys.
    pub(super) fn prepare(folder: &TempDir) -> Result<Self> {
        let path = |name: &str| folder.path().join(name);
        let (worker_keys, api_keys) = (path("queue.key"), path("queue-api.key"));
        let split = Self { nats: Nats::start()?, worker_keys, api_keys, processes: AtomicU32::new(0) };
        split.queue(folder.path(), &["keygen"])?;
        Ok(split)
    }

    fn queue(&self, folder: &Path, arguments: &[&str]) -> Result<String> {
        let mut queue = bailey(folder, &[]);
        queue.arg("--data-dir").arg(folder.join("queue")).arg("queue").args(arguments);
        queue.arg("--key-file").arg(&self.worker_keys).arg("--api-key-file").arg(&self.api_keys);
        Ok(String::from_utf8(process::run(&mut queue)?)?)
    }

    fn settings(&self, role: Role) -> Vec<(String, String)> {
        let (user, keys) = match role {
            Role::Api => (User::Api, &self.api_keys),
            Role::Worker | Role::Serve => (User::Worker, &self.worker_keys),
        };
        let text = |file: PathBuf| file.display().to_string();
        let settings = [
            ("NATS__URL", self.nats.url()),
            ("NATS__CA_FILE", text(self.nats.ca_file())),
            ("NATS__CERTIFICATE_FILE", text(self.nats.certificate_file())),
            ("NATS__PRIVATE_KEY_FILE", text(self.nats.private_key_file())),
            ("NATS__SUBJECT", SUBJECT.to_owned()),
            ("NATS__USER", user.name().to_owned()),
            ("NATS__PASSWORD", PASSWORD.to_owned()),
            ("KEY_FILE", text(keys.clone())),
        ];
        settings.map(|(name, value)| (format!("BAILEY_QUEUE__{name}"), value)).to_vec()
    }
}

impl TestApp {
    /// Another process of the same deployment, which doesn't run yet.
    ///
    /// # Panics
    /// When it is one process.
    #[must_use]
    pub fn another(&self, role: Role) -> Node {
        assert!(self.split.is_some(), "a Bailey in several processes");
        self.node(role, free_address())
    }

    /// The NATS server that joins the processes.
    ///
    /// # Panics
    /// When it is one process.
    #[must_use]
    pub fn nats(&self) -> &Nats {
        &self.split.as_ref().expect("a Bailey in several processes").nats
    }

    /// Runs `bailey queue` on the keys that join the processes, and returns what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub fn queue(&self, arguments: &[&str]) -> Result<String> {
        let split = self.split.as_ref().context("a Bailey in several processes")?;
        split.queue(self.folder.path(), arguments)
    }

    /// A process with what it may know.
    pub(super) fn node(&self, role: Role, address: SocketAddr) -> Node {
        let listen = address.to_string();
        let mut variables: Vec<_> = self.settings.iter().filter(|(name, _)| reads(role, name)).cloned().collect();
        let mut arguments = match role {
            Role::Serve => vec!["serve", "--listen", &listen],
            Role::Api => vec!["api", "--listen", &listen],
            Role::Worker => vec!["worker"],
        };
        if !self.tokens && role != Role::Api {
            arguments.extend(["--auth", "none-for-development"]);
        }
        if let Some(split) = &self.split {
            variables.extend(split.settings(role));
            let number = split.processes.fetch_add(1, Ordering::Relaxed);
            if role == Role::Worker {
                variables.push(("BAILEY_METRICS__LISTEN".to_owned(), listen.clone()));
                // Each has a folder of its own; key files they share.
                if number > 0 {
                    let folder = self.folder.path().join(format!("data-{number}"));
                    variables.retain(|(name, _)| name != "BAILEY_DATA_DIR" && name != "BAILEY_KEYS_DIR");
                    variables.push(("BAILEY_DATA_DIR".to_owned(), folder.display().to_string()));
                    variables.push(("BAILEY_KEYS_DIR".to_owned(), self.keys_dir().display().to_string()));
                }
            }
        }
        Node::new(role, &arguments, variables, address, self.folder.path())
    }

    /// Where the key files are.
    #[must_use]
    pub fn keys_dir(&self) -> PathBuf {
        let set = self.settings.iter().find(|(name, _)| name == "BAILEY_KEYS_DIR");
        set.map_or_else(|| self.data_dir().join("keys"), |(_, folder)| Path::new(folder).to_owned())
    }
}

/// Whether a process of this role reads a setting; it would refuse any other.
fn reads(role: Role, name: &str) -> bool {
    let is_of = |names: &[&str]| names.iter().any(|prefix| name.starts_with(prefix));
    match role {
        Role::Serve => true,
        Role::Api => is_of(&OF_API) || is_of(&OF_BOTH),
        Role::Worker => !is_of(&OF_API),
    }
}

pub(super) fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()))
}
