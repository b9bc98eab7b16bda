//! What the fixtures of PKCS#11 tokens share.
//!
//! A library finds its tokens by an environment variable that it reads when it is initialised, and no
//! program can safely set one for itself. So a test program that loads a library starts the fixtures in its
//! `main`, runs itself [`again`](crate::process::again) in their environment, and there takes what it inherits.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use crate::process;

/// Variables and their values.
pub type Environment = Vec<(&'static str, OsString)>;

/// A folder with tokens: this program's own, removed when dropped, or one that it was run in.
#[derive(Debug)]
pub(crate) enum Folder {
    Own(TempDir),
    Inherited(PathBuf),
}

impl Folder {
    /// A new folder.
    pub(crate) fn new(prefix: &str) -> Result<Self> {
        Ok(Self::Own(tempfile::Builder::new().prefix(prefix).tempdir()?))
    }

    /// The folder of the file that `variable` names, if this program was run again with it.
    pub(crate) fn inherited(variable: &str) -> Option<Self> {
        let file = PathBuf::from(std::env::var_os(variable).filter(|_| process::is_again())?);
        Some(Self::Inherited(file.parent()?.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Inherited(folder) => folder,
        }
    }
}
