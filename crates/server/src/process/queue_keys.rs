//! The queue's keys of a process, and the file that they come from.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use bailey_core::keyring::KeySourceError;
use bailey_queue::keys::KeyRing;

use crate::private_file::{self, Stamp, stamp};

/// Keys that are read again when their file changes.
pub struct QueueKeys<K> {
    ring: KeyRing<K>,
    path: PathBuf,
    seen: Mutex<Option<Stamp>>,
}

impl<K: 'static> QueueKeys<K> {
    /// Reads the file.
    ///
    /// # Errors
    /// When it can't be read, others can, or `parse` makes nothing of it.
    pub fn open(path: PathBuf, parse: fn(&str) -> Result<K, KeySourceError>) -> Result<Self> {
        let (seen, file) = (stamp(&path), path.clone());
        let load = move || {
            let text = private_file::read(&file)?;
            parse(&text).map_err(|error| KeySourceError(format!("{}: {error}", file.display())))
        };
        Ok(Self { ring: KeyRing::new(load)?, path, seen: Mutex::new(seen) })
    }

    /// The keys, as they are at any time.
    pub fn ring(&self) -> KeyRing<K> {
        self.ring.clone()
    }

    /// Reads the file again if it has changed.
    pub fn look(&self) {
        if *self.seen.lock().unwrap_or_else(PoisonError::into_inner) != stamp(&self.path) {
            self.reload();
        }
    }

    /// Reads the file again. If it is no good, the keys held so far stay.
    pub fn reload(&self) {
        let now = stamp(&self.path);
        match self.ring.reload() {
            Ok(()) => tracing::info!(file = %self.path.display(), "key file read again"),
            Err(error) => tracing::error!(%error, "the keys held so far stay"),
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}
