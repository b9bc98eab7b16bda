//! A connection to NATS that mends itself.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, ServerError};
use tokio::sync::watch;

use super::ConnectError;
use crate::config::{NatsConfig, without_login};
use crate::seldom::Seldom;

/// A server that says nothing for twice this long is gone.
const PING: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two tries to connect, at most; and how much longer each pause is than the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);

/// A connection. It is there from the start, connected or not.
#[derive(Clone)]
pub(super) struct Link {
    client: Client,
    is_up: watch::Receiver<bool>,
}

impl Link {
    /// Begins to connect, and goes on for ever.
    pub(super) async fn connect(config: &NatsConfig, role: &str) -> Result<Self, ConnectError> {
        let (up, is_up) = watch::channel(false);
        let events = Arc::new(Events { up, url: without_login(&config.url), trouble: Seldom::default() });
        let options = options(config)
            .await?
            .name(format!("bailey {role}"))
            .retry_on_initial_connect()
            .max_reconnects(None)
            .ping_interval(PING)
            .connection_timeout(CONNECT_TIMEOUT)
            .reconnect_delay_callback(|tries| {
                PAUSE.saturating_mul(u32::try_from(tries).unwrap_or(u32::MAX)).min(LONGEST_PAUSE)
            })
            .event_callback(move |event| {
                events.note(&event);
                std::future::ready(())
            });
        let client = options.connect(addresses(config)?).await;
        let client = client.map_err(|error| ConnectError::Settings(error.to_string()))?;
        Ok(Self { client, is_up })
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the server is there, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        *self.is_up.borrow()
    }

    /// Waits until the server is gone.
    pub(super) async fn lost(&self) {
        let mut is_up = self.is_up.clone();
        // An error means that the connection itself is gone.
        let _ = is_up.wait_for(|is_up| !is_up).await;
    }
}

async fn options(config: &NatsConfig) -> Result<ConnectOptions, ConnectError> {
    let mut options = ConnectOptions::new();
    if !config.user.is_empty() {
        options = options.user_and_password(config.user.clone(), config.password.clone());
    }
    if !config.nkey_seed.is_empty() {
        options = options.nkey(config.nkey_seed.clone());
    }
    let file = &config.credentials_file;
    if !file.as_os_str().is_empty() {
        options = options.credentials_file(file).await.map_err(ConnectError::file(file))?;
    }
    if !config.ca_file.as_os_str().is_empty() {
        options = options.add_root_certificates(config.ca_file.clone());
    }
    let (certificate, key) = (&config.certificate_file, &config.private_key_file);
    if !certificate.as_os_str().is_empty() {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    // They are read when the connection is made; what can't be read now is a mistake to be told now.
    for file in [&config.ca_file, certificate, key] {
        if !file.as_os_str().is_empty() {
            File::open(file).map_err(ConnectError::file(file))?;
        }
    }
    Ok(options)
}

fn addresses(config: &NatsConfig) -> Result<Vec<ServerAddr>, ConnectError> {
    let address = |url: &str| {
        let shown = without_login(url);
        url.trim().parse::<ServerAddr>().map_err(|error| ConnectError::Settings(format!("{shown}: {error}")))
    };
    config.url.split(',').map(address).collect()
}

struct Events {
    up: watch::Sender<bool>,
    url: String,
    trouble: Seldom,
}

impl Events {
    fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.switch(true);
                tracing::info!(nats = self.url, "connected to NATS");
            }
            Event::Disconnected | Event::Closed => {
                self.switch(false);
                self.trouble("the connection to NATS is lost");
            }
            Event::ServerError(ServerError::AuthorizationViolation) => self.trouble("NATS refuses the login"),
            Event::ServerError(error) => self.trouble(&format!("NATS complains: {error}")),
            Event::ClientError(error) => self.trouble(&format!("NATS is out of reach: {error}")),
            Event::SlowConsumer(_) => self.trouble("messages come faster than they are taken"),
            Event::LameDuckMode | Event::Draining => {}
        }
    }

    fn switch(&self, up: bool) {
        self.up.send_replace(up);
        metrics::gauge!("bailey_queue_connected").set(if up { 1.0 } else { 0.0 });
    }

    fn trouble(&self, what: &str) {
        if let Some(unsaid) = self.trouble.may_say() {
            tracing::warn!(nats = self.url, unsaid, "{what}; it is tried again for ever");
        }
    }
}
