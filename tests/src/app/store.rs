//! Which secret store a Bailey is tested on.

use std::cell::Cell;
use std::fmt;
use std::path::Path;

use anyhow::Result;
use bailey_testkit::kryoptic::Kryoptic;
use bailey_testkit::pykmip::PyKmip;
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
    /// PyKMIP, which keeps the payloads itself.
    Kmip,
}

thread_local! {
    /// What the suite runs a case on; a case has a thread of its own.
    static CHOSEN: Cell<Option<Store>> = const { Cell::new(None) };
}

impl Store {
    /// All but software.
    pub const OTHERS: [Self; 3] = [Self::SoftHsm, Self::Kryoptic, Self::Kmip];

    /// The one that `BAILEY_TEST_STORE` has everything run on, if it does.
    ///
    /// # Panics
    /// When it names none.
    #[must_use]
    pub fn of_all() -> Option<Self> {
        let name = std::env::var("BAILEY_TEST_STORE").ok()?;
        let all = [Self::Simple].into_iter().chain(Self::OTHERS);
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
            Self::Kmip => "kmip",
        })
    }
}

/// What a store needs beside Bailey: a token or a server, gone when dropped.
#[derive(Debug)]
pub enum Token {
    /// Of SoftHSM.
    SoftHsm(SoftHsm),
    /// Of Kryoptic.
    Kryoptic(Kryoptic),
    /// A KMIP server.
    Kmip(Box<PyKmip>),
}

impl Token {
    /// Makes what a store needs, if it needs anything.
    pub(super) fn start(store: Store) -> Result<Option<Self>> {
        Ok(match store {
            Store::Simple => None,
            Store::SoftHsm => Some(Self::SoftHsm(SoftHsm::start()?)),
            Store::Kryoptic => Some(Self::Kryoptic(Kryoptic::start()?)),
            Store::Kmip => Some(Self::Kmip(PyKmip::start()?.into())),
        })
    }

    /// What a process needs to see it.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let environment = match self {
            Self::SoftHsm(softhsm) => softhsm.environment(),
            Self::Kryoptic(kryoptic) => kryoptic.environment(),
            // It does one thing at a time, for all who ask it.
            Self::Kmip(_) => vec![("BAILEY_WORKER__STORE_DEADLINE_SECONDS", "30".into())],
        };
        environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned())).collect()
    }

    /// The name of the store over it.
    pub(super) fn store_name(&self) -> &'static str {
        if self.holds_keys() { "token" } else { "kmip" }
    }

    /// Whether MKEKs have to be made in it.
    pub(super) fn holds_keys(&self) -> bool {
        !matches!(self, Self::Kmip(_))
    }

    /// The `[[stores]]` block of a default store over it.
    pub(super) fn block(&self, more: &str) -> Result<String> {
        let (module, label, pin): (&Path, _, _) = match self {
            Self::SoftHsm(softhsm) => (softhsm.module(), softhsm.token_label(), softhsm.pin()),
            Self::Kryoptic(kryoptic) => (kryoptic.module(), kryoptic.token_label(), kryoptic.pin()),
            Self::Kmip(server) => return kmip_block(server, "kmip", "default = true\n", more),
        };
        Ok(format!(
            "\n[[stores]]\nname = \"token\"\nkind = \"pkcs11\"\ndefault = true\nmodule = \"{}\"\n\
             token_label = \"{label}\"\npin = \"{pin}\"\ndeadline_seconds = 30.0\n{more}\n",
            module.display()
        ))
    }
}

/// A `[[stores]]` block for a KMIP server; `head` and `more` are further lines of it.
///
/// # Errors
/// When the client's files can't be written.
pub fn kmip_block(server: &PyKmip, name: &str, head: &str, more: &str) -> Result<String> {
    let client = server.client("bailey")?;
    let [ca, certificate, key] = [client.ca, client.certificate, client.key].map(|path| path.display().to_string());
    Ok(format!(
        "\n[[stores]]\nname = \"{name}\"\nkind = \"kmip\"\n{head}server = \"{}\"\nserver_name = \"localhost\"\n\
         ca = \"{ca}\"\nclient_certificate = \"{certificate}\"\nclient_key = \"{key}\"\nanswer_seconds = 30.0\n{more}\n",
        server.address()
    ))
}
