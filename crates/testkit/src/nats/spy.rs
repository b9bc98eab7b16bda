//! Somebody on the server who sees everything.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_nats::{Client, ConnectOptions};
use futures_util::StreamExt as _;
use tokio::task::JoinHandle;

use super::{Nats, PASSWORD, User};

/// One message, as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where it went.
    pub subject: String,
    /// Where an answer was to go.
    pub reply: Option<String>,
    /// What it said.
    pub payload: Vec<u8>,
}

/// Sees all that goes over the server.
pub struct Spy {
    client: Client,
    seen: Arc<Mutex<Vec<Seen>>>,
    watching: JoinHandle<()>,
}

const MARK: &str = "spy.mark";

impl Spy {
    pub(super) async fn connect(nats: &Nats) -> Result<Self> {
        let client = ConnectOptions::new()
            .user_and_password(User::Operator.name().to_owned(), PASSWORD.to_owned())
            .add_root_certificates(nats.ca_file())
            .add_client_certificate(nats.certificate_file(), nats.private_key_file())
            .connect(nats.url())
            .await?;
        let mut all = client.subscribe(">").await?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let watching = tokio::spawn(async move {
            while let Some(message) = all.next().await {
                let reply = message.reply.map(|reply| reply.to_string());
                let (subject, payload) = (message.subject.to_string(), message.payload.to_vec());
                notes.lock().unwrap_or_else(PoisonError::into_inner).push(Seen { subject, reply, payload });
            }
        });
        let spy = Self { client, seen, watching };
        spy.catch_up().await?;
        Ok(spy)
    }

    /// Everything seen so far, in the order in which it came.
    ///
    /// # Errors
    /// When the server is down.
    pub async fn seen(&self) -> Result<Vec<Seen>> {
        self.catch_up().await?;
        let seen = self.all();
        Ok(seen.into_iter().filter(|seen| seen.subject != MARK).collect())
    }

    /// Forgets what was seen.
    pub fn forget(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Sends a message as if it were its sender.
    ///
    /// # Errors
    /// When the server is down.
    pub async fn send(&self, message: &Seen) -> Result<()> {
        let (subject, payload) = (message.subject.clone(), message.payload.clone().into());
        match &message.reply {
            Some(reply) => self.client.publish_with_reply(subject, reply.clone(), payload).await?,
            None => self.client.publish(subject, payload).await?,
        }
        Ok(())
    }

    /// Waits until all that the server had for it before is seen: it shows what comes to it in order.
    async fn catch_up(&self) -> Result<()> {
        let marks = || self.all().iter().filter(|seen| seen.subject == MARK).count();
        let before = marks();
        self.client.publish(MARK, "".into()).await?;
        for _ in 0..1_000 {
            if marks() > before {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the server doesn't show what it was sent")
    }

    fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Spy {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Seen {
    /// The only message to a subject that begins so.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn only(seen: &[Self], subject: &str) -> Result<Self> {
        let mut found = seen.iter().filter(|seen| seen.subject.starts_with(subject));
        let only = found.next().with_context(|| format!("nothing was sent to {subject}"))?;
        if found.next().is_some() {
            bail!("several messages were sent to {subject}");
        }
        Ok(only.clone())
    }
}
