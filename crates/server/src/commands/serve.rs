//! `bailey serve`

use std::io::{self, IsTerminal as _};
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bailey_core::audit::AuditSink;
use bailey_queue::Queue;
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;
use toml::Value;

use crate::assemble::{Obstacle, Running};
use crate::audit_sink::{self, SinkKind};
use crate::banner::{self, FirstStep};
use crate::cli::{Auth, Place, Serve};
use crate::config::{Config, Sources, load};
use crate::first_token::FirstToken;
use crate::folder::{self, FolderLock};
use crate::metrics::{self, Collector};
use crate::{hardening, logging, open_files, output};

/// How long listening is put off for databases that don't answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks at the key files, each followed by a report of the versions held.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
const LONGEST_RETRY: Duration = Duration::from_secs(10);

pub fn run(place: &Place, options: &Serve) -> Result<()> {
    let mut config = load(&sources(place, options))?.config;
    logging::start(&config.log)?;
    hardening::protect_memory();
    config.http.max_connections = open_files::connections(&config, open_files::raise());
    folder::prepare(&config.data_dir)?;
    let _lock = FolderLock::take(&config.data_dir)?;
    folder::prepare(&config.keys_dir)?;
    Builder::new_multi_thread().enable_all().build()?.block_on(serve(config))
}

fn sources(place: &Place, options: &Serve) -> Sources {
    let method = options.auth.map(|auth| match auth {
        Auth::StaticToken => "static-token",
        Auth::NoneForDevelopment => "none-for-development",
    });
    Sources::new(place)
        .with("listen", options.listen.map(|address| Value::String(address.to_string())))
        .with("auth.methods", method.map(|method| Value::Array(vec![Value::String(method.to_owned())])))
}

async fn serve(config: Config) -> Result<()> {
    let collector = Collector::start()?;
    if let Some(address) = config.metrics.listen {
        tokio::spawn(metrics::serve(&collector, address)?);
    }
    let mut stop = StopSignals::new()?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // Before anything is made: a port in use must not cost the one sight of the first token.
    let listener = listen(config.listen).with_context(|| format!("the API can't listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    let audit = audit_sink::open(&config.audit)?;
    let queue = Queue::new(&config.queue, Handle::current());

    let mut bring_up = pin!(until_it_works(&config, audit.clone(), &queue));
    let mut running = tokio::time::timeout(PATIENCE, &mut bring_up).await.ok().transpose()?;
    let api = bailey_api::Config {
        host_href: config.host_href.clone(),
        limits: config.limits.clone(),
        http: config.http.clone(),
    };
    let server = bailey_api::server(listener, bailey_api::State::new(api, queue.clone()))?;
    let handle = server.handle();
    let mut server = tokio::spawn(server);
    match &mut running {
        Some(running) => greet(&config, address, running)?,
        None => tracing::warn!(%address, "listening, but every request is answered 503 until the databases work"),
    }

    let mut look = tokio::time::interval(REPORT_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            result = &mut bring_up, if running.is_none() => greet(&config, address, running.insert(result?))?,
            _ = look.tick() => {
                collector.tidy();
                if let Some(running) = &running {
                    running.look_after_keys().await;
                }
            }
            _ = hang_up.recv() => {
                audit.reopen();
                if let Some(running) = &running {
                    running.reload(&config).await;
                }
            }
            () = stop.recv() => break,
            ended = &mut server => return ended?.context("the API's server ended"),
        }
    }

    tracing::info!("stopping: finishing what is in flight");
    let finish = async {
        handle.stop(true).await;
        queue.drain(Duration::from_secs(config.http.shutdown_seconds)).await;
        if let Some(running) = running {
            running.stop().await;
        }
        // What is left is told below.
        let _ = audit.settle().await;
    };
    tokio::select! {
        () = finish => tracing::info!("stopped"),
        () = stop.recv() => tracing::warn!("stopped at once, as asked for a second time"),
    }
    audit.tell_unwritten();
    Ok(())
}

/// Listens with room for a crowd: the standard library's queue of 128 connections overflows when many
/// clients come at once, and the kernel then forgets connections that their clients believe in.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Tries again, ever more slowly, while the databases are out of reach.
async fn until_it_works(config: &Config, audit: Arc<dyn AuditSink>, queue: &Queue) -> Result<Running> {
    let mut wait = Duration::from_millis(200);
    loop {
        match Running::start(config, Arc::clone(&audit)).await {
            Ok(running) => {
                queue.attach(running.worker().handlers());
                return Ok(running);
            }
            Err(Obstacle::Refused(error)) => return Err(error),
            Err(Obstacle::OutOfReach(error)) => {
                tracing::warn!(error = format!("{error:#}"), "not working yet, trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_RETRY);
            }
        }
    }
}

/// Says where to find it, on stdout unless that is the audit log, and hands out the first token.
fn greet(config: &Config, address: SocketAddr, running: &mut Running) -> Result<()> {
    tracing::info!(%address, data_dir = %config.data_dir.display(), "listening");
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
            tracing::warn!("no authentication: whoever reaches {address} is believed to be whoever they say");
        }
        FirstStep::TokenFile(path) => tracing::info!(path = %path.display(), "the first admin token is in a file"),
        FirstStep::Token(_) | FirstStep::Known => {}
    }
    if may_print {
        output::line(&banner::text(address, &config.data_dir, &first))?;
    }
    token.filter(|_| shows_token).map_or(Ok(()), FirstToken::remove_file)
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
