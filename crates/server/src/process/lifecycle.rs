//! From a process's start to its end: signals, metrics, and what is to be looked at now and then.

use std::time::Duration;

use anyhow::Result;
use bailey_api::State;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior};

use crate::config::Config;
use crate::metrics::{self, Collector};

/// Between two looks at the key files, each followed by a report of the versions held.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Between two times that histograms are tidied: until then they hold each single time they were told.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);

/// What a process is told, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The clock: look whether a file has changed.
    Look,
    /// SIGHUP: read files again.
    HangUp,
    /// SIGTERM or SIGINT: end.
    Stop,
}

/// Signals, clock and metrics of a process.
pub struct Lifecycle {
    collector: Collector,
    state: State,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    look: Interval,
    tidy: Interval,
}

impl Lifecycle {
    /// Serves metrics if that is wanted, with what `state` tells of the process, and takes the signals. To be
    /// called once.
    ///
    /// # Errors
    /// When metrics can't be served where they should.
    pub fn begin(config: &Config, collector: Collector, state: &State) -> Result<Self> {
        if let Some(address) = config.metrics.listen {
            tokio::spawn(metrics::serve(&collector, address, state.clone())?);
        }
        Ok(Self {
            collector,
            state: state.clone(),
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            look: every(LOOK_INTERVAL),
            tidy: every(TIDY_INTERVAL),
        })
    }

    /// Waits for the next event.
    pub async fn next(&mut self) -> Event {
        loop {
            tokio::select! {
                _ = self.tidy.tick() => self.collector.tidy(),
                _ = self.look.tick() => return Event::Look,
                _ = self.hang_up.recv() => return Event::HangUp,
                () = stop(&mut self.terminate, &mut self.interrupt) => return Event::Stop,
            }
        }
    }

    /// Lets what is under way finish, unless a second signal says that there is no time for it.
    pub async fn end(mut self, finish: impl Future<Output = ()>) {
        tracing::info!("stopping: finishing what is in flight");
        self.state.end();
        tokio::select! {
            () = finish => tracing::info!("stopped"),
            () = stop(&mut self.terminate, &mut self.interrupt) => {
                tracing::warn!("stopped at once, as asked for a second time");
            }
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

async fn stop(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
