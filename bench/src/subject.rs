//! The servers that are measured, each started and filled by its own module.

pub mod bailey;
pub mod barbican;
pub mod bare;
pub mod containers;
pub mod keystone;
pub mod openbao;
pub mod split;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::exchange::{Exchange, request};
use crate::figure::Operation;
use crate::http::Connection;
use crate::process::Process;

/// The servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Server {
    /// Bailey as it is.
    Bailey,
    /// Bailey without its cache of ciphertexts.
    Uncached,
    /// The bare program.
    Bare,
    /// OpenBao.
    #[value(name = "openbao")]
    OpenBao,
}

impl Server {
    /// All of them, in the order of the report.
    pub const ALL: [Server; 4] = [Server::Bailey, Server::Uncached, Server::Bare, Server::OpenBao];
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Server::Bailey => "Bailey",
            Server::Uncached => "Bailey, cache off",
            Server::Bare => "bare",
            Server::OpenBao => "OpenBao",
        })
    }
}

/// Projects that secrets are spread over.
pub const PROJECTS: usize = 16;
/// Connections that fill a server before it is measured.
const FILLING: usize = 32;
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server that keeps secrets, and what to ask it.
pub struct Subject {
    /// Which one it is.
    pub server: Server,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub process: Process,
    /// What it can be asked.
    pub exchanges: BTreeMap<Operation, Rc<[Exchange]>>,
}

/// Waits until the server at `address` answers `GET target` with `status`; gives the time since `since`.
async fn wait(
    process: &mut Process,
    address: SocketAddr,
    target: &str,
    status: u16,
    since: Instant,
) -> Result<Duration> {
    let request = request(address, "GET", target, &[], "");
    while since.elapsed() < PATIENCE {
        process.check()?;
        if let Ok(mut connection) = Connection::open(address).await
            && connection.exchange(&request).await.is_ok_and(|answer| answer.status == status)
        {
            return Ok(since.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("no answer from {address}");
}

/// The text of `key` in a JSON object.
fn text<'a>(object: &'a serde_json::Value, key: &str) -> Result<&'a str> {
    object[key].as_str().with_context(|| format!("no {key}"))
}
