//! Key files: `<id> <base64 of 32 bytes>` per line, `#` begins a comment.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bailey_core::ids::MasterKeyId;
use bailey_core::keyring::{KeyRing, KeySourceError, MASTER_KEY_LENGTH, MasterKeys};
use bailey_core::sensitive::{SecretBytes, SecretText};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::private_file;

/// The file that holds the versions of one master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file of this name in the folder of key files.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// A key ring that reads this file, now and whenever it meets an unknown version.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn key_ring(&self) -> Result<KeyRing, KeySourceError> {
        let file = self.clone();
        KeyRing::new(move || file.read())
    }

    /// All keys in the file.
    ///
    /// # Errors
    /// When it can't be read, is readable for others, or a line is no key.
    pub fn read(&self) -> Result<MasterKeys, KeySourceError> {
        parse_all(&private_file::read(&self.path)?, &self.path)
    }

    /// Adds a key; the file is made if it isn't there. When this returns, the key is durable.
    ///
    /// # Errors
    /// When the file can't be read or written. It then is as it was before.
    pub fn add(&self, id: MasterKeyId, key: &SecretBytes) -> Result<()> {
        private_file::edit(&self.path, |text| {
            if let Some(text) = text {
                parse_all(text, &self.path)?;
            }
            let text = text.unwrap_or(HEADER);
            let separator = if text.ends_with('\n') { "" } else { "\n" };
            let encoded = Zeroizing::new(STANDARD.encode(key.expose()));
            Ok(SecretText::new([text, separator, &id.to_string(), " ", &encoded, "\n"].concat()))
        })
    }
}

/// All keys in the text of a file.
fn parse_all(text: &str, path: &Path) -> Result<MasterKeys, KeySourceError> {
    let path = path.display();
    let mut keys = MasterKeys::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |what| KeySourceError(format!("the key file {path}, line {}: {what}", index + 1));
        let (id, key) = parse(line).ok_or_else(|| wrong("not an id and 32 bytes in base64"))?;
        if keys.insert(id, key).is_some() {
            return Err(wrong("an id that was there before"));
        }
    }
    if keys.is_empty() {
        return Err(KeySourceError(format!("the key file {path} has no key")));
    }
    Ok(keys)
}

const HEADER: &str = "\
# Keys of Bailey: an id and 32 bytes in base64 per line. Without them nothing stored can be read:
# back this file up, apart from the databases.
";

fn parse(line: &str) -> Option<(MasterKeyId, SecretBytes)> {
    let (id, key) = line.split_once(char::is_whitespace)?;
    let key = SecretBytes::new(STANDARD.decode(key.trim()).ok()?);
    (key.len() == MASTER_KEY_LENGTH).then_some((id.parse().ok()?, key))
}

/// A fresh random key with a fresh id.
///
/// # Errors
/// When the system has no randomness to give.
pub fn generate() -> Result<(MasterKeyId, SecretBytes)> {
    let mut key = Zeroizing::new(vec![0; MASTER_KEY_LENGTH]);
    getrandom::fill(&mut key).context("the system has no randomness to give")?;
    Ok((MasterKeyId::new(), SecretBytes::new(std::mem::take(&mut *key))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::{self, OpenOptions, Permissions};
    use std::io::Write as _;
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

    use super::*;

    fn key_file() -> (tempfile::TempDir, KeyFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::new(folder.path(), "worker.key");
        (folder, file)
    }

    #[test]
    fn what_was_added_is_read_and_comments_stay() {
        let (folder, file) = key_file();
        let (first, second) = (generate().unwrap(), generate().unwrap());
        file.add(first.0, &first.1).unwrap();
        let commented = format!("{}# a remark\n", fs::read_to_string(file.path()).unwrap());
        fs::write(file.path(), commented).unwrap();
        file.add(second.0, &second.1).unwrap();

        let keys = file.read().unwrap();
        assert_eq!(keys[&first.0].expose(), first.1.expose());
        assert_eq!(keys[&second.0].expose(), second.1.expose());
        assert!(fs::read_to_string(file.path()).unwrap().contains("# a remark\n"));
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn what_a_killed_process_left_is_in_nobodys_way() {
        let (folder, file) = key_file();
        let left = file.path().with_extension("tmp");
        fs::write(&left, "half a key").unwrap();
        fs::set_permissions(&left, Permissions::from_mode(0o644)).unwrap();
        let (id, key) = generate().unwrap();
        file.add(id, &key).unwrap();
        assert_eq!(file.read().unwrap()[&id].expose(), key.expose());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "it is gone");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let (_folder, file) = key_file();
        let (id, key) = generate().unwrap();
        file.add(id, &key).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            assert!(file.read().unwrap_err().0.contains("open to others"));
        }
    }

    #[test]
    fn a_bad_line_is_named_and_not_quoted() {
        let (_folder, file) = key_file();
        let id = MasterKeyId::new();
        let short = STANDARD.encode([7; 31]);
        for line in [format!("{id} {short}"), format!("{id} ???"), short.clone(), format!("x {short}")] {
            let mut out =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file.path()).unwrap();
            writeln!(out, "# keys\n{line}").unwrap();
            let complaint = file.read().unwrap_err().0;
            assert!(complaint.contains("line 2"), "{complaint}");
            assert!(!complaint.contains(&short), "{complaint}");
        }
    }

    #[test]
    fn a_ring_finds_a_key_that_was_added_later() {
        let (_folder, file) = key_file();
        let (first, second) = (generate().unwrap(), generate().unwrap());
        file.add(first.0, &first.1).unwrap();
        let ring = file.key_ring().unwrap();
        file.add(second.0, &second.1).unwrap();
        assert_eq!(ring.get(second.0).unwrap().unwrap().expose(), second.1.expose());
        assert!(ring.get(MasterKeyId::new()).unwrap().is_none());
    }
}
