//! Every function of PKCS#11 that the backend uses goes wrong in every way: no answer is wrong, none is late, and
//! when the fault is over the backend works again by itself.

#[allow(dead_code, reason = "other programs use the rest")]
mod fixture;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bailey_core::crypto::{CryptoBackend, KekContext, WrappedKek};
use bailey_core::ids::{DeploymentId, KekId, ProjectId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::{StoreError, StoreErrorKind};
use bailey_store_pkcs11::Config;
use bailey_testkit::conformance::crypto_backend::BackendFixture as _;
use bailey_testkit::envelope::MemoryVaultFixture;
use bailey_testkit::faulty::{Fault, Faulty};
use bailey_testkit::process;
use bailey_testkit::softhsm::SoftHsm;
use libtest_mimic::{Arguments, Failed, Trial};

use fixture::{Target, TokenFixture};

const PAYLOAD: &[u8] = b"a payload that only ever comes back as it was";
const AAD: &[u8] = b"where it belongs";
/// How long one call may take: it is under way, and one more finds out who is to blame.
const LIMIT: Duration = Duration::from_millis(2500);
/// How long what happens on another thread may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a backend may take until it works again.
const RECOVERY: Duration = Duration::from_secs(10);

/// What is called whenever a token is opened or used.
const FUNCTIONS: [&str; 23] = [
    "C_CloseSession",
    "C_Decrypt",
    "C_DecryptInit",
    "C_DestroyObject",
    "C_Encrypt",
    "C_EncryptInit",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_FindObjectsInit",
    "C_GenerateKey",
    "C_GenerateRandom",
    "C_GetAttributeValue",
    "C_GetMechanismInfo",
    "C_GetSlotList",
    "C_GetTokenInfo",
    "C_Login",
    "C_OpenSession",
    "C_Sign",
    "C_SignInit",
    "C_UnwrapKey",
    "C_Verify",
    "C_VerifyInit",
    "C_WrapKey",
];

/// How a function goes wrong, how often, and what may come of it.
struct Way {
    name: &'static str,
    fault: Fault,
    times: u64,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Every answer is right: nobody notices.
    Right,
    /// An answer is right, or there is none.
    RightOrUnavailable,
    /// As before, and what was changed on the way may be found to be so.
    RightOrCorrupt,
}

const ALWAYS: u64 = u64::MAX;

const fn way(name: &'static str, fault: Fault, times: u64, outcome: Outcome) -> Way {
    Way { name, fault, times, outcome }
}

/// Codes are those of PKCS#11 3.1, section 5.1.
const WAYS: [Way; 14] = [
    way("hangs", Fault::Hang, ALWAYS, Outcome::RightOrUnavailable),
    way("is_slow", Fault::Slow(Duration::from_millis(10)), ALWAYS, Outcome::Right),
    way("general_error", Fault::Code(0x05), ALWAYS, Outcome::RightOrUnavailable),
    way("device_error", Fault::Code(0x30), ALWAYS, Outcome::RightOrUnavailable),
    way("device_error_once", Fault::Code(0x30), 1, Outcome::RightOrUnavailable),
    way("device_error_after_the_deed", Fault::CodeAfter(0x30), ALWAYS, Outcome::RightOrUnavailable),
    way("device_removed", Fault::Code(0x32), ALWAYS, Outcome::RightOrUnavailable),
    way("device_removed_once", Fault::Code(0x32), 1, Outcome::RightOrUnavailable),
    way("handle_invalid", Fault::Code(0x82), ALWAYS, Outcome::RightOrUnavailable),
    way("session_invalid", Fault::Code(0xB3), ALWAYS, Outcome::RightOrUnavailable),
    way("not_initialized", Fault::Code(0x190), ALWAYS, Outcome::RightOrUnavailable),
    way("loses_sessions", Fault::LoseSessions, ALWAYS, Outcome::RightOrUnavailable),
    way("loses_sessions_once", Fault::LoseSessions, 1, Outcome::Right),
    way("changes_what_it_returns", Fault::Corrupt, ALWAYS, Outcome::RightOrCorrupt),
];

fn settings(config: &mut Config) {
    config.sessions = 2;
    config.deadline_seconds = 1.0;
    config.lost_calls = 32;
}

/// A backend behind a faulty library, with what was made before anything went wrong.
struct Case {
    fixture: TokenFixture,
    faulty: Faulty,
    outcome: Outcome,
    context: KekContext,
    kek: WrappedKek,
    ciphertext: Vec<u8>,
}

/// What was made while something went wrong.
#[derive(Default)]
struct Made {
    keks: Vec<(KekContext, WrappedKek)>,
    rewrapped: Vec<WrappedKek>,
    ciphertexts: Vec<Vec<u8>>,
}

impl Case {
    async fn new(softhsm: &SoftHsm, outcome: Outcome) -> Result<Self> {
        let faulty = Faulty::before(softhsm.module())?;
        let vault = MemoryVaultFixture::default();
        let target = Target {
            module: faulty.module(),
            label: softhsm.token_label().to_owned(),
            pin: softhsm.pin().to_owned(),
            change: settings,
        };
        let fixture = TokenFixture::new(&target, Arc::new(vault.clone())).await?;
        let context = context(&fixture)?;
        let backend = fixture.instance().await?;
        let kek = backend.create_kek(&context).await?;
        let ciphertext = backend.encrypt(&context, &kek, AAD, &payload()).await?;
        Ok(Self { fixture, faulty, outcome, context, kek, ciphertext })
    }

    /// Asks for everything; what came of it is right or allowed.
    async fn ask(&self, backend: &dyn CryptoBackend, made: &mut Made) -> Result<()> {
        if let Some(payload) = self.judge("decrypt", self.decrypt(backend, &self.kek, &self.ciphertext)).await? {
            ensure!(payload.expose() == PAYLOAD, "another payload than was encrypted");
        }
        let payload = payload();
        let encrypted = backend.encrypt(&self.context, &self.kek, AAD, &payload);
        made.ciphertexts.extend(self.judge("encrypt", encrypted).await?);
        let context = context(&self.fixture)?;
        let created = self.judge("create KEK", backend.create_kek(&context)).await?;
        made.keks.extend(created.map(|kek| (context, kek)));
        made.rewrapped.extend(self.judge("rewrap KEK", backend.rewrap_kek(&self.context, &self.kek)).await?);
        if let Some(bytes) = self.judge("random", backend.random(16)).await? {
            ensure!(bytes.len() == 16, "{} random bytes", bytes.len());
        }
        self.judge("health", backend.health()).await?;
        Ok(())
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
            Outcome::RightOrCorrupt => matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::Corrupt),
        }
    }

    /// That `backend` does everything again, and what was made meanwhile is good.
    async fn works(&self, backend: &dyn CryptoBackend, made: &Made) -> Result<()> {
        let decrypted = self.decrypt(backend, &self.kek, &self.ciphertext).await?;
        ensure!(decrypted.expose() == PAYLOAD, "another payload than was encrypted");
        for kek in &made.rewrapped {
            let decrypted = self.decrypt(backend, kek, &self.ciphertext).await.context("a KEK wrapped meanwhile")?;
            ensure!(decrypted.expose() == PAYLOAD, "a KEK wrapped meanwhile is another one");
        }
        for ciphertext in &made.ciphertexts {
            match self.decrypt(backend, &self.kek, ciphertext).await {
                Ok(payload) => ensure!(payload.expose() == PAYLOAD, "another payload than was encrypted meanwhile"),
                Err(error) if error.kind == StoreErrorKind::Corrupt && self.outcome == Outcome::RightOrCorrupt => {}
                Err(error) => return Err(error).context("a payload encrypted meanwhile"),
            }
        }
        let fresh = context(&self.fixture)?;
        let created = backend.create_kek(&fresh).await?;
        for (context, kek) in made.keks.iter().chain([&(fresh, created)]) {
            let ciphertext =
                backend.encrypt(context, kek, AAD, &payload()).await.context("under a KEK made meanwhile")?;
            let decrypted = backend.decrypt(context, kek, AAD, &ciphertext).await?;
            ensure!(decrypted.expose() == PAYLOAD, "another payload than was encrypted under a new KEK");
        }
        Ok(backend.health().await?)
    }

    async fn recovers(&self, backend: &dyn CryptoBackend, made: &Made) -> Result<()> {
        let deadline = Instant::now() + RECOVERY;
        loop {
            match self.works(backend, made).await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error.context("it doesn't work again")),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn decrypt<'a>(
        &'a self,
        backend: &'a dyn CryptoBackend,
        kek: &'a WrappedKek,
        ciphertext: &'a [u8],
    ) -> impl Future<Output = Result<SecretBytes, StoreError>> + 'a {
        backend.decrypt(&self.context, kek, AAD, ciphertext)
    }
}

