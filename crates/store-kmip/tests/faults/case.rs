//! A store behind a hostile server, and what may come of asking it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bailey_core::ids::{ProjectId, SecretId, WriteId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{
    Halves, KeyPairs, Place, RetrieveRequest, SecretStore, StoreError, StoreErrorKind, StoreReference, StoreRequest,
};
use bailey_store_kmip::KmipStore;
use bailey_testkit::hostile_kmip::HostileKmip;
use bailey_testkit::pykmip::PyKmip;

use crate::fixture::KmipFixture;

/// How many seconds an answer may take: much more than any does, however busy the machine is.
const DEADLINE: f64 = 3.0;
/// How long one call may take: it is several questions, and may wait for others that store under the same write id.
const LIMIT: Duration = Duration::from_secs(20);
/// How long a store may take until it works again.
const RECOVERY: Duration = Duration::from_secs(20);

/// What may come of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every answer is right: nobody notices.
    Right,
    /// An answer is right, or there is none.
    RightOrUnavailable,
    /// As before, and what a server says may be found to be wrong. Where it lied about what it keeps, that shows when
    /// it is asked for.
    RightOrRefused,
}

/// Something that was stored.
pub struct Kept {
    place: Place,
    reference: StoreReference,
    payload: String,
}

/// Stores behind a hostile server, with what was kept before anything went wrong.
pub struct Case {
    pub hostile: HostileKmip,
    /// It was in use.
    pub warm: KmipStore,
    /// It has no connections yet, and knows nothing of the server.
    pub cold: KmipStore,
    outcome: Outcome,
    /// Whether key pairs are asked for: a server takes long to make one.
    with_pairs: bool,
    kept: [Kept; 2],
}

impl Case {
    pub async fn new(server: &Arc<PyKmip>, outcome: Outcome, with_pairs: bool) -> Result<Self> {
        let authority = server.authority();
        let (shown, client) = (authority.issue("PyKMIP")?, authority.issue("bailey")?);
        let hostile = HostileKmip::before(server.address().parse()?, &authority.pem(), &shown, &client)?;
        let mut fixture = KmipFixture::new(Arc::clone(server), |config| {
            (config.connect_seconds, config.answer_seconds, config.key_pair_seconds) = (DEADLINE, DEADLINE, DEADLINE);
        })?;
        fixture.config.server = hostile.address().to_string();
        let (warm, cold) = (fixture.open(), fixture.open());
        let kept = [keep(&warm).await?, keep(&warm).await?];
        Ok(Self { hostile, warm, cold, outcome, with_pairs, kept })
    }

    /// Asks for everything at once; what came of it is right or allowed. What was stored, and is left.
    pub async fn ask(&self, store: &dyn SecretStore) -> Result<Vec<Kept>> {
        let retrieve =
            async |kept| self.judge("retrieve", read(store, kept)).await.and_then(|found| checked(kept, found));
        let list = async {
            let Some(inventory) = store.inventory() else { return Ok(None) };
            self.judge("list", inventory.list(None, None, 10)).await
        };
        let pair = async {
            let Some(pairs) = store.key_pairs().filter(|_| self.with_pairs) else { return Ok(None) };
            self.judge("generate a pair", generate_pair(pairs)).await
        };
        let [first, second] = &self.kept;
        let (_, _, left, gone, ..) = tokio::try_join!(
            retrieve(first),
            retrieve(second),
            self.judge("store", keep(store)),
            self.judge("store", keep(store)),
            self.judge("generate", generate(store)),
            pair,
            list,
            self.judge("health", store.health()),
        )?;
        if let Some(gone) = &gone {
            retrieve(gone).await?;
            self.judge("delete", store.delete(&gone.place, &gone.reference)).await?;
        }
        Ok(left.into_iter().collect())
    }

