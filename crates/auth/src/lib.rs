//! Authenticators: who is asking.
//!
//! The worker runs a [`Chain`] of them over what the API passed on unread. It is not the place for
//! rights (that is the worker's policy) nor for where tokens are kept (that is `db`). Start reading
//! at [`Config`], then at [`StaticTokenAuthenticator`] and [`KeystoneAuthenticator`].

#![warn(missing_docs)]

mod chain;
mod config;
pub mod keystone;
mod no_auth;
mod static_token;
pub mod token;

pub use chain::Chain;
pub use config::{Config, MethodName};
pub use keystone::KeystoneAuthenticator;
pub use no_auth::NoAuth;
pub use static_token::StaticTokenAuthenticator;
