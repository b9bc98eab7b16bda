//! Payloads under an HSM: SoftHSM beside the simple store, beside a program that calls it and does nothing else, and
//! as a device that takes 5 ms for each payload.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bailey_testkit::faulty::{Fault, Faulty};
use bailey_testkit::softhsm::SoftHsm;

use crate::figure::{Figure, Operation, median};
use crate::options::Options;
use crate::process::Process;
use crate::run::Stage;
use crate::subject::PROJECTS;
use crate::subject::bailey::Installation;

/// Sessions with a token.
pub const SESSIONS: usize = 8;
/// Connections; more than sessions, so that those are what is short.
pub const CONNECTIONS: usize = 32;
/// What a slow device takes for each call that makes something.
pub const SLOW: Duration = Duration::from_millis(5);
/// Secrets that reads are spread over; a slow device stores them one by one.
const SECRETS: usize = 1_000;

/// One store, round by round.
#[derive(Default)]
pub struct StoreFigures {
    /// Payloads read.
    pub read: Vec<Figure>,
    /// Payloads stored.
    pub store: Vec<Figure>,
}

/// What several rounds measured.
#[derive(Default)]
pub struct HsmFigures {
    /// The simple store.
    pub simple: StoreFigures,
    /// SoftHSM.
    pub softhsm: StoreFigures,
    /// The same without the cache of ciphertexts.
    pub uncached: StoreFigures,
    /// SoftHSM behind calls that take [`SLOW`].
    pub slow: StoreFigures,
    /// Bare C_Encrypt and C_Decrypt a second, in as many sessions.
    pub bare: Vec<(f64, f64)>,
}

impl StoreFigures {
    /// The median of the rounds' ratios of reads and of stores to what `most` says of each round.
    pub fn to(&self, most: impl Fn(usize) -> (f64, f64)) -> Option<(f64, f64)> {
        let ratio = |figures: &[Figure], most: &dyn Fn(usize) -> f64| {
            median(figures.iter().enumerate().map(|(round, figure)| figure.rate / most(round)))
        };
        ratio(&self.read, &|round| most(round).0).zip(ratio(&self.store, &|round| most(round).1))
    }
}

/// How many payloads a second [`SESSIONS`] sessions could do at most that take [`SLOW`] for each.
pub fn most_slow() -> f64 {
    SESSIONS as f64 / SLOW.as_secs_f64()
}

/// A Bailey and what it is asked.
pub(crate) struct Site {
    pub(crate) process: Process,
    pub(crate) installation: Installation,
    pub(crate) reads: std::rc::Rc<[crate::exchange::Exchange]>,
    stores: std::rc::Rc<[crate::exchange::Exchange]>,
}

/// Measures all of it.
///
/// # Errors
/// When SoftHSM or a compiler for the slow library is missing.
pub(crate) async fn measure(stage: &Stage<'_>) -> Result<HsmFigures> {
    stage.say("filling Baileys under an HSM");
    let (softhsm, behind) = (SoftHsm::start()?, SoftHsm::start()?);
    let slow = Faulty::before(behind.module())?;
    let simple = site(stage.installation("hsm_simple")?, None).await?;
    let fast = site(stage.installation("hsm")?, Some((&softhsm, softhsm.module()))).await?;
    let uncached = stage.installation("hsm_uncached")?.without_cache();
    let tokens = SoftHsm::start()?;
    let uncached = site(uncached, Some((&tokens, tokens.module()))).await?;
    let slowed = site(stage.installation("hsm_slow")?, Some((&behind, &slow.module()))).await?;
    for function in ["C_Encrypt", "C_Decrypt"] {
        slow.set(function, Fault::SlowOutput(SLOW));
    }
    let mut figures = HsmFigures::default();
    for round in 0..stage.options().rounds {
        stage.say(&format!("HSM, round {} of {}", round + 1, stage.options().rounds));
        let mut turns = [
            (&simple, &mut figures.simple),
            (&fast, &mut figures.softhsm),
            (&uncached, &mut figures.uncached),
            (&slowed, &mut figures.slow),
        ];
        // Nobody always comes first.
        turns.rotate_left(round % 4);
        for (site, figures) in turns {
            let cpu = || site.process.cpu();
            let address = site.installation.address();
            figures.read.push(stage.turn(cpu, address, &site.reads, CONNECTIONS).await?);
            figures.store.push(stage.turn(cpu, address, &site.stores, CONNECTIONS).await?);
        }
        figures.bare.push(bare(stage.options(), &softhsm)?);
    }
    Ok(figures)
}

/// Starts one, with its keys in a token if there is one, and fills it.
async fn site(installation: Installation, token: Option<(&SoftHsm, &Path)>) -> Result<Site> {
    let (installation, process) = match token {
        None => {
            let process = installation.start().await?;
            (installation, process)
        }
        Some((softhsm, module)) => {
            let installation = installation.with_file(&block(softhsm, module))?;
            let installation = installation.with(
                softhsm.environment().into_iter().map(|(name, value)| (name, value.to_string_lossy().into_owned())),
            );
            let mut process = installation.start().await?;
            installation.make_token_keys(&mut process).await?;
            (installation, process)
        }
    };
    filled(process, installation, SECRETS).await
}

/// Fills one that runs.
pub(crate) async fn filled(process: Process, installation: Installation, secrets: usize) -> Result<Site> {
    let client = installation.client(PROJECTS)?;
    let ids = client.fill(secrets).await?;
    let mut exchanges = client.exchanges(&ids);
    let mut take = |operation| exchanges.remove(&operation).context("an exchange");
    let (reads, stores) = (take(Operation::Payload)?, take(Operation::Store)?);
    Ok(Site { process, installation, reads, stores })
}

fn block(softhsm: &SoftHsm, module: &Path) -> String {
    format!(
        "[[stores]]\nname = \"token\"\nkind = \"pkcs11\"\ndefault = true\nmodule = \"{}\"\ntoken_label = \"{}\"\n\
         pin = \"{}\"\nsessions = {SESSIONS}\n",
        module.display(),
        softhsm.token_label(),
        softhsm.pin()
    )
}

/// Bare calls a second: of C_Encrypt, of C_Decrypt.
fn bare(options: &Options, softhsm: &SoftHsm) -> Result<(f64, f64)> {
    let mut command = Command::new(Options::program(None, "token")?);
    command.envs(softhsm.environment()).arg(softhsm.module()).args([softhsm.token_label(), softhsm.pin()]);
    let output = command.args([SESSIONS.to_string(), options.turn().as_secs_f64().to_string()]).output()?;
    ensure!(output.status.success(), "token: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let (encrypts, decrypts) = text.trim().split_once(' ').context("two rates")?;
    Ok((encrypts.parse()?, decrypts.parse()?))
}
