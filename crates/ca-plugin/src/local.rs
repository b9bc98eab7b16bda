//! A CA of Bailey's own: it signs what a profile grants, and nothing that a request asks for beyond it.

mod authority;
mod below;
mod config;
mod generation;
mod profile;
mod revocation;
mod serial;
mod signing;
mod software;
mod status;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bailey_core::ca::{
    CaDescriptor, CaError, CaErrorKind, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, Keys, Ledger,
    ProfileDescriptor, Revocation, RevocationLists, SigningKeys, StatusResponder, SubAuthorities,
};
use bailey_core::clock::Clock;
use bailey_core::ids::CaId;
use bailey_core::sensitive::SecretBytes;
use chrono::{DateTime, Utc};
use tokio::sync::RwLock;

pub use authority::NewAuthority;
pub use config::{Config, ProfileConfig, Usage};
pub use software::SoftwareKeys;

use generation::Opened;
use profile::Profile;
use serial::Serials;

use crate::request::Read;

/// How long a process believes that it knows every generation.
const TRUSTED: Duration = Duration::from_secs(5);
/// How much later than it was made a generation issues first: by then every process knows it, so that no two of them
/// issue one order's certificate under different keys.
const SETTLED: chrono::TimeDelta = chrono::TimeDelta::seconds(10);

/// A CA of Bailey's own, with its keys wherever they are.
///
/// It keeps nothing of what it issued, and needs nothing to give the same answer again: serial number and validity
/// follow from the request, its id and the profile. What it revoked, and its certificates, its [`Ledger`] keeps.
pub struct LocalCa {
    descriptor: CaDescriptor,
    config: Config,
    profiles: Vec<Profile>,
    parts: Parts,
    /// Begins the names of its keys: blank, or the id of a CA below another, beside whose keys its own are.
    prefix: String,
    known: RwLock<Option<Known>>,
}

/// Its generations, as they were.
struct Known {
    at: DateTime<Utc>,
    generations: Arc<Vec<Opened>>,
}

impl Known {
    /// Them, while they are believed. That there is none isn't: whoever waits for the first one has just had it made,
    /// in another process.
    fn fresh(&self, clock: &Clock) -> Option<Arc<Vec<Opened>>> {
        let is_recent = (clock.now() - self.at).to_std().is_ok_and(|age| age < TRUSTED);
        (is_recent && !self.generations.is_empty()).then(|| Arc::clone(&self.generations))
    }
}

/// A certificate of the CA's own, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCertificate {
    /// The number of its generation.
    pub number: u32,
    /// The certificate, then its issuer's, up to the root; DER.
    pub chain: Vec<Vec<u8>>,
    /// Its subject.
    pub subject: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub ends_at: DateTime<Utc>,
}

/// What a local CA works with.
#[derive(Clone)]
pub struct Parts {
    /// What it keeps for itself alone: what serial numbers are drawn with.
    pub keys: Arc<dyn Keys>,
    /// What it signs with.
    pub signing: Arc<dyn SigningKeys>,
    /// What it must not forget.
    pub ledger: Arc<dyn Ledger>,
    /// The time.
    pub clock: Clock,
}

impl LocalCa {
    /// The CA with this id. Asks nothing yet: whether it was made, its calls tell.
    ///
    /// # Errors
    /// What is wrong with the configuration, fit for the operator.
    pub fn new(id: CaId, name: &str, config: &Config, parts: Parts) -> Result<Self, String> {
        let profiles = config.profiles.iter().map(Profile::new).collect::<Result<Vec<_>, _>>()?;
        let told = |profile: &ProfileConfig| ProfileDescriptor {
            name: profile.name.clone(),
            description: profile.description.clone(),
        };
        let descriptor = CaDescriptor {
            id,
            name: name.to_owned(),
            kind: "local".into(),
            profiles: config.profiles.iter().map(told).collect(),
            tells_chain: true,
            revokes: true,
            leaves_traces: false,
        };
        Ok(Self {
            descriptor,
            config: config.clone(),
            profiles,
            parts,
            prefix: String::new(),
            known: RwLock::default(),
        })
    }

    /// Makes its first generation if it has none: a root, or below `above`.
    ///
    /// # Errors
    /// `Unavailable`; `Unsupported` where such a key can't be.
    pub async fn init(&self, new: &NewAuthority, above: Option<&Self>) -> Result<(), CaError> {
        match self.generations().await?.last() {
            Some(_) => Ok(()),
            None => self.begin(1, new, above).await,
        }
    }

    /// Makes its next generation, with a key of its own, and tells its number. The ones before issue no more.
    ///
    /// # Errors
    /// As [`init`](Self::init).
    pub async fn rotate(&self, new: &NewAuthority, above: Option<&Self>) -> Result<u32, CaError> {
        let next = self.generations().await?.last().map_or(0, |last| last.number) + 1;
        self.begin(next, new, above).await?;
        Ok(next)
    }

    /// What there is of it, by number.
    ///
    /// # Errors
    /// `Unavailable`; `Corrupt`.
    pub async fn certificates(&self) -> Result<Vec<OwnCertificate>, CaError> {
        Ok(self.generations().await?.iter().map(Opened::told).collect())
    }

    async fn begin(&self, number: u32, new: &NewAuthority, above: Option<&Self>) -> Result<(), CaError> {
        let chain = match above {
            None => {
                let key = self.parts.signing.make(&self.key_name(number), new.key_type).await?;
                new.root(key.as_ref()).await?
            }
            Some(above) => {
                let generations = above.generations().await?;
                let opened = generations.last().ok_or_else(|| above.not_made())?;
                // Before there is a key that nobody would need.
                let new = new.fitted(&opened.chain)?;
                let key = self.parts.signing.make(&self.key_name(number), new.key_type).await?;
                let point_out = |params: &mut _| above.config.point_out(above.descriptor.id, opened.number, params);
                new.below(opened, key.public_key(), point_out).await?
            }
        };
        let created_at = self.parts.clock.now();
        let generation = bailey_core::ca::Generation { number, chain, created_at };
        self.parts.ledger.begin(self.descriptor.id, &generation).await?;
        *self.known.write().await = None;
        Ok(())
    }

