//! Bailey in several processes: an API process and workers, joined by NATS, on the databases and with the keys
//! of an installation that may run beside them.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;

use super::PATIENCE;
use super::bailey::Installation;
use crate::process::{Process, free_address};
use crate::share::{SHARE, Share};

/// Where Debian puts the program; elsewhere it is looked for in `PATH`.
const DEBIAN: &str = "/usr/sbin/nats-server";

/// A NATS server, plain: what passes through it is sealed anyway.
pub struct Nats {
    address: SocketAddr,
    process: Process,
}

impl Nats {
    /// Starts it.
    pub async fn start(folder: &Path) -> Result<Self> {
        let program = Path::new(DEBIAN);
        let program = if program.exists() { program } else { Path::new("nats-server") };
        let address = free_address()?;
        let mut process = Process::start(program, &folder.join("nats.log"), |command| {
            command.args(["-a", "127.0.0.1", "-p", &address.port().to_string()]);
        })?;
        let since = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            process.check().context("nats-server")?;
            ensure!(since.elapsed() < PATIENCE, "nats-server doesn't answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Nats { address, process })
    }
}

/// How the work is divided among processes, all on the same databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// One process does everything.
    Single,
    /// An API process, so many workers, and NATS between them.
    Split(usize, Processor),
}

impl Layout {
    /// All that are measured.
    pub const ALL: [Layout; 5] = [
        Layout::Single,
        Layout::Split(1, Processor::Shared),
        Layout::Split(2, Processor::Shared),
        Layout::Split(1, Processor::Own),
        Layout::Split(2, Processor::Own),
    ];
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layout::Single => f.write_str("one process"),
            Layout::Split(workers, processor) => {
                write!(f, "an API process and {workers} worker{}", if *workers == 1 { "" } else { "s" })?;
                match processor {
                    Processor::Shared => Ok(()),
                    Processor::Own => write!(f, ", {SHARE} of a processor for each"),
                }
            }
        }
    }
}

/// What each worker may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Processor {
    /// What the others leave.
    Shared,
    /// [`SHARE`] of a processor.
    Own,
}

/// An API process with its workers.
pub struct Split {
    /// Where the API listens.
    pub address: SocketAddr,
    processes: Vec<Process>,
    /// Dropped after the processes in them.
    _shares: Vec<Share>,
}

impl Split {
    /// Starts an API process and so many workers, with subjects of their own on `nats`.
    pub async fn start(installation: &Installation, nats: &Nats, workers: usize, processor: Processor) -> Result<Self> {
        let subject = format!("workers-{workers}-{processor:?}");
        let (worker_keys, api_keys) = installation.queue_keys();
        let settings = |keys: &Path| {
            [
                ("BAILEY_QUEUE__NATS__URL", format!("nats://{}", nats.address)),
                ("BAILEY_QUEUE__NATS__SUBJECT", subject.clone()),
                ("BAILEY_QUEUE__KEY_FILE", keys.display().to_string()),
            ]
        };
        let (mut processes, mut shares) = (Vec::new(), Vec::new());
        for number in 0..workers {
            let name = format!("{subject}-{number}");
            let worker = installation.start_worker(&name, settings(&worker_keys), free_address()?).await?;
            if processor == Processor::Own {
                let share = Share::new(&name)?;
                share.take(worker.id())?;
                shares.push(share);
            }
            processes.push(worker);
        }
        let address = free_address()?;
        processes.push(installation.start_api(settings(&api_keys), address).await?);
        Ok(Split { address, processes, _shares: shares })
    }

    /// The processor time that its processes and NATS used.
    pub fn cpu(&self, nats: &Nats) -> Result<Duration> {
        self.processes.iter().chain([&nats.process]).map(Process::cpu).sum()
    }
}
