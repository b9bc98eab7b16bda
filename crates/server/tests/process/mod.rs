//! Runs the binary.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Output {
    pub success: bool,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

fn command() -> Command {
    command_named(env!("CARGO_BIN_EXE_bailey"))
}

fn command_named(name: &str) -> Command {
    let mut command = Command::new(name);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BAILEY_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn bailey<const N: usize>(arguments: [impl AsRef<OsStr>; N]) -> Output {
    bailey_with(&[], &arguments)
}

/// Runs a command to its end, with these variables.
pub fn bailey_with(variables: &[(&str, &str)], arguments: &[impl AsRef<OsStr>]) -> Output {
    let output = command().envs(variables.iter().copied()).args(arguments).output().expect("bailey runs");
    Output {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("stdout is text"),
        stderr: String::from_utf8(output.stderr).expect("stderr is text"),
    }
}

/// Starts a server that may never get as far as its banner.
pub fn serve_somehow(folder: &Path, listen: SocketAddr, variables: &[(&str, &str)], stdout: Stdio) -> Somehow {
    let mut command = command();
    command.args(["serve", "--listen", &listen.to_string(), "--data-dir"]).arg(folder).envs(variables.iter().copied());
    Somehow(command.stdout(stdout).stderr(Stdio::null()).spawn().expect("bailey starts"))
}

/// A server in whatever state, killed when dropped.
pub struct Somehow(Child);

impl Drop for Somehow {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address that nobody listens on.
pub fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port")
}

/// The whole answer to a GET, once somebody listens.
pub fn get(address: impl ToSocketAddrs, path: &str, token: Option<&str>) -> String {
    let deadline = Instant::now() + PATIENCE;
    let mut stream = loop {
        match TcpStream::connect(&address) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "nobody listens: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let token = token.map(|token| format!("X-Auth-Token: {token}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{token}Connection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// A running server, killed when dropped.
pub struct Bailey {
    child: Child,
    banner: String,
    address: String,
}

impl Bailey {
    /// Starts it on a free port and waits for its banner.
    pub fn serve(folder: &Path, more: &[&str]) -> Self {
        Self::started_by(command(), folder, more)
    }

    /// The same, after these commands of a shell.
    pub fn serve_after(shell: &str, folder: &Path) -> Self {
        let mut command = command_named("sh");
        command.args(["-c", &format!("{shell}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_bailey")]);
        Self::started_by(command, folder, &[])
    }

    fn started_by(mut command: Command, folder: &Path, more: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("bailey starts");
        // The banner is one write, and smaller than a pipe takes at once.
        let mut stdout = child.stdout.take().expect("stdout");
        let mut bytes = [0; 4096];
        let length = stdout.read(&mut bytes).expect("a banner");
        let banner = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let address = banner.split_once("http://").and_then(|(_, rest)| rest.split_once(','));
        let address = address.unwrap_or_else(|| panic!("no banner: {banner}")).0.to_owned();
        thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Self { child, banner, address }
    }

    pub fn banner(&self) -> &str {
        &self.banner
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The whole answer to a GET.
    pub fn get(&self, path: &str, token: Option<&str>) -> String {
        get(&self.address, path, token)
    }

    /// Asks it to end, and waits.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }

    /// Ends it without warning.
    pub fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("a status");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("it is signalled");
    }
}

impl Drop for Bailey {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
