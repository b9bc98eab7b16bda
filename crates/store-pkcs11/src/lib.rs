//! The HSM crypto backend: MKEKs that never leave a PKCS#11 token, KEKs and payloads encrypted in it.
//!
//! It encrypts and doesn't keep: `bailey_core::envelope` makes a secret store of it. Everything it asks of a
//! token is a [`Job`], which a [`Runner`] carries there; nothing else in here calls the token's
//! library. Start reading at [`Pkcs11Backend`], then `job.rs`; `docs/formats.md` describes every byte it makes.
//!
//! It is no place for retries, metrics or audit, and none for keys that clients own: those are drawn from the
//! token's generator and encrypted like any payload. Keys of CAs stay in the token for good (`signing.rs`).

mod backend;
mod cipher;
mod ciphertext;
mod config;
mod connection;
mod digest;
mod error;
mod hsm;
mod job;
mod kek;
mod keys;
mod mechanism;
mod module;
mod pin;
mod pool;
mod runner;
mod session;
mod signing;
mod version;
mod wrapping;

pub use backend::Pkcs11Backend;
pub use ciphertext::{CbcHmac, Gcm};
pub use config::{Config, GcmIv, Isolation, PayloadMechanism, Token};
pub use error::{Failure, Fault, Operation};
pub use hsm::Hsm;
pub use job::{Answer, Job};
pub use keys::{Finding, KeyObject, KeyRole};
pub use mechanism::WrapMechanism;
pub use pin::Pin;
pub use runner::{CHILD, Runner, connect, serve};
pub use signing::Signing;
pub use wrapping::Wrapping;
