//! A PKCS#11 library that goes wrong when it is told to, in front of a real one.
//!
//! It is C, compiled when a fixture is made: `faulty/module.c`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::process;

/// The functions of PKCS#11 2.40, in the order of `CK_FUNCTION_LIST`.
pub const FUNCTIONS: [&str; 68] = [
    "C_Initialize",
    "C_Finalize",
    "C_GetInfo",
    "C_GetFunctionList",
    "C_GetSlotList",
    "C_GetSlotInfo",
    "C_GetTokenInfo",
    "C_GetMechanismList",
    "C_GetMechanismInfo",
    "C_InitToken",
    "C_InitPIN",
    "C_SetPIN",
    "C_OpenSession",
    "C_CloseSession",
    "C_CloseAllSessions",
    "C_GetSessionInfo",
    "C_GetOperationState",
    "C_SetOperationState",
    "C_Login",
    "C_Logout",
    "C_CreateObject",
    "C_CopyObject",
    "C_DestroyObject",
    "C_GetObjectSize",
    "C_GetAttributeValue",
    "C_SetAttributeValue",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_EncryptInit",
    "C_Encrypt",
    "C_EncryptUpdate",
    "C_EncryptFinal",
    "C_DecryptInit",
    "C_Decrypt",
    "C_DecryptUpdate",
    "C_DecryptFinal",
    "C_DigestInit",
    "C_Digest",
    "C_DigestUpdate",
    "C_DigestKey",
    "C_DigestFinal",
    "C_SignInit",
    "C_Sign",
    "C_SignUpdate",
    "C_SignFinal",
    "C_SignRecoverInit",
    "C_SignRecover",
    "C_VerifyInit",
    "C_Verify",
    "C_VerifyUpdate",
    "C_VerifyFinal",
    "C_VerifyRecoverInit",
    "C_VerifyRecover",
    "C_DigestEncryptUpdate",
    "C_DecryptDigestUpdate",
    "C_SignEncryptUpdate",
    "C_DecryptVerifyUpdate",
    "C_GenerateKey",
    "C_GenerateKeyPair",
    "C_WrapKey",
    "C_UnwrapKey",
    "C_DeriveKey",
    "C_SeedRandom",
    "C_GenerateRandom",
    "C_GetFunctionStatus",
    "C_CancelFunction",
    "C_WaitForSlotEvent",
];

/// Fields of a function in the control file, each a word: kind, argument, times, calls, struck, inside.
const FIELDS: usize = 6;
const WORD: usize = size_of::<u64>();

/// What goes wrong in a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It doesn't return before the fault is lifted; then it does what it was to.
    Hang,
    /// It does nothing and returns this code.
    Code(u64),
    /// It does what it was to and returns this code nevertheless.
    CodeAfter(u64),
    /// It takes so much longer.
    Slow(Duration),
    /// It takes so much longer when it makes something, and isn't only asked how much that will be.
    SlowOutput(Duration),
    /// It changes what it returns: a bit of bytes, another handle.
    Corrupt,
    /// It closes all sessions with the token before it does what it was to.
    LoseSessions,
    /// It takes the process down.
    Crash,
    /// It makes the IV itself that it is to encrypt with, and refuses another one; for `C_EncryptInit`.
    OwnIv,
}

impl Fault {
    fn words(self) -> (u64, u64) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        match self {
            Self::Hang => (1, 0),
            Self::Code(code) => (2, code),
            Self::CodeAfter(code) => (3, code),
            Self::Slow(time) => (4, micros(time)),
            Self::SlowOutput(time) => (5, micros(time)),
            Self::Corrupt => (6, 0),
            Self::LoseSessions => (7, 0),
            Self::Crash => (8, 0),
            Self::OwnIv => (9, 0),
        }
    }
}

/// The library. Each is loaded as one of its own, with a copy of the one it is in front of: what goes wrong in
/// one is nobody else's trouble.
#[derive(Debug)]
pub struct Faulty {
    folder: TempDir,
    control: File,
}

impl Faulty {
    /// A library in front of `module`, without any fault yet.
    ///
    /// # Errors
    /// When there is no compiler, or no such library.
    pub fn before(module: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bailey-faulty-").tempdir()?;
        std::fs::write(folder.path().join("faulty.so"), compiled()?)?;
        std::fs::copy(module, folder.path().join("inner.so")).with_context(|| format!("copy {}", module.display()))?;
        let control = folder.path().join("control");
        let control = File::options().create_new(true).read(true).write(true).open(control)?;
        control.set_len(u64::try_from(FUNCTIONS.len() * FIELDS * WORD)?)?;
        Ok(Self { folder, control })
    }

    /// The library's file.
    #[must_use]
    pub fn module(&self) -> PathBuf {
        self.folder.path().join("faulty.so")
    }

    /// Has every further call of `function` go wrong.
    pub fn set(&self, function: &str, fault: Fault) {
        self.set_times(function, fault, u64::MAX);
    }