fn payload() -> SecretBytes {
    SecretBytes::new(PAYLOAD.to_vec())
}

fn context(fixture: &TokenFixture) -> Result<KekContext> {
    let project = ProjectId::new("päron")?;
    Ok(KekContext { deployment: DeploymentId::new(), store: fixture.store(), project, kek: KekId::new() })
}

/// The function goes wrong for a backend that was in use, and for one that opens the token meanwhile.
async fn goes_wrong(softhsm: &SoftHsm, function: &str, way: &Way) -> Result<()> {
    let case = Case::new(softhsm, way.outcome).await?;
    let (warm, cold) = (case.fixture.instance().await?, case.fixture.instance().await?);
    let closed = case.fixture.instance().await?;
    let mut made = Made::default();
    case.works(&*closed, &made).await.context("before anything went wrong")?;
    case.works(&*warm, &made).await.context("before anything went wrong")?;
    case.faulty.set_times(function, way.fault, way.times);
    drop(closed);
    case.ask(&*warm, &mut made).await.context("warm")?;
    case.ask(&*cold, &mut made).await.context("cold")?;
    process::until(PATIENCE, || {
        ensure!(case.faulty.struck(function) > 0, "{function} was never called");
        Ok(())
    })?;
    case.faulty.lift_all();
    case.recovers(&*warm, &made).await.context("warm")?;
    case.recovers(&*cold, &made).await.context("cold")?;
    Ok(())
}

