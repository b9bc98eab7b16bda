//! A private Knot DNS on a free port of 127.0.0.1, with one zone that takes signed updates.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::memory::random;
use crate::ports;
use crate::process::{self, Process};

const PATIENCE: Duration = Duration::from_secs(20);
const PROGRAM: &str = "/usr/sbin/knotd";

/// The zone; every name in it is 127.0.0.1.
pub const ZONE: &str = "example.test";
/// What the key is called that signs updates, which is one of `hmac-sha256`.
pub const KEY_NAME: &str = "bailey-updates";

/// A running name server; stopped and removed when dropped.
#[derive(Debug)]
pub struct Knot {
    _server: Process,
    port: u16,
    key: String,
    folder: TempDir,
}

impl Knot {
    /// Starts one.
    ///
    /// # Errors
    /// When Knot isn't installed or doesn't start.
    pub fn start() -> Result<Self> {
        anyhow::ensure!(Path::new(PROGRAM).is_file(), "knotd is not installed: run scripts/install-test-needs");
        let folder = tempfile::Builder::new().prefix("bailey-knot-").tempdir()?;
        let (port, key) = (ports::free(), STANDARD.encode(random()));
        let here = folder.path().display();
        std::fs::write(
            folder.path().join("zone"),
            format!(
                "{ZONE}. 60 IN SOA ns.{ZONE}. root.{ZONE}. 1 60 60 600 0\n{ZONE}. 60 IN NS ns.{ZONE}.\n\
                 {ZONE}. 60 IN A 127.0.0.1\n*.{ZONE}. 60 IN A 127.0.0.1\n"
            ),
        )?;
        std::fs::write(
            folder.path().join("knot.conf"),
            format!(
                "server:\n    rundir: \"{here}\"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 2\n    \
                 background-workers: 1\n\
                 log:\n  - target: stderr\n    any: info\n\
                 database:\n    storage: \"{here}\"\n    journal-db-max-size: 16M\n    kasp-db-max-size: 16M\n    \
                 timer-db-max-size: 16M\n    catalog-db-max-size: 16M\n\
                 key:\n  - id: {KEY_NAME}\n    algorithm: hmac-sha256\n    secret: {key}\n\
                 acl:\n  - id: updates\n    key: {KEY_NAME}\n    action: update\n\
                 zone:\n  - domain: {ZONE}\n    storage: \"{here}\"\n    file: zone\n    acl: updates\n    journal-max-usage: 8M\n"
            ),
        )?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut server = process::command(PROGRAM);
        server.arg("-c").arg(folder.path().join("knot.conf")).stdout(Stdio::null()).stderr(log);
        let knot = Self { _server: Process::start(server)?, port, key, folder };
        process::until(PATIENCE, || Ok(TcpStream::connect(knot.address())?)).with_context(|| knot.log())?;
        Ok(knot)
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The key that signs updates, in base64.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the server wrote to its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
