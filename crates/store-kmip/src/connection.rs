//! One connection to a server.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::Config;
use crate::error::Fault;
use crate::message::{Message, Outcome};
use crate::tls;
use crate::ttlv::{Malformed, read_message};

/// A connection over TLS. It carries one question at a time; whoever saw anything but an answer on it drops it,
/// because what arrives next may belong to the question before.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    used_at: Instant,
}

impl Connection {
    /// Connects, within the time configured for it.
    pub(crate) async fn open(config: &Config) -> Result<Self, Fault> {
        let patience = config.connect();
        let opening = async {
            let (client, name) = (tls::client(config).await?, tls::server_name(config)?);
            let refused = |source| Fault::Connect { server: config.server.clone(), source };
            let stream = TcpStream::connect(&config.server).await.map_err(refused)?;
            // Questions are small and nothing follows them: waiting to fill a packet only delays them.
            stream.set_nodelay(true).map_err(refused)?;
            TlsConnector::from(client).connect(name, stream).await.map_err(tls::explain)
        };
        let stream = timeout(patience, opening).await.map_err(|_| Fault::Late("connection", patience))??;
        Ok(Self { stream, used_at: Instant::now() })
    }

    /// Asks, within `patience`.
    pub(crate) async fn ask(&mut self, message: &Message, patience: Duration) -> Result<Vec<Outcome>, Fault> {
        let asking = async {
            self.stream.write_all(message.bytes()).await.map_err(tls::explain)?;
            self.stream.flush().await.map_err(tls::explain)?;
            let answer =
                read_message(&mut self.stream, &message.limits).await.map_err(|malformed| match malformed {
                    Malformed::Io(error) => tls::explain(error),
                    malformed => malformed.into(),
                })?;
            message.read_answer(answer)
        };
        let outcomes = timeout(patience, asking).await.map_err(|_| Fault::Late("answer", patience))??;
        self.used_at = Instant::now();
        Ok(outcomes)
    }

    /// Whether it was used lately and nothing has come since: neither an end nor an answer nobody waits for.
    pub(crate) async fn is_quiet(&mut self, idle: Duration) -> bool {
        let mut byte = [0];
        let is_silent = poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut byte);
            Poll::Ready(Pin::new(&mut self.stream).poll_read(context, &mut buffer).is_pending())
        });
        is_silent.await && self.used_at.elapsed() < idle
    }
}