/// Does one case, in this process.
fn run(softhsm: &SoftHsm, name: &str) -> Result<()> {
    let (function, way) = name.split_once("::").context("a case is FUNCTION::WAY")?;
    let way = WAYS.iter().find(|known| known.name == way).context("no such way")?;
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(goes_wrong(softhsm, function, way));
    runtime.shutdown_background();
    outcome
}

/// A case in a process and with tokens of its own: a library's state is its process's.
fn trial(name: String) -> Trial {
    let run = move |name: &str| -> Result<()> {
        let softhsm = SoftHsm::start()?;
        process::run(process::this_program(softhsm.environment())?.arg(name)).map(drop)
    };
    Trial::test(name.clone(), move || run(&name).map_err(|error| Failed::from(format!("{error:#}"))))
}

fn main() -> Result<ExitCode> {
    if let Some(softhsm) = SoftHsm::inherited() {
        let name = std::env::args().nth(1).context("no case")?;
        let outcome = run(&softhsm, &name);
        if let Err(error) = &outcome {
            eprintln!("{error:#}");
        }
        process::leave(outcome.is_err().into());
    }
    let mut arguments = Arguments::from_args();
    // Most of the time they wait for a deadline.
    arguments.test_threads.get_or_insert(8);
    let cases = FUNCTIONS.iter().flat_map(|function| WAYS.iter().map(move |way| format!("{function}::{}", way.name)));
    Ok(libtest_mimic::run(&arguments, cases.map(trial).collect()).exit_code())
}
