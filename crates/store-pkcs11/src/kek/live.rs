//! Unwrapped KEKs that the token holds at the moment: bounded, since thousands slow every look-up down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bailey_core::crypto::{KekContext, WrappedKek};
use bailey_core::ids::KekId;
use cryptoki::session::Session;

use crate::cipher::Keys;
use crate::session::{Seat, lock};

/// An unwrapped KEK with exactly what it was unwrapped from: it serves for nothing else.
pub(crate) struct LiveKek {
    context: KekContext,
    wrapped: WrappedKek,
    keys: Keys,
    /// The session that made the objects, kept open as long as they are used.
    maker: Arc<Seat>,
    graves: Arc<Graves>,
}

/// Objects that nobody uses any more. Only then are they destroyed: a token may give the handle of a
/// destroyed object to the next one, under which somebody would encrypt.
type Graves = Mutex<Vec<(Keys, Arc<Seat>)>>;

impl LiveKek {
    pub(crate) const fn keys(&self) -> Keys {
        self.keys
    }
}

impl Drop for LiveKek {
    fn drop(&mut self) {
        lock(&self.graves).push((self.keys, Arc::clone(&self.maker)));
    }
}

/// The live KEKs of an open token, those used last.
pub(crate) struct LiveKeks {
    limit: usize,
    idle: Duration,
    entries: Mutex<Entries>,
    graves: Arc<Graves>,
}

struct Entries {
    by_id: HashMap<KekId, (Arc<LiveKek>, Instant)>,
    looked_at: Instant,
}

impl LiveKeks {
    pub(crate) fn new(limit: usize, idle: Duration) -> Self {
        let entries = Entries { by_id: HashMap::new(), looked_at: Instant::now() };
        Self { limit: limit.max(1), idle, entries: Mutex::new(entries), graves: Arc::default() }
    }

    /// The KEK, if it was unwrapped from this very wrapping.
    pub(crate) fn get(&self, context: &KekContext, wrapped: &WrappedKek) -> Option<Arc<LiveKek>> {
        let mut entries = lock(&self.entries);
        let (kek, used_at) = entries.by_id.get_mut(&context.kek)?;
        if kek.wrapped != *wrapped || kek.context != *context {
            return None;
        }
        *used_at = Instant::now();
        Some(Arc::clone(kek))
    }

    /// Keeps a KEK in place of the one that was used longest ago.
    pub(crate) fn insert(
        &self,
        context: &KekContext,
        wrapped: &WrappedKek,
        keys: Keys,
        maker: &Arc<Seat>,
    ) -> Arc<LiveKek> {
        let kek = Arc::new(LiveKek {
            context: context.clone(),
            wrapped: wrapped.clone(),
            keys,
            maker: Arc::clone(maker),
            graves: Arc::clone(&self.graves),
        });
        let mut entries = lock(&self.entries);
        entries.by_id.insert(context.kek, (Arc::clone(&kek), Instant::now()));
        while entries.by_id.len() > self.limit {
            let oldest = entries.by_id.iter().min_by_key(|(_, (_, used_at))| *used_at).map(|(id, _)| *id);
            let Some(oldest) = oldest else { break };
            entries.by_id.remove(&oldest);
        }
        kek
    }

    /// Drops what turned out not to be there any more.
    pub(crate) fn forget(&self, kek: KekId) {
        lock(&self.entries).by_id.remove(&kek);
    }

    /// Drops all.
    pub(crate) fn clear(&self) {
        lock(&self.entries).by_id.clear();
    }

    /// Drops what nobody used for long; looks once a second at most.
    fn expire(&self) {
        let mut entries = lock(&self.entries);
        if entries.looked_at.elapsed() >= Duration::from_secs(1).min(self.idle) {
            entries.looked_at = Instant::now();
            entries.by_id.retain(|_, (_, used_at)| used_at.elapsed() < self.idle);
        }
    }

    /// Destroys the objects that nobody uses any more.
    pub(crate) fn bury(&self, session: &Session) {
        self.expire();
        let graves = std::mem::take(&mut *lock(&self.graves));
        for (keys, _maker) in graves {
            for object in keys.objects() {
                // One that isn't there is what was wanted.
                let _destroyed = session.destroy_object(object);
            }
        }
    }
}
