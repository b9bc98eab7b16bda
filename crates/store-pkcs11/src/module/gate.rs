//! Who is inside a library, and when nobody is.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::Failure;

use super::Module;

/// Lets callers into a library, and keeps them out while it is initialised.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Counts initialisations: session and object handles of an earlier one mean something else, or nothing.
    generation: u64,
    is_initialised: bool,
    /// Whether somebody initialises it, or waits until he can.
    is_closed: bool,
    /// Callers inside.
    inside: usize,
    /// Those of them who were given up.
    lost: usize,
}

/// Why a caller isn't let in.
pub(super) enum Closed {
    /// Nobody has initialised the library since this generation ended.
    Uninitialised(u64),
    /// Somebody initialises it all the time that the caller has.
    Occupied,
}

impl Gate {
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    pub(super) fn enter(&self, module: &Arc<Module>, deadline: Instant) -> Result<Visit, Closed> {
        let mut state = self.lock();
        while state.is_closed {
            state = self.wait(state, deadline).ok_or(Closed::Occupied)?;
        }
        if !state.is_initialised {
            return Err(Closed::Uninitialised(state.generation));
        }
        state.inside += 1;
        Ok(Visit { module: Arc::clone(module), generation: state.generation, given_up: Arc::default() })
    }

    /// Has `initialise` run when nobody is inside, unless somebody else's ran since `generation`. If callers don't
    /// leave, how many of them were given up.
    pub(super) fn renew(
        &self,
        generation: u64,
        deadline: Instant,
        initialise: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Result<(), Failure>, usize> {
        let mut state = self.lock();
        while state.is_closed {
            state = self.wait(state, deadline).ok_or(0_usize)?;
        }
        if state.generation != generation {
            return Ok(Ok(()));
        }
        if state.lost > 0 {
            return Err(state.lost);
        }
        state.is_closed = true;
        let _opening = Opening(self);
        while state.inside > 0 {
            let waited = if state.lost == 0 { self.wait(state, deadline) } else { None };
            state = waited.ok_or_else(|| self.lock().lost)?;
        }
        state.generation += 1;
        state.is_initialised = false;
        drop(state);
        let outcome = initialise();
        self.lock().is_initialised = outcome.is_ok();
        Ok(outcome)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change; `None` past the deadline.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, deadline: Instant) -> Option<MutexGuard<'a, State>> {
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        Some(self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0)
    }
}

/// Opens the gate again, however initialising ends.
struct Opening<'a>(&'a Gate);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.lock().is_closed = false;
        self.0.changed.notify_all();
    }
}

/// Being inside a library: as long as there is one, its handles keep their meaning.
pub(crate) struct Visit {
    module: Arc<Module>,
    generation: u64,
    given_up: Arc<Mutex<GivenUp>>,
}

/// Whether a visit was given up, or is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum GivenUp {
    #[default]
    No,
    Yes,
    Over,
}

/// Lets whoever waits for a caller give him up.
#[derive(Clone)]
pub(crate) struct Patience {
    module: Arc<Module>,
    given_up: Arc<Mutex<GivenUp>>,
}

impl Visit {
    pub(crate) fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// Which initialisation handles of this visit belong to.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience { module: Arc::clone(&self.module), given_up: Arc::clone(&self.given_up) }
    }
}

impl Module {
    /// Enters for a moment, to close a handle of `generation`; not if that has ended. Waits for nobody: whoever
    /// holds the gate has yet to wait for those inside while the generation is the same.
    pub(crate) fn return_to(self: &Arc<Self>, generation: u64) -> Option<Visit> {
        let mut state = self.gate.lock();
        if state.generation != generation || !state.is_initialised {
            return None;
        }
        state.inside += 1;
        Some(Visit { module: Arc::clone(self), generation, given_up: Arc::default() })
    }
}

impl Patience {
    /// Counts the caller among those who may never leave, until he does.
    pub(crate) fn give_up(&self) {
        let mut state = self.module.gate.lock();
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if *given_up == GivenUp::No {
            *given_up = GivenUp::Yes;
            state.lost += 1;
            self.module.gate.changed.notify_all();
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut state = self.module.gate.lock();
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        state.inside -= 1;
        if *given_up == GivenUp::Yes {
            state.lost -= 1;
        }
        *given_up = GivenUp::Over;
        self.module.gate.changed.notify_all();
    }
}
