//! The half that serves the API.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use anyhow::{Context as _, Result};
use bailey_api::{Certificates, State};
use bailey_queue::Queue;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use crate::config::Config;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;

/// A running API.
pub struct Front {
    state: State,
    handle: ServerHandle,
    server: JoinHandle<io::Result<()>>,
    certificates: Option<Arc<Certificates>>,
}

impl Front {
    /// Takes the address, without serving anything yet.
    ///
    /// # Errors
    /// When it is in use or not allowed.
    pub fn listen(config: &Config) -> Result<(TcpListener, SocketAddr)> {
        let listener = listen(config.listen).with_context(|| format!("the API can't listen on {}", config.listen))?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    /// What the API knows: its settings, and to ask workers by `queue`.
    #[must_use]
    pub fn state(config: &Config, queue: Queue) -> State {
        let api = bailey_api::Config {
            host_href: config.host_href.clone(),
            limits: config.limits.clone(),
            http: config.http.clone(),
            cors: config.cors.clone(),
        };
        State::new(api, queue)
    }

    /// What the API proves with who it is, if it speaks TLS.
    ///
    /// # Errors
    /// Which file is no good, and why.
    pub fn certificates(config: &Config) -> Result<Option<Arc<Certificates>>> {
        Ok(config.tls.is_on().then(|| Certificates::open(&config.tls)).transpose()?)
    }

    /// Serves the API on `listener`.
    ///
    /// # Errors
    /// When the listener can't be used.
    pub fn serve(listener: TcpListener, state: &State, certificates: Option<Arc<Certificates>>) -> Result<Self> {
        let server = bailey_api::server(listener, state.clone(), certificates.as_ref())?;
        Ok(Self { state: state.clone(), handle: server.handle(), server: tokio::spawn(server), certificates })
    }

    /// Reads certificates that have changed.
    pub fn look(&self) {
        if let Some(certificates) = &self.certificates {
            certificates.look();
        }
    }

    /// Reads the certificates again.
    pub fn reload(&self) {
        if let Some(certificates) = &self.certificates {
            certificates.reload();
        }
    }

    /// Waits until it ends without being asked to, and says why.
    pub async fn ended(&mut self) -> Result<()> {
        (&mut self.server).await?.context("the API's server ended")
    }

    /// Goes on for as long as it is to, then stops accepting and finishes what is in flight.
    pub async fn stop(&self) {
        bailey_api::stop(&self.handle, &self.state).await;
    }
}

/// Listens with room for a crowd: the standard library's queue of 128 connections overflows when many
/// clients come at once, and the kernel then forgets connections that their clients believe in.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}
