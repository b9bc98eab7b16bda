//! The API over HTTP, without sockets, before a worker that is a table of answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod authorities;
mod cors;
mod documents;
mod fake;
mod http2;
mod observed;
mod order;
mod robustness;
mod tls;
