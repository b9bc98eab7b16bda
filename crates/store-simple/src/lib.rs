//! The software crypto backend: AES-256-GCM under MKEKs from a key file.
//!
//! It encrypts and doesn't keep: `bailey_core::envelope` makes a secret store of it. It reads no
//! files itself; the key ring it is given does. Start reading at [`SimpleBackend`];
//! `docs/formats.md` describes every byte it makes.

mod backend;
mod check;
mod config;
mod error;
mod seal;

pub use backend::SimpleBackend;
pub use check::key_check_value;
pub use config::Config;
