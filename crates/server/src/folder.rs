//! The data folder: private to its owner, used by one server at a time.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

const LOCK: &str = "bailey.lock";

/// Files by which a folder is known as Bailey's, beside those of MKEKs.
const OURS: [&str; 6] = [LOCK, "bailey.toml", "keys", "metadata.db", "vault.db", "worker.key"];

/// Where data is kept unless the operator says otherwise.
pub fn default_data_dir() -> PathBuf {
    data_dir_of(nix::unistd::geteuid().is_root(), |name| std::env::var_os(name))
}

fn data_dir_of(is_root: bool, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    if is_root {
        return PathBuf::from("/var/lib/bailey");
    }
    let folder = |name| variable(name).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let shared = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")));
    shared.unwrap_or_default().join("bailey")
}

/// Makes the folder if it isn't there, and closes it to everyone but its owner.
///
/// # Errors
/// When that can't be done, or the folder obviously is something else's.
pub fn prepare(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("the folder {} can't be made", folder.display()));
    }
    let metadata = fs::metadata(folder).with_context(|| format!("{} can't be looked at", folder.display()))?;
    if !metadata.is_dir() {
        bail!("{} is no folder", folder.display());
    }
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    if !entries.is_empty() && !entries.iter().any(|name| is_ours(&name.to_string_lossy())) {
        let path = folder.display();
        bail!(
            "{path} is open to others and holds other files: give Bailey a folder of its own, or, if this is it, \
             `chmod 700 {path}`"
        );
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700))
        .with_context(|| format!("the folder {} is open to others and can't be closed to them", folder.display()))
}

fn is_ours(name: &str) -> bool {
    OURS.contains(&name) || (name.starts_with("mkek-") && name.ends_with(".key"))
}

/// Held by the one server that uses a data folder, until it is dropped or its process ends.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "the lock lives as long as the open file")] File);

impl FolderLock {
    /// Takes the lock and leaves this process's id in it.
    ///
    /// # Errors
    /// When another process holds it.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(|| format!("{} can't be opened", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                bail!(
                    "the data folder {} is in use by another bailey, process {}: stop that one, or give this one another \
                     folder with --data-dir",
                    folder.display(),
                    pid.trim()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{} can't be locked", path.display()));
            }
        }
        file.set_len(0)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_folder_is_private_with_all_its_parents() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        prepare(&folder).unwrap();
        assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (0o700, 0o700));
    }

    #[test]
    fn an_open_folder_is_closed_unless_it_is_something_elses() {
        let folder = tempfile::tempdir().unwrap();
        let open = || fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        open();
        prepare(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), 0o700);

        fs::write(folder.path().join("holiday.jpg"), "").unwrap();
        open();
        let refusal = prepare(folder.path()).unwrap_err().to_string();
        assert!(refusal.contains("a folder of its own") && refusal.contains("chmod 700"), "{refusal}");
        assert_eq!(mode(folder.path()), 0o755);

        for ours in ["metadata.db", "worker.key", "mkek-simple.key"] {
            let file = folder.path().join(ours);
            fs::write(&file, "").unwrap();
            open();
            prepare(folder.path()).unwrap();
            assert_eq!(mode(folder.path()), 0o700, "{ours}");
            fs::remove_file(file).unwrap();
        }
    }

    #[test]
    fn data_is_in_the_systems_folder_for_root_and_in_the_users_otherwise() {
        let of = |is_root, variables: &[(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            data_dir_of(is_root, value).display().to_string()
        };
        let home = ("HOME", "/home/u");
        assert_eq!(of(true, &[home]), "/var/lib/bailey");
        assert_eq!(of(false, &[home]), "/home/u/.local/share/bailey");
        assert_eq!(of(false, &[home, ("XDG_DATA_HOME", "")]), "/home/u/.local/share/bailey");
        assert_eq!(of(false, &[home, ("XDG_DATA_HOME", "/data")]), "/data/bailey");
    }

    #[test]
    fn the_second_lock_is_refused_and_names_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let refusal = FolderLock::take(folder.path()).unwrap_err().to_string();
        assert!(refusal.contains(&std::process::id().to_string()), "{refusal}");
        assert!(refusal.contains(&folder.path().display().to_string()), "{refusal}");
        drop(first);
        FolderLock::take(folder.path()).unwrap();
    }
}