    /// Has the next `times` calls of `function` go wrong.
    pub fn set_times(&self, function: &str, fault: Fault, times: u64) {
        let (kind, argument) = fault.words();
        self.write(function, 0, 0);
        self.write(function, 1, argument);
        self.write(function, 2, times);
        self.write(function, 0, kind);
    }

    /// Has calls of `function` go right again, those that hang included.
    pub fn lift(&self, function: &str) {
        self.write(function, 0, 0);
    }

    /// Has all calls go right again.
    pub fn lift_all(&self) {
        for function in FUNCTIONS {
            self.lift(function);
        }
    }

    /// How often `function` was called.
    #[must_use]
    pub fn calls(&self, function: &str) -> u64 {
        self.read(function, 3)
    }

    /// How often a call of `function` went wrong.
    #[must_use]
    pub fn struck(&self, function: &str) -> u64 {
        self.read(function, 4)
    }

    /// How many calls of `function` have not returned.
    #[must_use]
    pub fn inside(&self, function: &str) -> u64 {
        self.read(function, 5)
    }

    fn read(&self, function: &str, field: usize) -> u64 {
        let mut word = [0; WORD];
        self.control.read_exact_at(&mut word, offset(function, field)).expect("the control file is there");
        u64::from_ne_bytes(word)
    }

    fn write(&self, function: &str, field: usize, value: u64) {
        let place = offset(function, field);
        self.control.write_all_at(&value.to_ne_bytes(), place).expect("the control file is there");
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.lift_all();
    }
}

fn offset(function: &str, field: usize) -> u64 {
    let index = FUNCTIONS.iter().position(|known| *known == function);
    let index = index.unwrap_or_else(|| panic!("PKCS#11 has no function {function}"));
    ((index * FIELDS + field) * WORD) as u64
}

/// The compiled library, made once for this program.
fn compiled() -> Result<&'static [u8]> {
    static COMPILED: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    let made = COMPILED.get_or_init(|| compile().map_err(|error| format!("{error:#}")));
    made.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn compile() -> Result<Vec<u8>> {
    let folder = TempDir::new()?;
    let file = |name| folder.path().join(name);
    let functions: String = FUNCTIONS.iter().map(|name| format!(" X({name})")).collect();
    std::fs::write(file("functions.h"), format!("#define FUNCTIONS{functions}\n"))?;
    std::fs::write(file("module.c"), include_str!("faulty/module.c"))?;
    let mut compiler = Command::new("gcc");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-o"]);
    compiler.args([file("faulty.so"), file("module.c")]).arg("-ldl");
    process::run(&mut compiler).context("compile the faulty PKCS#11 library")?;
    Ok(std::fs::read(file("faulty.so"))?)
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;
    use crate::process::Process;
    use crate::softhsm::{self, SoftHsm};

    fn random(softhsm: &SoftHsm, faulty: &Faulty) -> Command {
        let mut command = process::command("pkcs11-tool");
        command.envs(softhsm.environment()).arg("--module").arg(faulty.module()).stdout(Stdio::null());
        command.args(["--token-label", softhsm::LABEL, "--login", "--pin", softhsm::PIN, "--generate-random", "8"]);
        command
    }

    #[test]
    fn it_does_what_the_library_behind_it_does_but_what_it_is_told_to() {
        let softhsm = SoftHsm::start().unwrap();
        let faulty = Faulty::before(softhsm.module()).unwrap();
        let run = || process::run(&mut random(&softhsm, &faulty));
        run().unwrap();
        assert_eq!((faulty.calls("C_GenerateRandom"), faulty.struck("C_GenerateRandom")), (1, 0));

        let device_error = 0x30;
        faulty.set_times("C_GenerateRandom", Fault::Code(device_error), 1);
        run().unwrap_err();
        run().unwrap();
        assert_eq!((faulty.calls("C_GenerateRandom"), faulty.struck("C_GenerateRandom")), (3, 1));

        faulty.set("C_Login", Fault::LoseSessions);
        assert!(run().unwrap_err().to_string().contains("CKR_SESSION_HANDLE_INVALID"));
    }

    #[test]
    fn what_hangs_goes_on_when_the_fault_is_lifted() {
        let softhsm = SoftHsm::start().unwrap();
        let faulty = Faulty::before(softhsm.module()).unwrap();
        faulty.set("C_GenerateRandom", Fault::Hang);
        let mut hanging = Process::start(random(&softhsm, &faulty)).unwrap();
        process::until(Duration::from_secs(10), || {
            (faulty.inside("C_GenerateRandom") == 1).then_some(()).context("it isn't called")
        })
        .unwrap();
        assert!(hanging.is_running());
        faulty.lift("C_GenerateRandom");
        assert!(hanging.wait(Duration::from_secs(10)).unwrap().success());
        assert_eq!(faulty.inside("C_GenerateRandom"), 0);
    }
}
