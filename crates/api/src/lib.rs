//! The Key Manager API over HTTP: parses, negotiates and renders.
//!
//! It holds nothing worth stealing: the caller's token and payload pass through it on their way to a
//! worker, which alone decides. It is not the place for business rules. Start reading at
//! `router.rs`, which shows every route, then at a handler. To serve it, call [`server`].

mod config;
mod cors;
mod dto;
mod edge;
mod error;
mod extract;
mod handler;
mod http2;
mod json;
mod measure;
mod openapi;
mod proxy;
mod router;
mod server;
mod state;
mod tls;
mod trace;

pub use config::{Config, Cors, Http, Limits};
pub use dto::time;
pub use extract::accept;
pub use json::Json;
pub use proxy::Network;
pub use router::probes;
pub use server::{app, server, stop};
pub use state::State;
pub use tls::{Certificates, ClientAuth, MinVersion, TlsConfig, TlsError};
