//! What Prometheus' client libraries tell of every process.
//!
//! Written as text, since the recorder's counters have no fractions.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeVal;

use super::catalogue::METRICS;

/// The process, which began now.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    started: Duration,
}

impl Process {
    /// To be called when it starts.
    #[must_use]
    pub fn begin() -> Self {
        Self { started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    /// Its metrics, in Prometheus' text format. What the system doesn't tell is left out.
    #[must_use]
    pub fn render(self) -> String {
        let mut text = String::new();
        for (name, value) in [
            ("process_start_time_seconds", Some(self.started.as_secs_f64())),
            ("process_cpu_seconds_total", cpu_seconds()),
            ("process_resident_memory_bytes", resident_memory()),
            ("process_open_fds", open_files()),
            ("process_max_fds", getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft as f64)),
        ] {
            let metric = METRICS.iter().find(|metric| metric.name == name);
            if let (Some(metric), Some(value)) = (metric, value) {
                let (help, kind) = (metric.help, metric.kind.as_str());
                let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
            }
        }
        text
    }
}

fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn resident_memory() -> Option<f64> {
    let pages: u32 = std::fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    let page_size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(f64::from(pages) * f64::from(i32::try_from(page_size).ok()?))
}

fn open_files() -> Option<f64> {
    let descriptors = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(f64::from(u32::try_from(descriptors.count()).ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_process_is_measured() {
        let process = Process::begin();
        let text = process.render();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap().parse().unwrap()
        };
        assert!(value("process_start_time_seconds") > 1.7e9);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_open_fds") >= 3.0 && value("process_open_fds") < value("process_max_fds"));
        assert_eq!(text.matches("# TYPE").count(), 5);
    }
}
