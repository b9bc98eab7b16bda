//! A token's library, as the process holds it: one object per path, initialised once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::slot::{Slot, TokenInfo};

use crate::config::Token;
use crate::error::{Failure, Fault, Operation, failure};

/// Every library that this process has loaded. A library's own state is global, so this must be, too.
static LOADED: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// A loaded and initialised library, shared by all stores whose tokens it serves.
pub(crate) struct Module {
    path: PathBuf,
    library: Pkcs11,
    /// Counts initialisations: session and object handles of an earlier one mean something else, or nothing.
    generation: AtomicU64,
}

impl Module {
    /// The module behind this path, loaded and initialised if it isn't yet.
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>, Failure> {
        let refused = |what: String| Failure::new(Operation::LoadModule, Fault::Device, what);
        // Two paths to one file are one library to the dynamic linker.
        let path = fs::canonicalize(path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.get(&path) {
            return Ok(Arc::clone(module));
        }
        let library =
            Pkcs11::new(&path).map_err(|error| refused(format!("{} is no PKCS#11 module: {error}", path.display())))?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failure(Operation::LoadModule, &error)),
        }
        let module = Arc::new(Self { path: path.clone(), library, generation: AtomicU64::new(1) });
        loaded.insert(path, Arc::clone(&module));
        Ok(module)
    }

    /// The library's functions.
    pub(crate) const fn library(&self) -> &Pkcs11 {
        &self.library
    }

    /// Which initialisation handles of now belong to.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The slot that has this token now.
    pub(crate) fn find(&self, token: &Token) -> Result<(Slot, TokenInfo), Failure> {
        let told = |error: &Error| failure(Operation::FindToken, error);
        let mut found = Vec::new();
        for slot in self.library.get_slots_with_token().map_err(|error| told(&error))? {
            // A slot that another process just emptied is none of ours.
            let Ok(info) = self.library.get_token_info(slot) else { continue };
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
                let context = format!("{} has more than one token {token}: name it by its serial number", self.name());
                Err(Failure::new(Operation::FindToken, Fault::WrongKey, context))
            }
            Some(found) => Ok(found),
            None => {
                let context = format!("{} has no token {token}", self.name());
                Err(Failure::new(Operation::FindToken, Fault::Lost, context))
            }
        }
    }

    /// As messages name it.
    pub(crate) fn name(&self) -> std::path::Display<'_> {
        self.path.display()
    }
}
