//! How this backend's failures become store errors: by what was being done, not by the token's code alone,
//! since tokens give the same code for different things and different ones for the same.

use std::fmt;

use bailey_core::ids::{KekId, MasterKeyId};
use bailey_core::store::{StoreError, StoreErrorKind};
use cryptoki::error::{Error, RvError};
use serde::{Deserialize, Serialize};

/// What was being asked of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// Load and initialise its library.
    LoadModule,
    /// Find it among the library's slots.
    FindToken,
    /// Open a session.
    OpenSession,
    /// Present the PIN.
    LogIn,
    /// Look an MKEK with its HMAC key up and verify them.
    FindMkek,
    /// Make a KEK and wrap it.
    CreateKek,
    /// Verify and unwrap a KEK.
    UnwrapKek,
    /// Encrypt a payload.
    Encrypt,
    /// Decrypt a payload.
    Decrypt,
    /// Draw random bytes.
    Random,
    /// List keys and mechanisms.
    Inspect,
    /// Make an MKEK with its HMAC key.
    GenerateKeys,
    /// Make a token of an empty slot.
    InitToken,
    /// Make the key pair of a CA.
    MakeCaKey,
    /// Look the key pair of a CA up.
    FindCaKey,
    /// Destroy the key pair of a CA.
    DestroyCaKey,
    /// Sign with the key of a CA.
    Sign,
}

impl Operation {
    /// As errors name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoadModule => "load PKCS#11 module",
            Self::FindToken => "find token",
            Self::OpenSession => "open session",
            Self::LogIn => "log in to token",
            Self::FindMkek => "find MKEK",
            Self::CreateKek => "create KEK",
            Self::UnwrapKek => "unwrap KEK",
            Self::Encrypt => "encrypt payload",
            Self::Decrypt => "decrypt payload",
            Self::Random => "draw random bytes",
            Self::Inspect => "inspect token",
            Self::GenerateKeys => "generate MKEK",
            Self::InitToken => "initialise token",
            Self::MakeCaKey => "make CA key",
            Self::FindCaKey => "find CA key",
            Self::DestroyCaKey => "destroy CA key",
            Self::Sign => "sign with CA key",
        }
    }
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// What was stored isn't what was made, or not for this place. Proven: the token itself works.
    Corrupt,
    /// The token has no such key; or it is gone, which looks the same.
    NoKey,
    /// The token has such a key, and it isn't what it must be.
    WrongKey,
    /// The token refused the PIN, or there is none. Not tried again.
    Pin,
    /// The token, or what was open on it, is gone: everything has to be opened anew.
    Lost,
    /// The token refused or failed, for reasons of its own.
    Device,
    /// The token can't do that, ever.
    Unsupported,
    /// The token has no more sessions to give.
    Busy,
    /// The call took longer than it may.
    Late,
    /// Too many calls never came back: the library is not asked any more.
    Unusable,
}

/// Why a job failed. Contains no payload, key or PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {fault:?}: {context}", operation.as_str())]
pub struct Failure {
    /// What was being done.
    pub operation: Operation,
    /// What it means.
    pub fault: Fault,
    /// What an operator needs to know beside that.
    pub context: String,
}

impl Failure {
    /// A failure with a sentence about it.
    #[must_use]
    pub fn new(operation: Operation, fault: Fault, context: impl Into<String>) -> Self {
        Self { operation, fault, context: context.into() }
    }

    /// Adds why nothing could be done about it.
    #[must_use]
    pub(crate) fn because(mut self, other: &Self) -> Self {
        self.context = format!("{}; {}", self.context, other.context);
        self
    }

    /// Whether the session that it happened in may have something to do with it.
    pub(crate) const fn is_about_session(&self) -> bool {
        !matches!(self.fault, Fault::Corrupt | Fault::NoKey | Fault::WrongKey)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let kind = match failure.fault {
            Fault::Corrupt => StoreErrorKind::Corrupt,
            Fault::Unusable => StoreErrorKind::Stuck,
            // What a token lacks altogether, the operator can do something about.
            Fault::Unsupported if failure.operation != Operation::FindToken => StoreErrorKind::Unsupported,
            _ => StoreErrorKind::Unavailable,
        };
        Self::new(kind, failure.operation.as_str(), failure.context)
    }
}

