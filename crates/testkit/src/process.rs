//! Child processes that never outlive the test program.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a process may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running child; stopped when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stop_signal: Signal,
}

impl Process {
    /// Starts `command`, which should come from [`command`]. Dropping sends SIGTERM, then SIGKILL.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn start(command: Command) -> Result<Self> {
        let what = format!("{command:?}");
        let child = spawn(command).with_context(|| format!("starting {what}"))?;
        Ok(Self { child, stop_signal: Signal::SIGTERM })
    }

    /// Uses `signal` instead of SIGTERM to end it.
    #[must_use]
    pub fn stopped_by(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The pipes, if `command` asked for any.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it has ended and been waited for.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.pid())?), signal)?)
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("process {} still runs after {limit:?}", self.pid());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// When it doesn't end in time; it is killed then.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if self.is_running() {
            self.signal(self.stop_signal)?;
        }
        self.wait(PATIENCE).inspect_err(|_| self.kill())
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// A command that is told to end when the test program does, with no input.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program).stdin(Stdio::null());
    command
}

/// Runs `command` to its end.
///
/// # Errors
/// When it can't be started or fails; the error carries what it wrote to stderr.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// Set in a program that is run again.
const AGAIN: &str = "TESTKIT_RUN_AGAIN";

/// Runs this program again with the same arguments and `environment`; what it ends with.
///
/// # Errors
/// When it can't be started, ends by a signal, or is itself run again already.
pub fn again(environment: impl IntoIterator<Item = (&'static str, OsString)>) -> Result<ExitCode> {
    if is_again() {
        bail!("run again, and not in the environment that was asked for");
    }
    let mut command = this_program(environment)?;
    command.args(std::env::args_os().skip(1));
    let status = spawn(command)?.wait()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.with_context(|| format!("run again, it ended by itself: {status}"))?))
}

/// This program, to be run again in `environment`.
///
/// # Errors
/// When the system doesn't tell where it is.
pub fn this_program(environment: impl IntoIterator<Item = (&'static str, OsString)>) -> Result<Command> {
    let mut command = command(std::env::current_exe()?);
    command.env(AGAIN, "1").envs(environment);
    Ok(command)
}

/// Ends this program without what libraries have registered for its end, which isn't safe while threads are
/// inside them.
pub fn leave(code: u8) -> ! {
    let _flushed = std::io::stdout().flush();
    signal_hook::low_level::exit(code.into())
}

/// Whether this program is one that was run again.
#[must_use]
pub fn is_again() -> bool {
    std::env::var_os(AGAIN).is_some()
}

/// Tries `attempt` until it succeeds.
///
/// # Errors
/// The last error, when it has not succeeded within `limit`.
pub fn until<T>(limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > deadline => return Err(error.context(format!("not within {limit:?}"))),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Resident memory of a process in bytes, as the kernel counts it.
///
/// # Errors
/// When there is no such process.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

type Spawning = (Command, mpsc::SyncSender<std::io::Result<Child>>);

/// Spawns from a thread that lives as long as the program: the kernel sends the parent-death signal
/// when the *thread* that made the child ends, and a test's thread ends with its test.
fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Spawning>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Spawning>();
        std::thread::spawn(move || {
            for (mut command, reply) in receiver {
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, answer) = mpsc::sync_channel(1);
    spawner.send((command, reply)).ok().context("the spawning thread is gone")?;
    Ok(answer.recv()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_process_is_gone() {
        let mut sleeper = command("sleep");
        sleeper.arg("60");
        let process = Process::start(sleeper).unwrap();
        let pid = process.pid();
        assert!(resident_bytes(pid).is_ok());
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_process_outlives_the_thread_that_started_it() {
        let mut process = std::thread::spawn(|| {
            let mut sleeper = command("sleep");
            sleeper.arg("60");
            Process::start(sleeper).unwrap()
        })
        .join()
        .unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(process.is_running());
    }
}
