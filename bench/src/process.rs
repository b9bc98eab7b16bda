//! A server started for the measurement: what it costs, and its end.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The kernel counts processor time for `/proc` in these units (`USER_HZ`, 100 on every Linux).
const TICK: Duration = Duration::from_millis(10);

/// A running server; stopped when dropped.
pub struct Process {
    child: Child,
    stop: Signal,
}

impl Process {
    /// Starts `program`, which ends when this process does. Its output goes to the file `log`.
    pub fn start(program: &Path, log: &Path, prepare: impl FnOnce(&mut Command)) -> Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        Self::spawn(command, program, log, Signal::SIGTERM, prepare)
    }

    /// Like [`Process::start`], with the `setpriv` command given and the signal that stops the server.
    pub fn spawn(
        mut command: Command,
        program: &Path,
        log: &Path,
        stop: Signal,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        command.arg(program).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        prepare(&mut command);
        let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        Ok(Process { child, stop })
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails when the server has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "the server ended: {}", ended.unwrap_or_default());
        Ok(())
    }

    /// The processor time it used.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        Ok(Stat::parse(&stat).context("stat")?.own)
    }

    /// The processor time it and its children used.
    pub fn cpu_with_children(&self) -> Result<Duration> {
        let id = self.child.id();
        let mut sum = Duration::ZERO;
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            if path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.parse::<u32>().is_err()) {
                continue;
            }
            // A process may end while we look.
            let Ok(text) = fs::read_to_string(path.join("stat")) else { continue };
            let Some(stat) = Stat::parse(&text) else { continue };
            if stat.id == id {
                sum += stat.own + stat.ended_children;
            } else if stat.parent == id {
                sum += stat.own;
            }
        }
        Ok(sum)
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }

    /// Stops it and waits for its end.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill(Pid::from_raw(self.child.id() as i32), self.stop);
            let _ = self.child.wait();
        }
    }
}

/// The processor time this process used, in all its threads.
pub fn own_cpu() -> Result<Duration> {
    Ok(Stat::parse(&fs::read_to_string("/proc/self/stat")?).context("stat")?.own)
}

/// An address that nobody listens on.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

struct Stat {
    id: u32,
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

impl Stat {
    /// `/proc/PID/stat`, proc(5): the name in parentheses may contain anything.
    fn parse(text: &str) -> Option<Self> {
        let id = text.split(' ').next()?.parse().ok()?;
        let fields: Vec<&str> = text[text.rfind(')')? + 2..].split_ascii_whitespace().collect();
        let ticks = |from: usize| -> Option<Duration> {
            let sum = fields.get(from)?.parse::<u32>().ok()? + fields.get(from + 1)?.parse::<u32>().ok()?;
            Some(TICK * sum)
        };
        Some(Stat { id, parent: fields.get(1)?.parse().ok()?, own: ticks(11)?, ended_children: ticks(13)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_the_last_parenthesis() {
        let text = "12 (a) b (c)) S 7 12 12 0 -1 4194560 1 2 3 4 250 50 10 20 20 0 1 0 100 1 1";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.id, stat.parent), (12, 7));
        assert_eq!((stat.own, stat.ended_children), (Duration::from_secs(3), Duration::from_millis(300)));
    }

    #[test]
    fn working_costs_processor_time() {
        let before = own_cpu().unwrap();
        let mut random = crate::random::Random::new(1);
        while own_cpu().unwrap() < before + TICK * 3 {
            std::hint::black_box(random.draw());
        }
    }
}
