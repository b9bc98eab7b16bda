//! A token's library, as the process holds it: one object per path, through which every call goes.

mod gate;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::slot::{Slot, TokenInfo};

use crate::config::Token;
use crate::error::{Failure, Fault, Operation, failure};
use crate::session::lock;

use gate::{Closed, Gate};
pub(crate) use gate::{Patience, Visit};

/// Every library that this process has loaded. A library's own state is global, so this must be, too.
static LOADED: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// From one time that the library is initialised again to the next, while that doesn't help.
const SHORTEST_REST: Duration = Duration::from_millis(500);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// A library, shared by all stores whose tokens it serves.
///
/// Nothing calls it without a [`Visit`]: it is initialised again only when nobody is inside, and handles of an
/// earlier initialisation are never used in a later one, where their numbers mean something else.
pub(crate) struct Module {
    path: PathBuf,
    library: OnceLock<Pkcs11>,
    gate: Gate,
    rest: Mutex<Rest>,
}

/// How long the library is left alone.
struct Rest {
    until: Option<Instant>,
    length: Duration,
}

impl Module {
    /// The module behind this path. It is loaded by the first visit.
    pub(crate) fn of(path: &Path) -> Result<Arc<Self>, Failure> {
        // Two paths to one file are one library to the dynamic linker.
        let path = fs::canonicalize(path).map_err(|error| {
            Failure::new(Operation::LoadModule, Fault::Device, format!("{}: {error}", path.display()))
        })?;
        let mut loaded = lock(&LOADED);
        let module = loaded.entry(path).or_insert_with_key(|path| {
            let rest = Mutex::new(Rest { until: None, length: SHORTEST_REST });
            Arc::new(Self { path: path.clone(), library: OnceLock::new(), gate: Gate::default(), rest })
        });
        Ok(Arc::clone(module))
    }

    /// Waits until the library can be called, and initialises it if nobody has.
    pub(crate) fn visit(self: &Arc<Self>, deadline: Instant) -> Result<Visit, Failure> {
        loop {
            match self.gate.enter(self, deadline) {
                Ok(visit) => return Ok(visit),
                Err(Closed::Uninitialised(generation)) => self.renew(generation, deadline, || self.initialise())?,
                Err(Closed::Occupied) => {
                    let context = format!("{} is being initialised, and that takes its time", self.name());
                    return Err(Failure::new(Operation::LoadModule, Fault::Late, context));
                }
            }
        }
    }

    /// Ends the library and initialises it anew, which is the only way to have a token back that was taken away.
    /// Does nothing if that was done since `generation`.
    ///
    /// # Errors
    /// When calls are under way that don't return, when it was done only just now, or when the library refuses.
    pub(crate) fn rebuild(&self, generation: u64, deadline: Instant) -> Result<(), Failure> {
        if self.gate.generation() != generation {
            return Ok(());
        }
        self.take_rest()?;
        self.renew(generation, deadline, || {
            let Some(library) = self.library.get() else { return self.initialise() };
            // One that isn't initialised is what is wanted.
            let _ended = library.clone().finalize();
            self.initialise()
        })
    }

    /// Tells that a rebuilt library works.
    pub(crate) fn recovered(&self) {
        let mut rest = lock(&self.rest);
        rest.length = SHORTEST_REST;
    }

    /// Rebuilding closes the sessions of every store that uses the library, so it isn't done all the time.
    fn take_rest(&self) -> Result<(), Failure> {
        let now = Instant::now();
        let mut rest = lock(&self.rest);
        if rest.until.is_some_and(|until| now < until) {
            let context = format!("{} was initialised again a moment ago, in vain", self.name());
            return Err(Failure::new(Operation::LoadModule, Fault::Lost, context));
        }
        rest.until = Some(now + rest.length);
        rest.length = (rest.length * 2).min(LONGEST_REST);
        Ok(())
    }

    fn renew(
        &self,
        generation: u64,
        deadline: Instant,
        initialise: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.gate.renew(generation, deadline, initialise).unwrap_or_else(|lost| {
            let context = if lost > 0 {
                format!(
                    "{} can't be initialised again while {lost} calls are inside that never returned: restart bailey, \
                     or set isolation = \"process\", which needs no restart",
                    self.name()
                )
            } else {
                format!("{} can't be initialised again while calls take their time", self.name())
            };
            Err(Failure::new(Operation::LoadModule, Fault::Lost, context))
        })
    }

    fn initialise(&self) -> Result<(), Failure> {
        let library = match self.library.get() {
            Some(library) => library,
            None => {
                let library = Pkcs11::new(&self.path).map_err(|error| {
                    let context = format!("{} is no PKCS#11 module: {error}", self.name());
                    Failure::new(Operation::LoadModule, Fault::Device, context)
                })?;
                self.library.get_or_init(|| library)
            }
        };
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
            Err(error) => Err(failure(Operation::LoadModule, &error)),
        }
    }

    /// As messages name it.
    pub(crate) fn name(&self) -> std::path::Display<'_> {
        self.path.display()
    }
}

impl Visit {
    /// The library's functions.
    pub(crate) fn library(&self) -> Result<&Pkcs11, Failure> {
        let missing = || Failure::new(Operation::LoadModule, Fault::Lost, "the library isn't loaded");
        self.module().library.get().ok_or_else(missing)
    }

    /// The slot that has this token now.
    pub(crate) fn find(&self, token: &Token) -> Result<(Slot, TokenInfo), Failure> {
        let (library, name) = (self.library()?, self.module().name());
        let mut found = Vec::new();
        for slot in library.get_slots_with_token().map_err(|error| failure(Operation::FindToken, &error))? {
            // A slot that another process just emptied is none of ours.
            let Ok(info) = library.get_token_info(slot) else { continue };
            let is_meant = match token {
                Token::Label(label) => info.label() == label,
                Token::Serial(serial) => info.serial_number() == serial,
            };
            if is_meant && info.token_initialized() {
                found.push((slot, info));
            }
        }
        let several = found.len() > 1;
        match found.pop() {
            Some(_) if several => {
                let context = format!("{name} has more than one token {token}: name it by its serial number");
                Err(Failure::new(Operation::FindToken, Fault::WrongKey, context))
            }
            Some(found) => Ok(found),
            None => Err(Failure::new(Operation::FindToken, Fault::Lost, format!("{name} has no token {token}"))),
        }
    }
}