    /// Every generation, as it was at most five seconds ago.
    async fn generations(&self) -> Result<Arc<Vec<Opened>>, CaError> {
        if let Some(fresh) = self.known.read().await.as_ref().and_then(|known| known.fresh(&self.parts.clock)) {
            return Ok(fresh);
        }
        // Whoever comes first reads them for all that wait here.
        let mut known = self.known.write().await;
        if let Some(fresh) = known.as_ref().and_then(|known| known.fresh(&self.parts.clock)) {
            return Ok(fresh);
        }
        let at = self.parts.clock.now();
        let generations = self.parts.ledger.generations(self.descriptor.id).await?;
        let all = match known.as_ref().filter(|known| known.generations.len() == generations.len()) {
            Some(known) => Arc::clone(&known.generations),
            None => Arc::new(self.open(generations).await?),
        };
        *known = Some(Known { at, generations: Arc::clone(&all) });
        Ok(all)
    }

    async fn open(&self, generations: Vec<bailey_core::ca::Generation>) -> Result<Vec<Opened>, CaError> {
        if generations.is_empty() {
            return Ok(Vec::new());
        }
        let secret = self.serial_secret().await?;
        let mut all = Vec::new();
        for generation in generations {
            let key = self.parts.signing.find(&self.key_name(generation.number)).await?;
            all.push(Opened::new(generation, key, &secret)?);
        }
        Ok(all)
    }

    fn not_made(&self) -> CaError {
        let name = &self.descriptor.name;
        let context = format!("the CA `{name}` was not made yet: `bailey ca init {name}`");
        CaError::new(CaErrorKind::Unavailable, "open local CA", context)
    }

    /// What a generation's key is called.
    fn key_name(&self, number: u32) -> String {
        format!("{}signing-{number}", self.prefix)
    }

    /// What serial numbers are drawn with is kept under this name.
    fn serials_name(&self) -> String {
        format!("{}serials", self.prefix)
    }

    async fn serial_secret(&self) -> Result<SecretBytes, CaError> {
        let name = self.serials_name();
        if let Some(kept) = self.parts.keys.load(&name).await? {
            return Ok(kept);
        }
        self.parts.keys.keep(&name, &Serials::secret()?).await?;
        let gone = || CaError::new(CaErrorKind::Unavailable, "open local CA", "what was kept is gone again");
        self.parts.keys.load(&name).await?.ok_or_else(gone)
    }

    async fn sign(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        let name = request.profile.as_deref();
        let profile = match name {
            None => self.profiles.first(),
            Some(name) => self.profiles.iter().find(|profile| profile.name() == name),
        };
        let Some(profile) = profile else { return Ok(Issuance::rejected("The CA has no such profile")) };
        let read = match Read::new(&request.csr) {
            Ok(read) => read,
            Err(reason) => return Ok(Issuance::rejected(reason)),
        };
        let generations = self.generations().await?;
        let settled = generations.iter().rfind(|opened| opened.created_at + SETTLED <= request.requested_at);
        let opened = settled.or_else(|| generations.first()).ok_or_else(|| self.not_made())?;
        let mut params = match profile.grant(&read, request.requested_at, opened.ends_at) {
            Ok(params) => params,
            Err(reason) => return Ok(Issuance::rejected(reason)),
        };
        if params.not_after <= authority::time_of(self.parts.clock.now()) {
            return Ok(Issuance::rejected("The certificate would have ended by now: its order is too old"));
        }
        self.config.point_out(self.descriptor.id, opened.number, &mut params);
        opened.issue(request.id, &read, params).await.map(Issuance::Issued)
    }
}

#[async_trait]
impl CertificateAuthority for LocalCa {
    fn descriptor(&self) -> &CaDescriptor {
        &self.descriptor
    }

    async fn issue(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        self.sign(request).await
    }

    async fn poll(&self, _: &IssuanceRequest, _: &IssuanceState) -> Result<Issuance, CaError> {
        Err(CaError::new(CaErrorKind::Corrupt, "poll", "a local CA leaves nothing pending"))
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, CaError> {
        let (id, now) = (self.descriptor.id, self.parts.clock.now());
        for opened in self.generations().await?.iter() {
            if let Some(revoked) = revocation::entry(revocation, opened.own(), now)? {
                return self.parts.ledger.revoke(id, opened.number, &revoked).await;
            }
        }
        Err(CaError::new(CaErrorKind::NotFound, "revoke", "this CA didn't issue it"))
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        let generations = self.generations().await?;
        Ok(generations.last().map(|opened| opened.chain.clone()).unwrap_or_default())
    }

    async fn health(&self) -> Result<(), CaError> {
        let generations = self.generations().await?;
        let last = generations.last().ok_or_else(|| self.not_made())?;
        if last.ends_at <= self.parts.clock.now() {
            return Err(CaError::new(CaErrorKind::Unavailable, "check local CA", "its certificate has expired"));
        }
        Ok(())
    }

    fn revocation_lists(&self) -> Option<&dyn RevocationLists> {
        Some(self)
    }

    fn status_responder(&self) -> Option<&dyn StatusResponder> {
        Some(self)
    }

    fn sub_authorities(&self) -> Option<&dyn SubAuthorities> {
        // What a project has below another may have none below itself. Else the certificates decide, when one is made.
        self.prefix.is_empty().then_some(self as _)
    }
}
