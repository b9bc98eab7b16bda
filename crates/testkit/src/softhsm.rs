//! A private SoftHSM: tokens in a folder of their own, which only processes with its environment see.
//!
//! A token is software: its keys are in the memory of whoever loads the library.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::token::{self, Folder};

/// Where Debian has the library.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// Names the configuration file.
const CONFIGURATION: &str = "SOFTHSM2_CONF";
/// Folders of tokens that are there and of such that are taken away.
const TOKENS: &str = "tokens";
const REMOVED: &str = "removed";

/// The label of the token that is there from the beginning.
pub const LABEL: &str = "bailey";
/// The PIN of each token's user.
pub const PIN: &str = "softhsm-pin-canary";
/// The PIN of each token's security officer.
pub const SO_PIN: &str = "softhsm-so-pin-canary";

/// Tokens of SoftHSM, removed when dropped by whoever started it.
#[derive(Debug)]
pub struct SoftHsm {
    folder: Folder,
}

impl SoftHsm {
    /// Makes a folder with one token, labelled [`LABEL`].
    ///
    /// # Errors
    /// When SoftHSM isn't installed.
    pub fn start() -> Result<Self> {
        let folder = Folder::new("bailey-softhsm-")?;
        let [tokens, removed] = [TOKENS, REMOVED].map(|name| folder.path().join(name));
        std::fs::create_dir(&tokens)?;
        std::fs::create_dir(removed)?;
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
            tokens.display()
        );
        std::fs::write(folder.path().join("softhsm2.conf"), configuration)?;
        let softhsm = Self { folder };
        softhsm.add_token(LABEL)?;
        Ok(softhsm)
    }

    /// The one in this program's environment, if it was run again with one.
    #[must_use]
    pub fn inherited() -> Option<Self> {
        Folder::inherited(CONFIGURATION).map(|folder| Self { folder })
    }

    /// Adds a token. A process that has initialised the library doesn't see it before it does so again.
    ///
    /// # Errors
    /// When SoftHSM refuses.
    pub fn add_token(&self, label: &str) -> Result<()> {
        let mut command = self.command("softhsm2-util");
        command.args(["--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", PIN]);
        process::run(&mut command).context("make a token: is SoftHSM installed? run scripts/install-test-needs")?;
        Ok(())
    }

    /// Gives the user of a token another PIN.
    ///
    /// # Errors
    /// When `old` isn't the PIN.
    pub fn change_pin(&self, label: &str, old: &str, new: &str) -> Result<()> {
        let mut command = self.tool(label);
        command.args(["--login", "--pin", old, "--change-pin", "--new-pin", new]);
        process::run(&mut command).map(drop)
    }

    /// Takes a token away, as if the device were pulled out.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn remove(&self, label: &str) -> Result<()> {
        self.move_token(label, TOKENS, REMOVED)
    }

    /// Puts a token back that [`remove`](Self::remove) took away.
    ///
    /// # Errors
    /// When it isn't away.
    pub fn put_back(&self, label: &str) -> Result<()> {
        self.move_token(label, REMOVED, TOKENS)
    }

    fn move_token(&self, label: &str, from: &str, to: &str) -> Result<()> {
        let [from, to] = [from, to].map(|name| self.folder.path().join(name));
        // A token's label is padded to 32 bytes (PKCS#11, CK_TOKEN_INFO).
        let label = format!("{label:<32}");
        for token in std::fs::read_dir(from)? {
            let token = token?;
            let described = std::fs::read(token.path().join("token.object"))?;
            if described.windows(label.len()).any(|part| part == label.as_bytes()) {
                return Ok(std::fs::rename(token.path(), to.join(token.file_name()))?);
            }
        }
        bail!("no token {label}")
    }

    /// `pkcs11-tool` for one of the tokens.
    #[must_use]
    pub fn tool(&self, label: &str) -> Command {
        let mut command = self.command("pkcs11-tool");
        command.arg("--module").arg(MODULE).args(["--token-label", label]);
        command
    }

    /// The library.
    #[must_use]
    pub fn module(&self) -> &'static Path {
        Path::new(MODULE)
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
        vec![(CONFIGURATION, OsString::from(self.folder.path().join("softhsm2.conf")))]
    }

    fn command(&self, program: &str) -> Command {
        let mut command = process::command(program);
        command.envs(self.environment());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(softhsm: &SoftHsm) -> String {
        let mut command = softhsm.command("pkcs11-tool");
        command.arg("--module").arg(MODULE).arg("--list-token-slots");
        String::from_utf8(process::run(&mut command).unwrap()).unwrap()
    }

    #[test]
    fn a_token_can_be_logged_in_to_until_its_pin_is_another() {
        let softhsm = SoftHsm::start().unwrap();
        let login = |pin| process::run(softhsm.tool(LABEL).args(["--login", "--pin", pin, "--list-objects"]));
        login(PIN).unwrap();
        softhsm.change_pin(LABEL, PIN, "another-canary").unwrap();
        login(PIN).unwrap_err();
        login("another-canary").unwrap();
    }

    #[test]
    fn tokens_are_added_taken_away_and_put_back() {
        let softhsm = SoftHsm::start().unwrap();
        softhsm.add_token("second").unwrap();
        assert!(tokens(&softhsm).contains(LABEL) && tokens(&softhsm).contains("second"));
        softhsm.remove(LABEL).unwrap();
        assert!(!tokens(&softhsm).contains(LABEL) && tokens(&softhsm).contains("second"));
        softhsm.put_back(LABEL).unwrap();
        assert!(tokens(&softhsm).contains(LABEL) && tokens(&softhsm).contains("second"));
    }

    #[test]
    fn no_two_see_each_other() {
        let (one, other) = (SoftHsm::start().unwrap(), SoftHsm::start().unwrap());
        other.add_token("second").unwrap();
        assert!(!tokens(&one).contains("second"));
    }
}