/// The one place where the codes of tokens get a meaning.
pub(crate) fn failure(operation: Operation, error: &Error) -> Failure {
    Failure::new(operation, fault(operation, error), Told(error).to_string())
}

/// What `error` means when it came from `operation`.
///
/// Most codes are `Device`: whether data or token is to blame is found out by a round trip (`kek.rs`).
fn fault(operation: Operation, error: &Error) -> Fault {
    let Error::Pkcs11(code, _) = error else { return Fault::Device };
    match code {
        RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::CryptokiNotInitialized
        | RvError::UserNotLoggedIn
        | RvError::ObjectHandleInvalid
        | RvError::KeyHandleInvalid
        | RvError::WrappingKeyHandleInvalid
        | RvError::UnwrappingKeyHandleInvalid => Fault::Lost,
        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::UserPinNotInitialized
            if matches!(operation, Operation::LogIn | Operation::InitToken) =>
        {
            Fault::Pin
        }
        RvError::SessionCount => Fault::Busy,
        RvError::DataLenRange if operation == Operation::Encrypt => Fault::Unsupported,
        RvError::MechanismInvalid | RvError::FunctionNotSupported if operation == Operation::InitToken => {
            Fault::Unsupported
        }
        _ => Fault::Device,
    }
}

/// A token's error in its own words: `C_Decrypt answered GeneralError`.
struct Told<'a>(&'a Error);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::Pkcs11(code, function) => write!(f, "C_{function:?} answered {code:?}"),
            other => other.fmt(f),
        }
    }
}

/// The wrapping of this KEK is not what was made.
pub(crate) fn corrupt_wrapping(kek: KekId) -> Failure {
    Failure::new(Operation::UnwrapKek, Fault::Corrupt, format!("KEK {kek}"))
}

/// The ciphertext is not what was made, or not for this associated data.
pub(crate) fn corrupt_ciphertext(kek: KekId) -> Failure {
    Failure::new(Operation::Decrypt, Fault::Corrupt, format!("under KEK {kek}"))
}

/// The token doesn't have this version.
pub(crate) fn missing_mkek(mkek: MasterKeyId, role: &str) -> Failure {
    let context = format!(
        "the token has no {role} of version {mkek}: if there is none yet, run `bailey hsm generate`; otherwise this \
         is not the token that the store was used with"
    );
    Failure::new(Operation::FindMkek, Fault::NoKey, context)
}

/// Nothing is registered as active.
pub(crate) fn no_version() -> Failure {
    let context = "no version of the MKEK is active: run `bailey hsm generate`";
    Failure::new(Operation::FindMkek, Fault::NoKey, context)
}

/// The token has another key under the id of this version.
pub(crate) fn wrong_mkek(mkek: MasterKeyId) -> Failure {
    let context = format!("the token's MKEK {mkek} is not the one that was registered");
    Failure::new(Operation::FindMkek, Fault::WrongKey, context)
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn one_code_means_different_things_in_different_operations() {
        let told = |operation, code| failure(operation, &Error::Pkcs11(code, Function::Decrypt)).fault;
        assert_eq!(told(Operation::LogIn, RvError::PinIncorrect), Fault::Pin);
        assert_eq!(told(Operation::Decrypt, RvError::PinIncorrect), Fault::Device);
        assert_eq!(told(Operation::Encrypt, RvError::DataLenRange), Fault::Unsupported);
        assert_eq!(told(Operation::Decrypt, RvError::DataLenRange), Fault::Device);
        assert_eq!(told(Operation::Decrypt, RvError::GeneralError), Fault::Device, "may be tampered data");
        assert_eq!(told(Operation::Decrypt, RvError::DeviceError), Fault::Device, "may be tampered data");
        assert_eq!(told(Operation::Decrypt, RvError::SessionHandleInvalid), Fault::Lost);
    }

    #[test]
    fn only_proven_damage_is_corrupt() {
        let kind = |fault| StoreError::from(Failure::new(Operation::Decrypt, fault, "")).kind;
        assert_eq!(kind(Fault::Corrupt), StoreErrorKind::Corrupt);
        assert_eq!(kind(Fault::Unsupported), StoreErrorKind::Unsupported);
        for fault in [Fault::NoKey, Fault::WrongKey, Fault::Pin, Fault::Lost, Fault::Device, Fault::Late] {
            assert_eq!(kind(fault), StoreErrorKind::Unavailable);
        }
    }
}
