//! What CAs tell anybody who asks, without credentials: one signature a minute does for all who ask for the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bailey_core::ca::{CaError, CaErrorKind, CertificateAuthority, StatusAnswer};
use bailey_core::failure::Failure;
use bailey_core::ids::CaId;
use moka::{future, sync};
use tokio::sync::Semaphore;

use crate::error::ca_failure;

/// How long a list or an answer is told again before another one is signed, and a CA below another is kept open.
const TOLD_AGAIN: Duration = Duration::from_secs(60);
/// Most lists that are remembered.
const LISTS: u64 = 256;
/// Most bytes of answers that are remembered, with what they are about and [`BESIDE`].
const ANSWERS: u64 = 8 * 1024 * 1024;
/// What remembering an answer takes beside its bytes: with it, their number is bounded, too.
const BESIDE: usize = 512;
/// Most CAs below others that are kept open.
const OPENED: u64 = 256;
/// How many answers are signed at once, perhaps in a token that payloads wait for, too.
const AT_ONCE: usize = 16;

/// An answer's CA, that CA's edition, and what it is about.
type About = (CaId, u64, Vec<u8>);

/// What was told of CAs a moment ago. Other processes hear of what has changed once they have forgotten it by themselves.
pub(crate) struct Published {
    lists: future::Cache<(CaId, u64, u32), Arc<Vec<u8>>>,
    answers: future::Cache<About, StatusAnswer>,
    signing: Semaphore,
    revocations: Editions,
    opened: sync::Cache<(CaId, u64), Arc<dyn CertificateAuthority>>,
    deletions: Editions,
}

impl Default for Published {
    fn default() -> Self {
        let weight = |(_, _, subject): &About, answer: &StatusAnswer| {
            u32::try_from(subject.len() + answer.der.len() + BESIDE).unwrap_or(u32::MAX)
        };
        let answers = future::Cache::builder().max_capacity(ANSWERS).weigher(weight).time_to_live(TOLD_AGAIN);
        Self {
            lists: future::Cache::builder().max_capacity(LISTS).time_to_live(TOLD_AGAIN).build(),
            answers: answers.build(),
            signing: Semaphore::new(AT_ONCE),
            revocations: Editions::default(),
            opened: sync::Cache::builder().max_capacity(OPENED).time_to_live(TOLD_AGAIN).build(),
            deletions: Editions::default(),
        }
    }
}

impl Published {
    /// What a CA has revoked: DER. One who asks has it signed, the others wait for that.
    ///
    /// # Errors
    /// The CA's; `NotFound` if it has no lists.
    pub(crate) async fn list(
        &self,
        authority: &dyn CertificateAuthority,
        generation: u32,
    ) -> Result<Arc<Vec<u8>>, Arc<CaError>> {
        let none = || CaError::new(CaErrorKind::NotFound, "list revocations", "the CA has no lists");
        let lists = authority.revocation_lists().ok_or_else(none)?;
        let sign = async { Ok::<_, CaError>(Arc::new(lists.revocation_list(Some(generation)).await?.der)) };
        let ca = authority.descriptor().id;
        self.lists.try_get_with((ca, self.revocations.of(ca), generation), sign).await
    }

    /// A CA's answer to a question; `None` if it gives none.
    ///
    /// # Errors
    /// The CA's.
    pub(crate) async fn answer(
        &self,
        authority: &dyn CertificateAuthority,
        question: &[u8],
    ) -> Result<Option<StatusAnswer>, Failure> {
        let Some(responder) = authority.status_responder() else { return Ok(None) };
        let ca = &authority.descriptor().id;
        let sign = async {
            // Whoever waited would be one of any number: answers that aren't remembered cost a stranger nothing.
            let Ok(_signing) = self.signing.try_acquire() else {
                metrics::counter!("bailey_ca_calls_total", "ca" => authority.descriptor().name.clone(),
                    "operation" => "status", "outcome" => "busy")
                .increment(1);
                return Ok(StatusAnswer::try_later());
            };
            responder.status(question).await.map_err(|error| ca_failure(&error))
        };
        let Some(subject) = responder.subject(question) else { return sign.await.map(Some) };
        // What isn't for all isn't remembered, as errors aren't.
        let remembered = async {
            match sign.await {
                Ok(answer) if answer.is_for_all => Ok(answer),
                passing => Err(passing),
            }
        };
        let told = self.answers.try_get_with((*ca, self.revocations.of(*ca), subject), remembered).await;
        told.or_else(Arc::unwrap_or_clone).map(Some)
    }

    /// Has the next one who asks what a CA has revoked be told anew.
    pub(crate) async fn revoked(&self, ca: CaId) {
        self.revocations.end(ca);
        // They may be long. Answers are short, and nobody finds them any more.
        for (key, _) in &self.lists {
            if key.0 == ca {
                self.lists.invalidate(&*key).await;
            }
        }
    }

    /// What a CA below another is remembered under; to be asked for before its row is read.
    pub(crate) fn place(&self, ca: CaId) -> Place {
        Place(ca, self.deletions.of(ca))
    }

    /// A CA below another, if it was opened a moment ago.
    pub(crate) fn opened(&self, Place(ca, edition): &Place) -> Option<Arc<dyn CertificateAuthority>> {
        self.opened.get(&(*ca, *edition))
    }

    /// A CA below another: as it was opened a moment ago, so that its keys need not be read again, or by `open`.
    pub(crate) fn open(
        &self,
        Place(ca, edition): Place,
        open: impl FnOnce() -> Arc<dyn CertificateAuthority>,
    ) -> Arc<dyn CertificateAuthority> {
        self.opened.get_with((ca, edition), open)
    }

    /// Has nobody find a CA that was deleted, nor what its key is in memory for.
    pub(crate) fn deleted(&self, ca: CaId) {
        let Place(ca, edition) = self.place(ca);
        self.deletions.end(ca);
        self.opened.invalidate(&(ca, edition));
    }
}

/// Where an opened CA is remembered.
pub(crate) struct Place(CaId, u64);

/// Which edition of what is remembered of a CA is the current one. Whoever began with an earlier one remembers what
/// they made under that: nobody finds it, however late it comes.
struct Editions([AtomicU64; 64]);

impl Default for Editions {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; 64])
    }
}

impl Editions {
    /// The CA's, and some others', which lose no more by that than a minute's memory.
    fn counter(&self, ca: CaId) -> &AtomicU64 {
        let Self(counters) = self;
        let [.., last] = ca.uuid().into_bytes();
        &counters[usize::from(last) % counters.len()]
    }

    fn of(&self, ca: CaId) -> u64 {
        self.counter(ca).load(Ordering::SeqCst)
    }

    fn end(&self, ca: CaId) {
        self.counter(ca).fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
