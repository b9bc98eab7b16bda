//! A token as one store uses it: opened when needed, and again when what was open is gone.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::config::Config;
use crate::error::{Failure, Fault, Operation};
use crate::job::{Answer, Job};
use crate::module::{Module, Patience, Visit};
use crate::pin::RefusedPin;
use crate::session::{OpenToken, lock};
use crate::version::Registered;

/// The token, while it is open.
pub(crate) struct Connection {
    config: Config,
    token: Mutex<State>,
    changed: Condvar,
    refused: Mutex<Option<RefusedPin>>,
    /// The version that was proven last: what shows whether the token still works.
    proven: Mutex<Option<Registered>>,
}

enum State {
    Closed,
    /// Somebody opens it, and has this long to.
    Opening(Instant),
    Open(Arc<OpenToken>),
}

/// One call, as whoever waits for it can give it up.
#[derive(Default)]
pub(crate) struct Call(Mutex<Option<Patience>>);

impl Call {
    pub(crate) fn give_up(&self) {
        if let Some(patience) = lock(&self.0).as_ref() {
            patience.give_up();
        }
    }
}

/// What may help after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Remedy {
    /// Nothing here can: it is about the data, the keys or the configuration.
    None,
    /// Another session of the same token.
    Again,
    /// Opening the token anew.
    Reopen,
    /// Initialising the library anew.
    Rebuild,
}

impl Connection {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            token: Mutex::new(State::Closed),
            changed: Condvar::new(),
            refused: Mutex::default(),
            proven: Mutex::default(),
        }
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// Does a job, on the thread that calls; again when something may have helped against its failure.
    pub(crate) fn run(&self, job: &Job, call: &Call, deadline: Instant) -> Result<Answer, Failure> {
        let module = Module::of(&self.config.module)?;
        let mut tried = Remedy::None;
        loop {
            let visit = module.visit(deadline)?;
            *lock(&call.0) = Some(visit.patience());
            let (failure, remedy) = match self.attempt(job, &visit, tried, deadline) {
                Ok(answer) => {
                    if tried == Remedy::Rebuild {
                        module.recovered();
                    }
                    return Ok(answer);
                }
                Err(failed) => failed,
            };
            let Some(remedy) = remedy.after(tried).filter(|_| Instant::now() < deadline) else { return Err(failure) };
            let generation = visit.generation();
            drop(visit);
            if remedy == Remedy::Rebuild
                && let Err(refusal) = module.rebuild(generation, deadline)
            {
                return Err(failure.because(&refusal));
            }
            if !job.is_repeatable() {
                return Err(failure);
            }
            tried = remedy;
        }
    }

    fn attempt(&self, job: &Job, visit: &Visit, tried: Remedy, deadline: Instant) -> Result<Answer, (Failure, Remedy)> {
        let token = self.open(visit, deadline).map_err(|failure| {
            let remedy = if is_about_token(&failure) { Remedy::Rebuild } else { Remedy::None };
            (failure, remedy)
        })?;
        let failure = match job.run(&token, visit, deadline) {
            Ok(answer) => {
                if let Some(version) = job.version() {
                    *lock(&self.proven) = Some(version.clone());
                }
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        let remedy = match failure.fault {
            Fault::Lost => Remedy::Reopen,
            Fault::Device | Fault::NoKey => self.examine(&token, visit, &failure, tried),
            _ => Remedy::None,
        };
        if remedy == Remedy::Reopen {
            self.abandon(&token);
        }
        Err((failure, remedy))
    }

    /// Whether a failure is about the token or about what it was asked: in a session that nobody has used yet, the
    /// version that was proven last is looked up and proven once more. A token that was taken away answers searches
    /// with nothing, and one that refuses a ciphertext may be right.
    fn examine(&self, token: &OpenToken, visit: &Visit, failure: &Failure, tried: Remedy) -> Remedy {
        let Some(proven) = lock(&self.proven).clone() else {
            // Nothing is known of it yet, and a login that was lost hides every key. Opening it anew is cheap;
            // the library, which others may use, is left alone.
            return if tried < Remedy::Reopen { Remedy::Reopen } else { Remedy::None };
        };
        let outcome = token.new_seat(visit, false).and_then(|taken| {
            taken.seat.with(|session| token.versions.prove(&token.config, session, &proven)).flatten()
        });
        let is_well = outcome.is_ok();
        match failure.fault {
            _ if !is_well => Remedy::Reopen,
            Fault::Device => Remedy::Again,
            _ => Remedy::None,
        }
    }

    /// The open token. One thread opens it; the others wait, unless that takes longer than it may.
    fn open(&self, visit: &Visit, deadline: Instant) -> Result<Arc<OpenToken>, Failure> {
        let mut state = lock(&self.token);
        loop {
            let now = Instant::now();
            match &*state {
                State::Open(token) if token.is_of(visit) => return Ok(Arc::clone(token)),
                State::Opening(until) if now < *until => {
                    let left = deadline.saturating_duration_since(now);
                    if left.is_zero() {
                        let context = "the token is being opened, and that takes its time";
                        return Err(Failure::new(Operation::FindToken, Fault::Late, context));
                    }
                    let left = left.min(*until - now);
                    state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                }
                _ => break,
            }
        }
        let until = Instant::now() + self.config.deadline();
        let before = std::mem::replace(&mut *state, State::Opening(until));
        drop(state);
        drop(before);
        let opened = OpenToken::open(&self.config, visit, &self.refused).map(Arc::new);
        let mut state = lock(&self.token);
        if matches!(&*state, State::Opening(mine) if *mine == until) {
            *state = opened.as_ref().map_or(State::Closed, |token| State::Open(Arc::clone(token)));
            self.changed.notify_all();
        }
        opened
    }

    /// Has the next job open the token anew.
    fn abandon(&self, token: &Arc<OpenToken>) {
        let mut state = lock(&self.token);
        if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, token)) {
            *state = State::Closed;
        }
    }

    /// What is open, for whoever can wait until it is closed.
    pub(crate) fn close(&self) -> Option<Arc<OpenToken>> {
        match std::mem::replace(&mut *lock(&self.token), State::Closed) {
            State::Open(token) => Some(token),
            State::Closed | State::Opening(_) => None,
        }
    }
}

/// Whether a token that can't be opened might be, if its library were initialised anew.
const fn is_about_token(failure: &Failure) -> bool {
    matches!(failure.fault, Fault::Lost | Fault::Device)
}

impl Remedy {
    /// What to try after `tried` was in vain, if anything.
    fn after(self, tried: Self) -> Option<Self> {
        match self {
            Self::Reopen if tried == Self::Reopen => Some(Self::Rebuild),
            remedy => Some(remedy).filter(|remedy| *remedy > tried),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_become_stronger_and_end() {
        let next = |asked: &[Remedy]| {
            let mut tried = Remedy::None;
            asked.iter().map_while(|asked| asked.after(tried).inspect(|next| tried = *next)).collect::<Vec<_>>()
        };
        assert_eq!(next(&[Remedy::None]), []);
        assert_eq!(next(&[Remedy::Again, Remedy::Again]), [Remedy::Again]);
        assert_eq!(next(&[Remedy::Reopen; 4]), [Remedy::Reopen, Remedy::Rebuild]);
        assert_eq!(
            next(&[Remedy::Again, Remedy::Reopen, Remedy::Rebuild]),
            [Remedy::Again, Remedy::Reopen, Remedy::Rebuild]
        );
        assert_eq!(next(&[Remedy::Rebuild, Remedy::Reopen]), [Remedy::Rebuild]);
    }
}
