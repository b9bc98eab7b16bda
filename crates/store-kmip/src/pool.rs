//! A bounded number of connections, and the version that is spoken on them.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::Config;
use crate::connection::Connection;
use crate::error::{Fault, reason};
use crate::message::{AfterFailure, Fields, Message, Operation, Outcome, Request, Version, integer, structure, tag};
use crate::ttlv::Limits;

/// Connections to one server.
pub(crate) struct Pool {
    config: Config,
    /// One permit for each connection that may be open.
    permits: Semaphore,
    /// Those that nobody uses; the last one used is taken first, so that the others may grow old.
    idle: Mutex<Vec<Connection>>,
    version: OnceLock<Version>,
}

/// A question that got no answer.
pub(crate) struct Unanswered {
    pub(crate) fault: Fault,
    /// Whether the connection was an old one that broke: a server that ends those it finds idle tells nobody.
    pub(crate) was_stale: bool,
}

/// Which connection a question may go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Any,
    Fresh,
}

impl Pool {
    /// Opens nothing yet.
    pub(crate) fn new(config: Config) -> Self {
        let permits = Semaphore::new(config.connections);
        Self { config, permits, idle: Mutex::default(), version: OnceLock::new() }
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// Asks what may be asked twice: on an old connection that turns out to be broken, and on a new one then.
    pub(crate) async fn ask(&self, message: &Message) -> Result<Vec<Outcome>, Fault> {
        match self.ask_once(message, Over::Any).await {
            Err(Unanswered { was_stale: true, .. }) => {
                self.ask_once(message, Over::Fresh).await.map_err(|unanswered| unanswered.fault)
            }
            answered => answered.map_err(|unanswered| unanswered.fault),
        }
    }

    /// Asks at most once.
    ///
    /// A connection goes back only after an answer that makes sense: whatever ends this early drops it.
    pub(crate) async fn ask_once(&self, message: &Message, over: Over) -> Result<Vec<Outcome>, Unanswered> {
        let fresh = |fault| Unanswered { fault, was_stale: false };
        let patience = self.config.answer();
        let _permit = match timeout(patience, self.permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            _ => return Err(fresh(Fault::Late("free connection", patience))),
        };
        let reused = match over {
            Over::Any => self.take_idle().await,
            Over::Fresh => {
                // It takes the place of another: no more are open than there are permits.
                drop(self.idle().pop());
                None
            }
        };
        let was_reused = reused.is_some();
        let mut connection = match reused {
            Some(connection) => connection,
            None => Connection::open(&self.config).await.map_err(fresh)?,
        };
        let patience = if message.makes_key_pair() { self.config.key_pair() } else { patience };
        match connection.ask(message, patience).await {
            Ok(outcomes) => {
                self.idle().push(connection);
                Ok(outcomes)
            }
            Err(fault) => {
                let was_stale = was_reused && matches!(fault, Fault::Io(_) | Fault::Tls(_));
                Err(Unanswered { fault, was_stale })
            }
        }
    }

    async fn take_idle(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle().pop()?;
            if connection.is_quiet(self.config.idle()).await {
                return Some(connection);
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Nothing that is done under the lock leaves the connections half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest version that both speak; the server is asked once.
    ///
    /// While it isn't known, nobody waits for another's question: if that got no answer, the next one would only begin
    /// to wait then.
    pub(crate) async fn version(&self) -> Result<Version, Fault> {
        if let Some(version) = self.version.get() {
            return Ok(*version);
        }
        let version = self.discover().await?;
        Ok(*self.version.get_or_init(|| version))
    }

    /// A server of KMIP 1.0 has no such operation, and one that doesn't know the version of the question refuses it.
    async fn discover(&self) -> Result<Version, Fault> {
        let newest = self.config.max_version.minor();
        for asked in [newest, newest.min(1)] {
            if asked == 0 {
                break;
            }
            let payload = (0..=newest).rev().map(|minor| version_item(Version { major: 1, minor })).collect();
            let request = Request { operation: Operation::DiscoverVersions, payload };
            let version = Version { major: 1, minor: asked };
            let message = Message::new(version, vec![request], AfterFailure::Stop, Limits::for_payloads(0));
            match self.ask(&message).await?.into_iter().next() {
                Some(Ok(fields)) => return best(fields, newest),
                Some(Err(refusal)) if refusal.reason == Some(reason::AUTHENTICATION_NOT_SUCCESSFUL) => {
                    return Err(Fault::Refused(refusal));
                }
                _ => {}
            }
        }
        Ok(Version { major: 1, minor: 0 })
    }
}

fn version_item(Version { major, minor }: Version) -> crate::ttlv::Item {
    let numbers = vec![integer(tag::PROTOCOL_VERSION_MAJOR, major), integer(tag::PROTOCOL_VERSION_MINOR, minor)];
    structure(tag::PROTOCOL_VERSION, numbers)
}

/// The best of a server's versions that isn't above our newest.
fn best(mut answer: Fields, newest: i32) -> Result<Version, Fault> {
    let mut best = None;
    while let Some(mut fields) = answer.take_fields(tag::PROTOCOL_VERSION)? {
        let major = fields.take_integer(tag::PROTOCOL_VERSION_MAJOR)?;
        let minor = fields.take_integer(tag::PROTOCOL_VERSION_MINOR)?;
        if let (Some(1), Some(minor @ 0..)) = (major, minor)
            && minor <= newest
        {
            best = best.max(Some(Version { major: 1, minor }));
        }
    }
    best.ok_or(Fault::Protocol("it speaks no version of KMIP from 1.0 to max_version"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_best_common_version_is_taken() {
        let offered = |versions: &[(i32, i32)]| {
            let items = versions.iter().map(|&(major, minor)| version_item(Version { major, minor })).collect();
            Fields::of(structure(tag::RESPONSE_PAYLOAD, items), tag::RESPONSE_PAYLOAD).unwrap()
        };
        for (versions, newest, expected) in [
            (&[(2, 0), (1, 4), (1, 2)][..], 4, Some(4)),
            (&[(1, 4), (1, 2), (1, 0)], 3, Some(2)),
            (&[(1, 0)], 4, Some(0)),
            (&[(2, 0), (1, -1)], 4, None),
            (&[], 4, None),
        ] {
            let best = best(offered(versions), newest).ok();
            assert_eq!(best, expected.map(|minor| Version { major: 1, minor }), "{versions:?}");
        }
    }
}
