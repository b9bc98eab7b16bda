//! Files that hold keys: closed to others, replaced as a whole, and durable before anything depends on them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bailey_core::keyring::KeySourceError;
use bailey_core::sensitive::SecretText;
use zeroize::Zeroizing;

/// Changes whenever a file is replaced or written to.
pub type Stamp = (u64, i64, i64, u64);

/// Tells one state of a file from another; `None` while it isn't there.
#[must_use]
pub fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))
}

/// What a key file holds.
///
/// # Errors
/// When it can't be read, or others can.
pub fn read(path: &Path) -> Result<Zeroizing<String>, KeySourceError> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    read_closed(path, credentials.as_deref())
}

/// systemd gives a service its credentials by access control lists, in a folder of the service alone; such a
/// list shows as the group's right to read.
fn read_closed(path: &Path, credentials: Option<&Path>) -> Result<Zeroizing<String>, KeySourceError> {
    let name = path.display();
    let unreadable = |error: io::Error| KeySourceError(format!("the key file {name} can't be read: {error}"));
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    let is_credential = credentials.is_some_and(|folder| path.parent() == Some(folder));
    let closed = if is_credential { 0o037 } else { 0o077 };
    if mode & closed != 0 {
        return Err(KeySourceError(format!(
            "the key file {name} is open to others (mode {mode:04o}): find out who may have read it, then \
             `chmod 600 {name}`"
        )));
    }
    fs::read_to_string(path).map(Zeroizing::new).map_err(unreadable)
}

/// Replaces a file's text by what `change` makes of it; the file is made if it isn't there. Durable when this
/// returns.
///
/// # Errors
/// What `change` says, or that the file can't be read or written. It then is as it was before.
pub fn edit(path: &Path, change: impl FnOnce(Option<&str>) -> Result<SecretText>) -> Result<()> {
    let folder = path.parent().context("a key file is in a folder")?;
    let folder_file = File::open(folder).with_context(|| format!("{} can't be opened", folder.display()))?;
    // Of two commands that change it at the same time neither may lose what the other did.
    folder_file.lock().with_context(|| format!("{} can't be locked", folder.display()))?;
    let text = path.exists().then(|| read(path)).transpose()?;
    let text = change(text.as_deref().map(String::as_str))?;
    replace(path, folder, text.expose().as_bytes()).with_context(|| format!("{} can't be written", path.display()))?;
    folder_file.sync_all().with_context(|| format!("{} can't be written", folder.display()))
}

fn replace(path: &Path, folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    // What a process that died left there is nobody's: the folder is locked. It is removed, not
    // written over, so that the mode is ours.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let owner = if path.exists() { path } else { folder };
    let written =
        file.write_all(bytes).and_then(|()| give_to_owner_of(owner, &temporary)).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    renamed.inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// `sudo bailey mkek add` must not take the file away from the server's user, nor a first file from the
/// owner of its folder.
fn give_to_owner_of(owner: &Path, temporary: &Path) -> io::Result<()> {
    let (old, new) = (fs::metadata(owner)?, fs::metadata(temporary)?);
    // Only root can, and only for root it matters.
    if (old.uid(), old.gid()) == (new.uid(), new.gid()) || new.uid() != 0 {
        return Ok(());
    }
    chown(temporary, Some(old.uid()), Some(old.gid()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::Permissions;

    use super::*;

    #[test]
    fn what_systemd_hands_over_may_show_a_right_of_the_group() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue-api.key");
        edit(&path, |_| Ok(SecretText::new("text".to_owned()))).unwrap();
        let read = |mode, folder: &Path| {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read_closed(&path, Some(folder)).is_ok()
        };
        assert!(read(0o440, folder.path()));
        assert!(!read(0o460, folder.path()) && !read(0o444, folder.path()));
        assert!(!read(0o440, Path::new("/run/credentials/other.service")));
    }

    #[test]
    fn a_change_that_fails_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.key");
        edit(&path, |text| {
            assert!(text.is_none());
            Ok(SecretText::new("before".to_owned()))
        })
        .unwrap();
        let before = stamp(&path);
        assert!(edit(&path, |_| anyhow::bail!("no")).is_err());
        assert_eq!((stamp(&path), read(&path).unwrap().as_str()), (before, "before"));
        edit(&path, |text| Ok(SecretText::new(format!("{} after", text.unwrap())))).unwrap();
        assert_eq!(read(&path).unwrap().as_str(), "before after");
        assert_ne!(stamp(&path), before);
    }
}
