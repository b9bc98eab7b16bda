//! A bounded share of a processor for some processes: each is as slow as on a small machine of its own, however
//! many share this one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What a process may use of one processor.
pub const SHARE: f64 = 0.2;
/// How often the share is given anew: often enough that nobody waits long for it.
const PERIOD_MICROS: u32 = 10_000;

/// A control group of processes; removed when dropped.
pub struct Share {
    folder: PathBuf,
}

impl Share {
    /// Makes one with [`SHARE`] of a processor.
    ///
    /// # Errors
    /// Where the system has no control groups of that kind, or keeps them to itself.
    pub fn new(name: &str) -> Result<Self> {
        let quota = (SHARE * f64::from(PERIOD_MICROS)) as u32;
        let name = format!("bailey-bench-{}-{name}", std::process::id());
        // The first is version 1, the second version 2 of control groups (cgroups(7)).
        let parents = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"].map(Path::new);
        if parents[0].join("cpu.cfs_quota_us").exists() || parents[0].join("cgroup.procs").exists() {
            let share = Share::make(parents[0].join(name))?;
            share.set("cpu.cfs_period_us", PERIOD_MICROS)?;
            share.set("cpu.cfs_quota_us", quota)?;
            return Ok(share);
        }
        if parents[1].join("cgroup.subtree_control").exists() {
            fs::write(parents[1].join("cgroup.subtree_control"), "+cpu").context("give processors to groups")?;
            let share = Share::make(parents[1].join(name))?;
            share.set("cpu.max", format_args!("{quota} {PERIOD_MICROS}"))?;
            return Ok(share);
        }
        bail!("there are no control groups")
    }

    /// Takes a process in, with all its threads.
    pub fn take(&self, process: u32) -> Result<()> {
        self.set("cgroup.procs", process)
    }

    fn make(folder: PathBuf) -> Result<Self> {
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Share { folder })
    }

    fn set(&self, file: &str, value: impl ToString) -> Result<()> {
        let file = self.folder.join(file);
        fs::write(&file, value.to_string()).with_context(|| file.display().to_string())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // It can't be removed before its processes have ended; one that is left is empty and harmless.
        let _ = fs::remove_dir(&self.folder);
    }
}
