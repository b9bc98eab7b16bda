//! What the processes that stay are made of: `bailey serve` has both halves, `bailey api` the one that
//! serves the API, `bailey worker` the one that works.

mod back;
mod front;
mod lifecycle;
mod queue_keys;

pub use back::Back;
pub use front::Front;
pub use lifecycle::{Event, Lifecycle};
pub use queue_keys::QueueKeys;

use anyhow::Result;
use tokio::runtime::Builder;

use crate::config::{Config, Sources, load};
use crate::folder::{self, FolderLock};
use crate::metrics::Collector;
use crate::traces::Exporter;
use crate::{hardening, logging, open_files};

/// What shows what a process does. It is there before all else: what is made earlier is not counted.
pub struct Instruments {
    collector: Collector,
    traces: Option<Exporter>,
}

/// Reads the configuration, starts what shows what the process does, and has the system treat it as one that
/// holds keys.
///
/// # Errors
/// All that is wrong with the configuration.
pub fn prepare(sources: &Sources) -> Result<(Config, Instruments)> {
    let mut config = load(sources)?.config;
    let collector = Collector::start()?;
    let traces = logging::start(&config.log, &config.traces)?;
    hardening::protect_memory();
    config.http.max_connections = open_files::connections(&config, open_files::raise());
    Ok((config, Instruments { collector, traces }))
}

/// Makes the folders of data and key files, and takes the lock of the first.
///
/// # Errors
/// When a folder can't be made or is something else's, or another process uses it.
pub fn take_folder(config: &Config) -> Result<FolderLock> {
    folder::prepare(&config.data_dir)?;
    let lock = FolderLock::take(&config.data_dir)?;
    folder::prepare(&config.keys_dir)?;
    Ok(lock)
}

/// Runs a process to its end, that of its traces included.
///
/// # Errors
/// Its own.
pub fn run<F>(instruments: Instruments, work: impl FnOnce(Collector) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let Instruments { collector, traces } = instruments;
    let result = Builder::new_multi_thread().enable_all().build()?.block_on(work(collector));
    if let Some(traces) = traces {
        traces.finish();
    }
    result
}
