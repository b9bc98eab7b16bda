//! Making keys for orders: what to make, and key pairs on threads of their own.
//!
//! Symmetric keys are made by the secret store ([`Generator::symmetric`] says of which size), key
//! pairs here, in software. `docs/generation.md` lists what can be made.

mod config;
mod forms;
mod pair;
mod plan;
mod pool;

use std::time::Instant;

use bailey_core::failure::Failure;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::Spec;

pub use config::GenerationConfig;
pub use plan::{Curve, DsaSize, KeyPairPlan, Refusal, RsaSize};

use crate::policy::Compat;
use pool::Pool;

/// A key pair in the forms in which clients read it.
#[derive(Debug)]
pub struct KeyPair {
    /// PKCS#8, encrypted if there is a passphrase; PEM, for DSA DER.
    pub private: SecretBytes,
    /// SubjectPublicKeyInfo; PEM, for DSA DER.
    pub public: SecretBytes,
}

/// Decides what an order makes, and makes key pairs.
pub struct Generator {
    allow_weak_keys: bool,
    pool: Pool,
}

impl Generator {
    /// Starts no thread before the first key pair is asked for.
    #[must_use]
    pub fn new(config: &GenerationConfig, compat: Compat) -> Self {
        let allow_weak_keys = config.allow_weak_keys.unwrap_or(compat == Compat::Barbican);
        Self { allow_weak_keys, pool: Pool::new(config.threads(), config.waiting) }
    }

    /// What to ask the secret store for, as the spec of
    /// [`generate_symmetric`](bailey_core::store::SecretStore::generate_symmetric). The secret keeps
    /// the spec that was ordered: 168 bits of triple DES are 24 bytes.
    ///
    /// # Errors
    /// Why no such key is made.
    pub fn symmetric(&self, ordered: &Spec) -> Result<Spec, Refusal> {
        plan::symmetric(ordered, self.allow_weak_keys)
    }

    /// Which key pair an order asks for.
    ///
    /// # Errors
    /// Why no such key pair is made.
    pub fn asymmetric(&self, ordered: &Spec) -> Result<KeyPairPlan, Refusal> {
        plan::asymmetric(ordered, self.allow_weak_keys)
    }

    /// The PKCS#8 in an encrypted private key, or what is wrong, fit for the client. How long it takes is up to
    /// whoever encrypted it; other requests don't notice.
    ///
    /// # Errors
    /// `Unavailable` when too many wait; `Internal`.
    pub(crate) async fn decrypted(
        &self,
        private: &SecretBytes,
        passphrase: &SecretBytes,
    ) -> Result<Result<SecretBytes, &'static str>, Failure> {
        let [private, passphrase] = [private, passphrase].map(|bytes| SecretBytes::new(bytes.expose().to_vec()));
        self.pool.run(move || forms::decrypted(&private, &passphrase)).await
    }

    /// Makes a key pair, the private key encrypted if there is a passphrase that isn't empty. Takes
    /// seconds for large RSA keys, and other requests don't notice: dropping the future gives up a
    /// key pair that isn't begun yet.
    ///
    /// # Errors
    /// `Invalid` for a passphrase that other software couldn't take; `Unavailable` when too many
    /// wait; `Internal`.
    pub async fn key_pair(&self, plan: KeyPairPlan, passphrase: Option<&SecretBytes>) -> Result<KeyPair, Failure> {
        let passphrase = passphrase.filter(|passphrase| !passphrase.is_empty());
        if passphrase.is_some_and(|passphrase| passphrase.len() > forms::LONGEST_PASSPHRASE) {
            return Err(Failure::invalid("The passphrase is longer than 1023 bytes"));
        }
        let passphrase = passphrase.map(|passphrase| SecretBytes::new(passphrase.expose().to_vec()));
        let made = self.pool.run(move || {
            let begin = Instant::now();
            let pair = pair::make(plan, passphrase.as_ref());
            metrics::histogram!("bailey_key_pair_seconds", "algorithm" => plan.algorithm())
                .record(begin.elapsed().as_secs_f64());
            pair
        });
        made.await?
    }
}
