//! Which secret store a Bailey is tested on.

use std::cell::Cell;
use std::fmt;
use std::path::Path;

use anyhow::Result;
use bailey_testkit::kryoptic::Kryoptic;
use bailey_testkit::softhsm::SoftHsm;

/// The kind of store that payloads go to unless a test chooses itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Software, with a key file.
    Simple,
    /// A token of SoftHSM.
    SoftHsm,
    /// A token of Kryoptic.
    Kryoptic,
}

thread_local! {
    /// What the suite runs a case on; a case has a thread of its own.
    static CHOSEN: Cell<Option<Store>> = const { Cell::new(None) };
}

impl Store {
    /// Those whose keys are in a token.
    pub const TOKENS: [Self; 2] = [Self::SoftHsm, Self::Kryoptic];

    /// The one that `BAILEY_TEST_STORE` has everything run on, if it does.
    ///
    /// # Panics
    /// When it names none.
    #[must_use]
    pub fn of_all() -> Option<Self> {
        let name = std::env::var("BAILEY_TEST_STORE").ok()?;
        let all = [Self::Simple].into_iter().chain(Self::TOKENS);
        Some(all.into_iter().find(|store| store.to_string() == name).expect("BAILEY_TEST_STORE names a store"))
    }

    /// The one that this case is run on.
    #[must_use]
    pub fn chosen() -> Self {
        CHOSEN.get().or_else(Self::of_all).unwrap_or(Self::Simple)
    }

    /// Runs a case on this store.
    pub(crate) fn run(self, case: impl FnOnce()) {
        CHOSEN.set(Some(self));
        case();
        CHOSEN.set(None);
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simple => "simple",
            Self::SoftHsm => "softhsm",
            Self::Kryoptic => "kryoptic",
        })
    }
}

/// A token, gone when dropped.
#[derive(Debug)]
pub enum Token {
    /// Of SoftHSM.
    SoftHsm(SoftHsm),
    /// Of Kryoptic.
    Kryoptic(Kryoptic),
}

impl Token {
    /// Makes the token that a store needs, if it needs one.
    pub(super) fn start(store: Store) -> Result<Option<Self>> {
        Ok(match store {
            Store::Simple => None,
            Store::SoftHsm => Some(Self::SoftHsm(SoftHsm::start()?)),
            Store::Kryoptic => Some(Self::Kryoptic(Kryoptic::start()?)),
        })
    }

    /// What a process needs to see it.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let environment = match self {
            Self::SoftHsm(softhsm) => softhsm.environment(),
            Self::Kryoptic(kryoptic) => kryoptic.environment(),
        };
        environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned())).collect()
    }

    /// The `[[stores]]` block of a default store over it.
    pub(super) fn block(&self, more: &str) -> String {
        let (module, label, pin): (&Path, _, _) = match self {
            Self::SoftHsm(softhsm) => (softhsm.module(), softhsm.token_label(), softhsm.pin()),
            Self::Kryoptic(kryoptic) => (kryoptic.module(), kryoptic.token_label(), kryoptic.pin()),
        };
        format!(
            "\n[[stores]]\nname = \"token\"\nkind = \"pkcs11\"\ndefault = true\nmodule = \"{}\"\n\
             token_label = \"{label}\"\npin = \"{pin}\"\ndeadline_seconds = 30.0\n{more}\n",
            module.display()
        )
    }
}
