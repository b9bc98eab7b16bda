//! A token that is open: logged in, with a pool of sessions, and what was looked up and unwrapped through them.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

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
use crate::module::Module;
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
    fn open(module: &Arc<Module>, slot: Slot, read_write: bool) -> Result<Arc<Self>, Failure> {
        let generation = module.generation();
        let library = module.library();
        // Never closed by their own drop: after C_Finalize, their numbers belong to other sessions.
        let opened =
            if read_write { library.open_rw_session_no_drop(slot) } else { library.open_ro_session_no_drop(slot) };
        let session = opened.map_err(|error| failure(Operation::OpenSession, &error))?;
        Ok(Arc::new(Self { session: Mutex::new(Some(session)), module: Arc::clone(module), generation }))
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
        if let Some(session) = session.filter(|_| self.module.generation() == self.generation) {
            // A session that can't be closed is gone already.
            let _closed = session.close();
        }
    }
}

/// A token, logged in.
pub(crate) struct OpenToken {
    pub(crate) config: Config,
    pub(crate) module: Arc<Module>,
    pub(crate) slot: Slot,
    mechanisms: OnceLock<Mechanisms>,
    pub(crate) versions: Versions,
    pub(crate) keks: LiveKeks,
    idle: Mutex<Vec<Arc<Seat>>>,
    /// Keeps the login: a token logs out with the last session.
    _anchor: Arc<Seat>,
}

impl OpenToken {
    /// Finds the token and logs in. `refused` is the PIN that was wrong before.
    pub(crate) fn open(
        config: &Config,
        module: &Arc<Module>,
        refused: &Mutex<Option<RefusedPin>>,
    ) -> Result<Self, Failure> {
        let (slot, info) = module.find(&config.token())?;
        let anchor = Seat::open(module, slot, false)?;
        anchor.with(|session| log_in(config, session, (module.library(), slot), &info, refused))??;
        Ok(Self {
            config: config.clone(),
            module: Arc::clone(module),
            slot,
            mechanisms: OnceLock::new(),
            versions: Versions::default(),
            keks: LiveKeks::new(config.cached_keks, config.kek_idle()),
            idle: Mutex::default(),
            _anchor: anchor,
        })
    }

    /// What is used of what the token can, once it is known that the token has all that is needed and no key
    /// twice. Asked again while it hasn't.
    pub(crate) fn mechanisms(&self, session: &Session) -> Result<Mechanisms, Failure> {
        if let Some(mechanisms) = self.mechanisms.get() {
            return Ok(*mechanisms);
        }
        Versions::refuse_duplicates(&self.config, session)?;
        let mechanisms = Mechanisms::detect(&self.config, self.module.library(), self.slot)?;
        Ok(*self.mechanisms.get_or_init(|| mechanisms))
    }

    /// An idle session, or a new one.
    pub(crate) fn take_seat(&self) -> Result<Arc<Seat>, Failure> {
        let idle = lock(&self.idle).pop();
        idle.map_or_else(|| Seat::open(&self.module, self.slot, false), Ok)
    }

    /// A session that may change what is on the token.
    pub(crate) fn writing_seat(&self) -> Result<Arc<Seat>, Failure> {
        Seat::open(&self.module, self.slot, true)
    }

    /// Keeps a session whose work is done for the next one.
    pub(crate) fn give_back(&self, seat: Arc<Seat>) {
        lock(&self.idle).push(seat);
    }
}

fn log_in(
    config: &Config,
    session: &Session,
    (library, slot): (&Pkcs11, Slot),
    info: &TokenInfo,
    refused: &Mutex<Option<RefusedPin>>,
) -> Result<(), Failure> {
    let pin = config.pin.read()?;
    let mut refused = lock(refused);
    if refused.as_ref().is_some_and(|refused| refused.is_same(&pin, flags(info))) {
        let context = "the token refused this PIN before, and a few wrong ones lock it: correct `pin` of the store, or \
                       the PIN of the token";
        return Err(Failure::new(Operation::LogIn, Fault::Pin, context));
    }
    match session.login(UserType::User, Some(&secret(&pin))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            *refused = None;
            Ok(())
        }
        Err(error) => {
            let failure = failure(Operation::LogIn, &error);
            if failure.fault == Fault::Pin {
                let flags = library.get_token_info(slot).map_or_else(|_| flags(info), |info| flags(&info));
                *refused = Some(RefusedPin { pin, flags });
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
