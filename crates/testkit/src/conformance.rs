//! Conformance suites: tables of named cases, one suite per trait, chosen by declared capability.
//!
//! A case that needs what the implementation doesn't declare is reported as ignored, and where
//! there is a way to ask nevertheless, a mirrored case asserts that the answer is `Unsupported`.
//! A back-end's own `tests/conformance.rs` hands a way to open a fixture to [`Suite::trials`].

pub mod certificate_authority;
pub mod crypto_backend;
pub mod secret_store;
pub mod vault;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bailey_core::ids::{ProjectId, SecretId, WriteId};
use bailey_core::store::{Place, StoreError, StoreErrorKind};
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Handle;

/// A future that a suite can keep and send.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Opens a fixture of its own for each case, empty or shared: cases use ids of their own.
pub type Open<F> = Arc<dyn Fn() -> Pending<Arc<F>> + Send + Sync>;

/// Makes an [`Open`] of an async closure.
pub fn open<F, Made>(make: impl Fn() -> Made + Send + Sync + 'static) -> Open<F>
where
    F: ?Sized + 'static,
    Made: Future<Output = Result<Arc<F>>> + Send + 'static,
{
    Arc::new(move || Box::pin(make()))
}

/// One sentence of a contract.
struct Case<F: ?Sized, N> {
    name: &'static str,
    needs: N,
    run: fn(Arc<F>) -> Pending<()>,
}

/// A case, chosen for one implementation.
struct Chosen<F: ?Sized> {
    name: &'static str,
    applies: bool,
    run: fn(Arc<F>) -> Pending<()>,
}

/// The cases of one trait that apply to one implementation.
pub struct Suite<F: ?Sized> {
    cases: Vec<Chosen<F>>,
    open: Open<F>,
}

impl<F: ?Sized + Send + Sync + 'static> Suite<F> {
    fn choose<N>(cases: Vec<Case<F, N>>, open: Open<F>, applies: impl Fn(&N) -> bool) -> Self {
        let choose = |case: Case<F, N>| Chosen { name: case.name, applies: applies(&case.needs), run: case.run };
        Self { cases: cases.into_iter().map(choose).collect(), open }
    }

    /// The suite as trials named `label::case`; those that don't apply are ignored.
    pub fn trials(self, label: &str, runtime: &Handle) -> Vec<Trial> {
        let trial = |case: Chosen<F>| {
            let (open, runtime) = (Arc::clone(&self.open), runtime.clone());
            let run = move || {
                let outcome = runtime.block_on(async { (case.run)(open().await?).await });
                outcome.map_err(|error| Failed::from(format!("{error:#}")))
            };
            Trial::test(format!("{label}::{}", case.name), run).with_ignored_flag(!case.applies)
        };
        self.cases.into_iter().map(trial).collect()
    }

    /// Runs every case that applies; what failed, by the name of the case, and why.
    ///
    /// # Errors
    /// When a fixture can't be opened.
    pub async fn failures(self) -> Result<BTreeMap<&'static str, String>> {
        let mut failures = BTreeMap::new();
        for case in self.cases.into_iter().filter(|case| case.applies) {
            let fixture = (self.open)().await.with_context(|| format!("open a fixture for {}", case.name))?;
            if let Err(error) = (case.run)(fixture).await {
                failures.insert(case.name, format!("{error:#}"));
            }
        }
        Ok(failures)
    }
}

/// `case!(needs, function)`: a case named like its function.
macro_rules! case {
    ($needs:expr, $run:ident) => {
        $crate::conformance::Case { name: stringify!($run), needs: $needs, run: |fixture| Box::pin($run(fixture)) }
    };
}
use case;

/// A project that no other case uses.
pub fn fresh_project() -> ProjectId {
    ProjectId::new(format!("päron/{}", SecretId::new())).unwrap()
}

/// A place that no other case uses, in `project`.
fn fresh_place(project: &ProjectId) -> Place {
    Place { project: project.clone(), secret: SecretId::new(), write: WriteId::new() }
}

/// That `result` failed in one of these ways, without `secret` in its error.
fn expect_failure<T>(result: Result<T, StoreError>, kinds: &[StoreErrorKind], secret: &[u8], when: &str) -> Result<()> {
    let Err(error) = result else { bail!("{when}: it succeeded instead of {kinds:?}") };
    ensure!(kinds.contains(&error.kind), "{when}: {error} instead of {kinds:?}");
    let told = format!("{error} {error:?}");
    ensure!(!mentions(told.as_bytes(), secret), "{when}: the error tells the secret");
    Ok(())
}

/// Whether eight bytes in a row of `secret` are readable in `text`: raw, in hex or in base64.
/// Shorter secrets are found nowhere, since they may stand anywhere by chance.
fn mentions(text: &[u8], secret: &[u8]) -> bool {
    let contains = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    secret.windows(8).any(|part| {
        let hex = part.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        contains(part) || contains(hex.as_bytes()) || contains(hex.to_uppercase().as_bytes())
    }) || base64_of(secret).iter().any(|encoded| contains(encoded.as_bytes()))
}

/// Base64 of the parts of `secret` that begin at each of the three alignments.
fn base64_of(secret: &[u8]) -> Vec<String> {
    use base64::Engine as _;
    let whole = |part: &[u8]| base64::engine::general_purpose::STANDARD_NO_PAD.encode(&part[..part.len() / 3 * 3]);
    (0..3).filter_map(|skip| secret.get(skip..)).map(whole).filter(|text| text.len() >= 8).collect()
}

#[cfg(test)]
mod tests {
    use super::mentions;

    #[test]
    fn a_planted_secret_is_found_in_every_form() {
        let secret = b"canary of sixteen or more";
        for planted in [
            "xx canary of xx",
            "xx 63616e617279206f66 xx",
            "xx 63616E617279206F66 xx",
            "xx Y2FuYXJ5IG9mIHNpeHRlZW4gb3IgbW9y xx",
        ] {
            assert!(mentions(planted.as_bytes(), secret), "{planted}");
        }
        assert!(!mentions(b"a canar and nothing else", secret));
    }
}
