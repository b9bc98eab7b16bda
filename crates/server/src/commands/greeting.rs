//! What a process says once it works.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;

use anyhow::Result;
use bailey_worker::CertificateOffer;

use crate::assemble::Running;
use crate::audit_sink::SinkKind;
use crate::banner::{self, FirstStep};
use crate::config::Config;
use crate::first_token::FirstToken;
use crate::output;

/// Says where to find an API that knows of nothing else.
pub fn greet_api(config: &Config, address: SocketAddr) -> Result<()> {
    tracing::info!(%address, "listening");
    Ok(output::line(&banner::of_api(&banner::base(address, config.tls.is_on())))?)
}

/// Says where to find it, if it listens, on stdout unless that is the audit log, and hands out the first token.
pub fn greet(config: &Config, address: Option<SocketAddr>, running: &mut Running) -> Result<()> {
    match address {
        Some(address) => tracing::info!(%address, data_dir = %config.data_dir.display(), "listening"),
        None => tracing::info!(data_dir = %config.data_dir.display(), "working"),
    }
    let may_print = config.audit.sink != SinkKind::Stdout;
    let token = running.take_first_token();
    let shows_token = may_print && io::stdout().is_terminal();
    let first = match &token {
        _ if config.auth.believes_anyone() => FirstStep::NoAuthentication,
        Some(token) if shows_token => FirstStep::Token(token.text()),
        Some(token) => FirstStep::TokenFile(token.path()),
        None => FirstStep::Known,
    };
    match &first {
        FirstStep::NoAuthentication => {
            tracing::warn!("no authentication: whoever reaches the API is believed to be whoever they say");
        }
        FirstStep::TokenFile(path) => tracing::info!(path = %path.display(), "the first admin token is in a file"),
        FirstStep::Token(_) | FirstStep::Known => {}
    }
    if config.api.certificates == CertificateOffer::Off && !config.cas.is_empty() {
        tracing::warn!(
            "CAs are configured and api.certificates is off: only orders from before are worked on, nothing is renewed"
        );
    }
    if may_print {
        let base = address.map(|address| banner::base(address, config.tls.is_on()));
        output::line(&banner::text(base.as_deref(), &config.data_dir, &first))?;
    }
    token.filter(|_| shows_token).map_or(Ok(()), FirstToken::remove_file)
}
