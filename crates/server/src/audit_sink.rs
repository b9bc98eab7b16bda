//! Where audit events go: a file or a standard stream, one JSON line each.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use bailey_core::audit::{AuditEvent, AuditSink, Outcome};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Where audit events go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditConfig {
    /// Kind of the sink.
    pub sink: SinkKind,
    /// The file; `audit.log` in the data folder, if empty.
    pub path: PathBuf,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { sink: SinkKind::File, path: PathBuf::new() }
    }
}

/// A kind of sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkKind {
    /// A file that is only appended to.
    File,
    /// Standard output of `serve`; commands use stderr, because their stdout is their result.
    Stdout,
}

/// The sink that is configured.
pub enum Audit {
    /// A file.
    File(Arc<FileSink>),
    /// A standard stream.
    Stream(Arc<StreamSink>),
}

impl Audit {
    /// Opens it for `serve`.
    ///
    /// # Errors
    /// When a file can't be opened or made.
    pub fn open(config: &AuditConfig) -> Result<Self> {
        Self::open_or(config, StreamSink::Stdout)
    }

    /// Opens it for a command, whose stdout is its result.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_for_command(config: &AuditConfig) -> Result<Self> {
        Self::open_or(config, StreamSink::Stderr)
    }

    fn open_or(config: &AuditConfig, stream: StreamSink) -> Result<Self> {
        Ok(match config.sink {
            SinkKind::File => Self::File(Arc::new(FileSink::open(&config.path)?)),
            SinkKind::Stdout => Self::Stream(Arc::new(stream)),
        })
    }

    /// Where to write events.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn AuditSink> {
        match self {
            Self::File(sink) => Arc::clone(sink) as _,
            Self::Stream(sink) => Arc::clone(sink) as _,
        }
    }

    /// Opens a file anew: it was moved away, to be archived.
    pub fn reopen(&self) {
        if let Self::File(sink) = self
            && let Err(error) = sink.reopen()
        {
            tracing::error!(error = format!("{error:#}"), "audit events go on going to the old file");
        }
    }
}

/// What an operator did at the machine itself; `trouble` is why it failed, if it did.
#[must_use]
pub fn operator_event(
    time: DateTime<Utc>,
    action: &str,
    target: Option<String>,
    trouble: Option<String>,
) -> AuditEvent {
    AuditEvent {
        time,
        request_id: None,
        user: Some("operator".to_owned()),
        project: None,
        method: Some("local"),
        action: action.to_owned(),
        target,
        outcome: if trouble.is_none() { Outcome::Success } else { Outcome::Failure },
        reason: trouble,
    }
}

/// A file that several processes may append to.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    file: Mutex<File>,
}

impl FileSink {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When that can't be done.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), file: Mutex::new(append_to(path)?) })
    }

    fn reopen(&self) -> Result<()> {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = append_to(&self.path)?;
        Ok(())
    }
}

impl AuditSink for FileSink {
    fn write(&self, event: &AuditEvent) -> io::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line(event)?)
    }
}

/// A standard stream.
#[derive(Debug, Clone, Copy)]
pub enum StreamSink {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl AuditSink for StreamSink {
    fn write(&self, event: &AuditEvent) -> io::Result<()> {
        let line = line(event)?;
        match self {
            Self::Stdout => write_whole(io::stdout().lock(), &line),
            Self::Stderr => write_whole(io::stderr().lock(), &line),
        }
    }
}

fn write_whole(mut stream: impl Write, line: &[u8]) -> io::Result<()> {
    stream.write_all(line)?;
    stream.flush()
}

/// One write per event: lines of several processes never mix in a file opened for appending.
fn line(event: &AuditEvent) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    Ok(line)
}

fn append_to(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).mode(0o600);
    let opened = match options.clone().create_new(true).open(path) {
        Ok(file) => give_to_owner_of_folder(path, &file).map(|()| file),
        // `create`: it may have been moved away this moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.create(true).open(path),
        Err(error) => Err(error),
    };
    opened.with_context(|| format!("the audit log {} can't be opened", path.display()))
}

/// `sudo bailey token list` may be the first to come after the log was moved away, and must not take
/// it from the server's user.
fn give_to_owner_of_folder(path: &Path, file: &File) -> io::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::metadata(folder)?;
    fchown(file, Some(folder.uid()), Some(folder.gid()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::chown;

    use super::*;

    fn event(action: &str) -> AuditEvent {
        operator_event(Utc::now(), action, None, None)
    }

    #[test]
    fn each_event_is_a_line_and_a_moved_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        let sink = FileSink::open(&path).unwrap();
        sink.write(&event("first")).unwrap();
        fs::rename(&path, &moved).unwrap();
        sink.write(&event("second\n")).unwrap();
        sink.reopen().unwrap();
        sink.write(&event("third")).unwrap();

        let lines = |path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&moved).len(), 2);
        let [third] = lines(&path).try_into().unwrap();
        let third: serde_json::Value = serde_json::from_str(&third).unwrap();
        assert_eq!((&third["action"], &third["outcome"]), (&"third".into(), &"success".into()));
    }

    #[test]
    fn a_new_log_belongs_to_whoever_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = fs::metadata(folder.path()).unwrap();
        // Only root can give a folder to another user; to others it stays their own.
        let owner = if metadata.uid() == 0 { (12_345, 12_346) } else { (metadata.uid(), metadata.gid()) };
        chown(folder.path(), Some(owner.0), Some(owner.1)).unwrap();
        let path = folder.path().join("audit.log");
        FileSink::open(&path).unwrap();
        let log = fs::metadata(&path).unwrap();
        assert_eq!((log.uid(), log.gid(), log.mode() & 0o777), (owner.0, owner.1, 0o600));
    }
}
