//! A private Kryoptic: a software token whose habits are other ones than SoftHSM's.
//!
//! `scripts/kryoptic-library` builds the library.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;
use crate::token::{self, Folder};

/// Names the configuration file.
const CONFIGURATION: &str = "KRYOPTIC_CONF";
const FILE: &str = "kryoptic.toml";
/// The slot of the first token; each further one is in the next slot.
const SLOT: usize = 42;

/// The label of the token that is there from the beginning.
pub const LABEL: &str = "kryoptic";
/// The PIN of each token's user.
pub const PIN: &str = "kryoptic-pin-canary";
/// The PIN of each token's security officer.
pub const SO_PIN: &str = "kryoptic-so-pin-canary";

/// Tokens of Kryoptic, removed when dropped by whoever started it.
#[derive(Debug)]
pub struct Kryoptic {
    folder: Folder,
    module: PathBuf,
}

impl Kryoptic {
    /// Makes a folder with one token, labelled [`LABEL`].
    ///
    /// # Errors
    /// When Kryoptic can't be built.
    pub fn start() -> Result<Self> {
        let kryoptic = Self { folder: Folder::new("bailey-kryoptic-")?, module: library()? };
        kryoptic.add_token(LABEL)?;
        Ok(kryoptic)
    }

    /// The one in this program's environment, if it was run again with one.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn inherited() -> Result<Option<Self>> {
        let Some(folder) = Folder::inherited(CONFIGURATION) else { return Ok(None) };
        Ok(Some(Self { folder, module: library()? }))
    }

    /// Adds a token. A process that has initialised the library doesn't see it before it does so again.
    ///
    /// # Errors
    /// When Kryoptic refuses.
    pub fn add_token(&self, label: &str) -> Result<()> {
        let slot = self.add_slot()?;
        process::run(self.tool().args(["--slot", &slot, "--init-token", "--label", label, "--so-pin", SO_PIN]))
            .context("make a token of Kryoptic")?;
        let officer = ["--login", "--login-type", "so", "--so-pin", SO_PIN, "--init-pin", "--new-pin", PIN];
        process::run(self.tool().args(["--slot", &slot]).args(officer))?;
        Ok(())
    }

    /// Adds a slot without a token, and returns its number.
    ///
    /// # Errors
    /// When the configuration can't be written.
    pub fn add_slot(&self) -> Result<String> {
        let file = self.folder.path().join(FILE);
        let mut slots = std::fs::read_to_string(&file).unwrap_or_default();
        let slot = SLOT + slots.matches("[[slots]]").count();
        let token = self.folder.path().join(format!("{slot}.sql"));
        let _ = write!(slots, "[[slots]]\nslot = {slot}\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", token.display());
        std::fs::write(&file, slots)?;
        Ok(slot.to_string())
    }

    /// `pkcs11-tool` with the library.
    #[must_use]
    pub fn tool(&self) -> Command {
        let mut command = process::command("pkcs11-tool");
        command.envs(self.environment()).arg("--module").arg(&self.module);
        command
    }

    /// The library.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// The label of the token that is there from the beginning.
    #[must_use]
    pub fn token_label(&self) -> &'static str {
        LABEL
    }

    /// The PIN of its user.
    #[must_use]
    pub fn pin(&self) -> &'static str {
        PIN
    }

    /// What a process needs to see the tokens.
    #[must_use]
    pub fn environment(&self) -> token::Environment {
        vec![(CONFIGURATION, OsString::from(self.folder.path().join(FILE)))]
    }
}

/// The built library.
fn library() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kryoptic-library");
    let library = process::run(&mut Command::new(script)).context("build Kryoptic")?;
    Ok(PathBuf::from(String::from_utf8(library)?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_tokens_can_be_logged_in_to() {
        let kryoptic = Kryoptic::start().unwrap();
        kryoptic.add_token("second").unwrap();
        for label in [LABEL, "second"] {
            let login = |pin| {
                let arguments = ["--token-label", label, "--login", "--pin", pin, "--list-objects"];
                process::run(kryoptic.tool().args(arguments))
            };
            login(PIN).unwrap();
            login("a wrong one").unwrap_err();
        }
    }
}
