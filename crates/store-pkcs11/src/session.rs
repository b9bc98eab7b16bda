//! A token that is open: logged in, with a pool of sessions, and what was looked up and unwrapped through them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use bailey_core::sensitive::SecretText;
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use crate::config::Config;
use crate::error::{Failure, Fault, Operation, failure};
use crate::kek::LiveKeks;
use crate::mechanism::Mechanisms;
use crate::module::{Module, Visit};
use crate::pin::{PinFlags, RefusedPin};
use crate::version::Versions;

/// A session, closed when nothing needs it any more: neither the pool nor a KEK that it unwrapped, whose
/// object lives as long as the session that made it (PKCS#11 3.1, section 2.4).
pub(crate) struct Seat {
    session: Mutex<Option<Session>>,
    module: Arc<Module>,
    generation: u64,
}

impl Seat {
    fn open(visit: &Visit, library: &Pkcs11, slot: Slot, read_write: bool) -> Result<Arc<Self>, Error> {
        // Never closed by their own drop: after C_Finalize, their numbers belong to other sessions.
        let session =
            if read_write { library.open_rw_session_no_drop(slot)? } else { library.open_ro_session_no_drop(slot)? };
        let (module, generation) = (Arc::clone(visit.module()), visit.generation());
        Ok(Arc::new(Self { session: Mutex::new(Some(session)), module, generation }))
    }

    /// Works with the session. Whoever took the seat from the pool is alone with it.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Session) -> T) -> Result<T, Failure> {
        let session = lock(&self.session);
        let gone = || Failure::new(Operation::OpenSession, Fault::Lost, "the session is closed");
        session.as_ref().map(work).ok_or_else(gone)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let session = self.session.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(session) = session
            && let Some(_visit) = self.module.return_to(self.generation)
        {
            // A session that can't be closed is gone already.
            let _closed = session.close();
        }
    }
}

/// A token, logged in.
pub(crate) struct OpenToken {
    pub(crate) config: Config,
    pub(crate) library: Pkcs11,
    pub(crate) slot: Slot,
    generation: u64,
    mechanisms: OnceLock<Mechanisms>,
    pub(crate) versions: Versions,
    pub(crate) keks: LiveKeks,
    seats: Mutex<Seats>,
    given_back: Condvar,
    /// Keeps the login: a token logs out with the last session.
    _anchor: Arc<Seat>,
}

#[derive(Default)]
struct Seats {
    idle: Vec<Arc<Seat>>,
    taken: usize,
}

/// A seat that is taken. It goes back to the pool only by [`keep`](Self::keep).
pub(crate) struct Taken<'a> {
    token: &'a OpenToken,
    pub(crate) seat: Arc<Seat>,
}

impl OpenToken {
    /// Finds the token and logs in. `refused` is the PIN that was wrong before.
    pub(crate) fn open(config: &Config, visit: &Visit, refused: &Mutex<Option<RefusedPin>>) -> Result<Self, Failure> {
        let (slot, info) = visit.find(&config.token())?;
        let library = visit.library()?.clone();
        let anchor =
            Seat::open(visit, &library, slot, false).map_err(|error| failure(Operation::OpenSession, &error))?;
        anchor.with(|session| log_in(config, session, (&library, slot), &info, refused))??;
        Ok(Self {
            config: config.clone(),
            library,
            slot,
            generation: visit.generation(),
            mechanisms: OnceLock::new(),
            versions: Versions::default(),
            keks: LiveKeks::new(config.cached_keks, config.kek_idle()),
            seats: Mutex::default(),
            given_back: Condvar::new(),
            _anchor: anchor,
        })
    }

    /// Whether its handles mean something during this visit.
    pub(crate) const fn is_of(&self, visit: &Visit) -> bool {
        self.generation == visit.generation()
    }

