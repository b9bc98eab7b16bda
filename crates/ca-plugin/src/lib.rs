//! Certificate authorities behind [`CertificateAuthority`](bailey_core::ca::CertificateAuthority): [`local`], which
//! signs by itself, [`acme`], which asks a CA that speaks ACME, and [`ejbca`], which asks a CA in EJBCA. Each sort has a
//! module of its own, with its configuration, its client and its errors.
//!
//! It is not the place for orders, keys of clients or anything that is kept: the worker has those. Start reading at
//! [`local::LocalCa`].

#![warn(missing_docs)]

pub mod acme;
pub mod ejbca;
mod intentions;
pub mod local;
mod names;
mod pattern;
mod request;
mod secret;

pub use secret::Secret;