    async fn judge<T>(&self, what: &str, call: impl Future<Output = Result<T, StoreError>>) -> Result<Option<T>> {
        let begun_at = Instant::now();
        let result = call.await;
        let time = begun_at.elapsed();
        ensure!(time < LIMIT, "{what} took {time:?}");
        match result {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if self.allows(error.kind) => Ok(None),
            Err(error) => bail!("{what}: {error}"),
        }
    }

    fn allows(&self, kind: StoreErrorKind) -> bool {
        match self.outcome {
            Outcome::Right => false,
            Outcome::RightOrUnavailable => kind == StoreErrorKind::Unavailable,
            Outcome::RightOrRefused => matches!(
                kind,
                StoreErrorKind::Unavailable
                    | StoreErrorKind::Corrupt
                    | StoreErrorKind::Conflict
                    | StoreErrorKind::NotFound
                    | StoreErrorKind::Internal
            ),
        }
    }

    /// That `store` does everything, and that what is in it is what was put there.
    async fn works(&self, store: &dyn SecretStore, made: &[Kept]) -> Result<()> {
        for kept in &self.kept {
            checked(kept, Some(read(store, kept).await?))?;
        }
        for kept in made {
            match read(store, kept).await {
                Err(error) if self.outcome == Outcome::RightOrRefused && !error.is_retryable() => {
                    ensure!(self.allows(error.kind), "{error}");
                }
                found => checked(kept, Some(found.context("a payload stored meanwhile")?))?,
            }
        }
        let fresh = keep(store).await?;
        checked(&fresh, Some(read(store, &fresh).await?))?;
        store.delete(&fresh.place, &fresh.reference).await?;
        let gone = read(store, &fresh).await.err().map(|error| error.kind);
        ensure!(gone == Some(StoreErrorKind::NotFound), "{gone:?} of what was deleted");
        Ok(store.health().await?)
    }

    /// That `store` works again by itself.
    pub async fn recovers(&self, store: &dyn SecretStore, made: &[Kept]) -> Result<()> {
        let deadline = Instant::now() + RECOVERY;
        loop {
            match self.works(store, made).await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error.context("it doesn't work again")),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// Nothing, or what was stored.
fn checked(kept: &Kept, found: Option<SecretBytes>) -> Result<()> {
    let is_right = found.is_none_or(|payload| payload.expose() == kept.payload.as_bytes());
    ensure!(is_right, "another payload than was stored");
    Ok(())
}

/// Keeps a payload that is nowhere else.
async fn keep(store: &dyn SecretStore) -> Result<Kept, StoreError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let payload = format!("payload {} of a hostile server's", NUMBER.fetch_add(1, Ordering::Relaxed));
    let place = place();
    let bytes = SecretBytes::new(payload.clone().into_bytes());
    let spec = Spec::default();
    let request = StoreRequest { place: &place, secret_type: SecretType::Opaque, spec: &spec, payload: &bytes };
    let reference = store.store(request).await?;
    Ok(Kept { place, reference, payload })
}

async fn generate(store: &dyn SecretStore) -> Result<(), StoreError> {
    let spec = Spec { algorithm: Some("aes".to_owned()), bit_length: Some(256), mode: None };
    store.generate_symmetric(&place(), &spec).await.map(drop)
}

async fn generate_pair(pairs: &dyn KeyPairs) -> Result<(), StoreError> {
    let spec = Spec { algorithm: Some("rsa".to_owned()), bit_length: Some(2048), mode: None };
    let (private, public) = (place(), place());
    pairs.generate_asymmetric(Halves { private: &private, public: &public }, &spec).await.map(drop)
}

fn place() -> Place {
    let project = ProjectId::new("faults").unwrap_or_else(|_| unreachable!("a project id"));
    Place { project, secret: SecretId::new(), write: WriteId::new() }
}

async fn read(store: &dyn SecretStore, kept: &Kept) -> Result<SecretBytes, StoreError> {
    store.retrieve(RetrieveRequest { place: &kept.place, reference: &kept.reference, verify: false }).await
}