    /// What is used of what the token can, once it is known that the token has all that is needed and no key
    /// twice. Asked again while it hasn't.
    pub(crate) fn mechanisms(&self, session: &Session) -> Result<Mechanisms, Failure> {
        if let Some(mechanisms) = self.mechanisms.get() {
            return Ok(*mechanisms);
        }
        Versions::refuse_duplicates(&self.config, session)?;
        let mechanisms = Mechanisms::detect(&self.config, &self.library, self.slot)?;
        Ok(*self.mechanisms.get_or_init(|| mechanisms))
    }

    /// An idle session, or a new one; where the token has no more, whichever is given back first.
    pub(crate) fn take_seat(&self, visit: &Visit, deadline: Instant) -> Result<Taken<'_>, Failure> {
        let mut seats = lock(&self.seats);
        loop {
            if let Some(seat) = seats.idle.pop() {
                return Ok(self.taken(&mut seats, seat));
            }
            drop(seats);
            let refusal = match Seat::open(visit, &self.library, self.slot, false) {
                Ok(seat) => return Ok(self.taken(&mut lock(&self.seats), seat)),
                Err(error) => error,
            };
            seats = lock(&self.seats);
            let left = deadline.saturating_duration_since(Instant::now());
            if !has_no_more(&refusal) || seats.taken == 0 || left.is_zero() {
                return Err(failure(Operation::OpenSession, &refusal));
            }
            if seats.idle.is_empty() {
                seats = self.given_back.wait_timeout(seats, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    /// A session that may change what is on the token, or that nobody has used before.
    pub(crate) fn new_seat(&self, visit: &Visit, read_write: bool) -> Result<Taken<'_>, Failure> {
        let seat = Seat::open(visit, &self.library, self.slot, read_write);
        let seat = seat.map_err(|error| failure(Operation::OpenSession, &error))?;
        Ok(self.taken(&mut lock(&self.seats), seat))
    }

    fn taken(&self, seats: &mut Seats, seat: Arc<Seat>) -> Taken<'_> {
        seats.taken += 1;
        Taken { token: self, seat }
    }
}

impl Taken<'_> {
    /// Keeps the session for the next job: its own is done, and it is as it was.
    pub(crate) fn keep(self) {
        let mut seats = lock(&self.token.seats);
        // One whose thread was written off comes back to a pool that is full without it.
        if seats.idle.len() < self.token.config.sessions {
            seats.idle.push(Arc::clone(&self.seat));
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        lock(&self.token.seats).taken -= 1;
        self.token.given_back.notify_one();
    }
}

/// Whether a token has as many sessions open as it can.
const fn has_no_more(error: &Error) -> bool {
    matches!(error, Error::Pkcs11(RvError::SessionCount, _))
}

fn log_in(
    config: &Config,
    session: &Session,
    (library, slot): (&Pkcs11, Slot),
    info: &TokenInfo,
    refused: &Mutex<Option<RefusedPin>>,
) -> Result<(), Failure> {
    let pin = config.pin.read()?;
    if lock(refused).as_ref().is_some_and(|refused| refused.is_same(&pin, flags(info))) {
        let context = "the token refused this PIN before, and a few wrong ones lock it: correct `pin` of the store, or \
                       the PIN of the token";
        return Err(Failure::new(Operation::LogIn, Fault::Pin, context));
    }
    match session.login(UserType::User, Some(&secret(&pin))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            *lock(refused) = None;
            Ok(())
        }
        Err(error) => {
            let failure = failure(Operation::LogIn, &error);
            if failure.fault == Fault::Pin {
                let flags = library.get_token_info(slot).map_or_else(|_| flags(info), |info| flags(&info));
                *lock(refused) = Some(RefusedPin { pin, flags });
            }
            Err(failure)
        }
    }
}

fn flags(info: &TokenInfo) -> PinFlags {
    PinFlags {
        count_low: info.user_pin_count_low(),
        final_try: info.user_pin_final_try(),
        locked: info.user_pin_locked(),
    }
}

/// A PIN as the library takes it.
pub(crate) fn secret(pin: &SecretText) -> AuthPin {
    pin.expose().into()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
