//! Keys as a process holds them, read anew from where they come.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bailey_core::keyring::KeySourceError;

/// Anybody can send messages under versions that nobody has: the source is not read for each of them.
const BETWEEN_READS: Duration = Duration::from_secs(1);

type Load<K> = dyn Fn() -> Result<K, KeySourceError> + Send + Sync;

/// The keys of this process, [`WorkerKeys`](super::WorkerKeys) or [`ApiKeys`](super::ApiKeys). Clone it freely.
pub struct KeyRing<K>(Arc<Inner<K>>);

struct Inner<K> {
    held: RwLock<Arc<K>>,
    load: Box<Load<K>>,
    read_at: Mutex<Instant>,
}

impl<K> KeyRing<K> {
    /// Reads the keys from `load`, which is asked again when a version is not known, and by
    /// [`reload`](Self::reload).
    ///
    /// # Errors
    /// Whatever `load` says.
    pub fn new(load: impl Fn() -> Result<K, KeySourceError> + Send + Sync + 'static) -> Result<Self, KeySourceError> {
        let held = RwLock::new(Arc::new(load()?));
        Ok(Self(Arc::new(Inner { held, load: Box::new(load), read_at: Mutex::new(Instant::now()) })))
    }

    /// Reads the source again. A version that it no longer has is forgotten.
    ///
    /// # Errors
    /// Whatever the source says; the keys held so far stay.
    pub fn reload(&self) -> Result<(), KeySourceError> {
        let read = Arc::new((self.0.load)()?);
        *self.0.held.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// The keys.
    #[must_use]
    pub fn held(&self) -> Arc<K> {
        Arc::clone(&self.0.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the source again, unless that was done a moment ago; whether it was done.
    pub(crate) fn reload_seldom(&self) -> Result<bool, KeySourceError> {
        {
            let mut read_at = self.0.read_at.lock().unwrap_or_else(PoisonError::into_inner);
            if read_at.elapsed() < BETWEEN_READS {
                return Ok(false);
            }
            *read_at = Instant::now();
        }
        self.reload().map(|()| true)
    }
}

impl<K> Clone for KeyRing<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
