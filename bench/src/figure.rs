//! The figures of one turn, and what several turns say together.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::load::Outcome;

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Operation {
    /// Read a payload of 32 bytes, any of those stored before.
    Payload,
    /// Read the metadata of any of them.
    Metadata,
    /// Store a new payload of 32 bytes, for any of 16 projects.
    Store,
    /// List 10 secrets of any of 16 projects.
    List,
}

impl Operation {
    /// All of them, in the order of the report.
    pub const ALL: [Operation; 4] = [Operation::Payload, Operation::Metadata, Operation::Store, Operation::List];
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Payload => "payload read",
            Operation::Metadata => "metadata read",
            Operation::Store => "store",
            Operation::List => "list of 10",
        })
    }
}

/// Processor time used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    /// By the server.
    pub server: Duration,
    /// By the database beside it, all of its processes.
    pub database: Duration,
    /// By the load generator.
    pub load: Duration,
}

/// What one turn measured.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Right answers a second.
    pub rate: f64,
    /// Half of the answers came within this time.
    pub p50: Duration,
    /// 99 of 100 answers came within this time.
    pub p99: Duration,
    /// Processor time for each request.
    pub cpu: Cpu,
}

impl Figure {
    /// The figures of a turn.
    ///
    /// # Errors
    /// When nothing was answered.
    pub fn of(outcome: &Outcome<Cpu>) -> Result<Self> {
        let count = u32::try_from(outcome.latency.count())?;
        ensure!(count > 0, "no answer in {:?}", outcome.elapsed);
        let (before, after) = (outcome.before, outcome.after);
        Ok(Figure {
            rate: f64::from(count) / outcome.elapsed.as_secs_f64(),
            p50: outcome.latency.quantile(0.5),
            p99: outcome.latency.quantile(0.99),
            cpu: Cpu {
                server: (after.server - before.server) / count,
                database: after.database.saturating_sub(before.database) / count,
                load: (after.load - before.load) / count,
            },
        })
    }

    /// How many times the median a slow answer takes.
    pub fn tail(&self) -> f64 {
        self.p99.as_secs_f64() / self.p50.as_secs_f64()
    }

    /// The median of each figure.
    pub fn median(figures: &[Figure]) -> Option<Figure> {
        Some(Figure {
            rate: median(figures.iter().map(|figure| figure.rate))?,
            p50: median(figures.iter().map(|figure| figure.p50))?,
            p99: median(figures.iter().map(|figure| figure.p99))?,
            cpu: Cpu {
                server: median(figures.iter().map(|figure| figure.cpu.server))?,
                database: median(figures.iter().map(|figure| figure.cpu.database))?,
                load: median(figures.iter().map(|figure| figure.cpu.load))?,
            },
        })
    }
}

/// The median of the rounds' ratios of rates, `ours` over `theirs`: both were measured in each round,
/// one after the other, so what slows the machine for a while slows both.
pub fn ratio(ours: &[Figure], theirs: &[Figure]) -> Option<f64> {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.rate / theirs.rate))
}

/// As [`ratio`], of the processor time that a request costs server and database.
pub fn cost(ours: &[Figure], theirs: &[Figure]) -> Option<f64> {
    let cost = |figure: &Figure| (figure.cpu.server + figure.cpu.database).as_secs_f64();
    median(ours.iter().zip(theirs).map(|(ours, theirs)| cost(ours) / cost(theirs)))
}

/// The middle one of an odd number of figures, the lower middle one of an even number.
pub fn median<T: PartialOrd>(figures: impl Iterator<Item = T>) -> Option<T> {
    let mut figures: Vec<T> = figures.collect();
    figures.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let middle = figures.len().checked_sub(1)? / 2;
    Some(figures.swap_remove(middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(rate: f64) -> Figure {
        Figure { rate, p50: Duration::from_micros(10), p99: Duration::from_micros(50), cpu: Cpu::default() }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let ours = [10.0, 20.0, 60.0].map(rate);
        let theirs = [10.0, 10.0, 40.0].map(rate);
        assert_eq!(ratio(&ours, &theirs), Some(1.5));
        assert_eq!(ratio(&ours, &[]), None);
        assert_eq!(ours[0].tail(), 5.0);
    }

    #[test]
    fn medians_are_the_middle_ones() {
        assert_eq!(median([3, 1, 2].into_iter()), Some(2));
        assert_eq!(median([4, 1, 3, 2].into_iter()), Some(2));
        assert_eq!(median(std::iter::empty::<u8>()), None);
    }
}
