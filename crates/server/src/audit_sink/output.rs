//! What audit events are written to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A file that several processes may append to, or a standard stream.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    /// Where the file can be opened anew.
    path: Option<PathBuf>,
    is_plain_file: bool,
    /// Whether a line was cut short.
    is_torn: bool,
}

impl Output {
    /// Opens a file, or makes it.
    pub(super) fn file(path: &Path) -> Result<Self> {
        let file = append_to(path)?;
        let is_plain_file = is_plain(&file);
        Ok(Self { file, path: Some(path.to_owned()), is_plain_file, is_torn: false })
    }

    /// Takes a descriptor of its own: what waits to write here must not keep the stream's lock from others.
    pub(super) fn stream(stream: impl AsFd) -> io::Result<Self> {
        let file = stream.as_fd().try_clone_to_owned()?.into();
        Ok(Self { file, path: None, is_plain_file: false, is_torn: false })
    }

    /// Whether it is a plain file, which nobody at another end can hold up.
    pub(super) const fn is_plain_file(&self) -> bool {
        self.is_plain_file
    }

    /// Opens a file anew, which was moved away to be archived. A stream stays what it is.
    pub(super) fn reopen(&mut self) -> Result<()> {
        if let Some(path) = &self.path {
            self.file = append_to(path)?;
            self.is_plain_file = is_plain(&self.file);
            self.is_torn = false;
        }
        Ok(())
    }

    /// Writes whole lines, or fails and can be asked to go on with what is left in `lines`. One write for all
    /// of them: those of several processes don't mix in a file opened for appending.
    pub(super) fn write(&mut self, lines: &mut &[u8]) -> io::Result<()> {
        if self.is_torn {
            // What there is of the line stays on a line of its own.
            self.file.write_all(b"\n")?;
            self.is_torn = false;
        }
        let mut written = 0;
        let result = loop {
            match self.file.write(&lines[written..]) {
                Ok(some) if written + some == lines.len() => break Ok(()),
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(some) => written += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let whole = match result {
            Ok(()) => lines.len(),
            Err(_) => lines[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1),
        };
        self.is_torn = result.is_err() && whole < written;
        *lines = &lines[whole..];
        result
    }
}

fn is_plain(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
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

    #[test]
    fn a_moved_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        let mut output = Output::file(&path).unwrap();
        output.write(&mut &b"first\n"[..]).unwrap();
        fs::rename(&path, &moved).unwrap();
        output.write(&mut &b"second\n"[..]).unwrap();
        output.reopen().unwrap();
        output.write(&mut &b"third\n"[..]).unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "first\nsecond\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\n");
    }

    #[test]
    fn a_new_log_belongs_to_whoever_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = fs::metadata(folder.path()).unwrap();
        // Only root can give a folder to another user; to others it stays their own.
        let owner = if metadata.uid() == 0 { (12_345, 12_346) } else { (metadata.uid(), metadata.gid()) };
        chown(folder.path(), Some(owner.0), Some(owner.1)).unwrap();
        let path = folder.path().join("audit.log");
        Output::file(&path).unwrap();
        let log = fs::metadata(&path).unwrap();
        assert_eq!((log.uid(), log.gid(), log.mode() & 0o777), (owner.0, owner.1, 0o600));
    }
}
