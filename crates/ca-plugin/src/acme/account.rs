//! The account at the CA: a key in the secret store, and a URL that the CA has for it.

use std::sync::{Arc, Mutex, PoisonError};

use bailey_core::ca::{CaError, CaErrorKind, Keys};
use bailey_core::sensitive::SecretBytes;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::client::{Asker, Client};
use super::config::Config;
use super::jws::{AccountKey, binding};
use super::problem::Trouble;
use super::wire::AccountObject;

/// What the account's key is called in the store.
const KEY: &str = "acme-account";
/// What the key of the account elsewhere is called there.
const EXTERNAL: &str = "acme-external-account";
const OPERATION: &str = "open ACME account";

/// An account that is open.
pub(super) struct Account {
    pub(super) key: AccountKey,
    pub(super) url: String,
    /// Where its orders are listed, if the server lists them.
    pub(super) orders: Option<String>,
}

/// Opens the one account of a CA, once for each process.
pub(super) struct Accounts {
    keys: Arc<dyn Keys>,
    open: Mutex<Option<Arc<Account>>>,
}

impl Account {
    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { key: &self.key, account: Some(&self.url) }
    }
}

impl Accounts {
    pub(super) fn new(keys: Arc<dyn Keys>) -> Self {
        Self { keys, open: Mutex::default() }
    }

    /// The account. To open it again does no harm: the CA knows it by its key.
    pub(super) async fn get(&self, client: &Client, config: &Config) -> Result<Arc<Account>, Trouble> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(account) = open {
            return Ok(account);
        }
        let account = Arc::new(self.register(client, config).await?);
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&account));
        Ok(account)
    }

    /// Has the account opened anew next time: the server doesn't know it any more.
    pub(super) fn forget(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn register(&self, client: &Client, config: &Config) -> Result<Account, Trouble> {
        let key = AccountKey::read(&self.key().await?)?;
        let directory = client.directory().await?;
        let mut wanted = json!({"termsOfServiceAgreed": config.terms_agreed});
        if !config.contacts.is_empty() {
            wanted["contact"] = config.contacts.clone().into();
        }
        if !config.external_account_id.is_empty() {
            let mac_key = self.external(config).await?;
            let bound = binding(&config.external_account_id, &mac_key, &directory.new_account, &key);
            wanted["externalAccountBinding"] = bound;
        }
        let asker = Asker { key: &key, account: None };
        let answer = client.post(asker, &directory.new_account, Some(&wanted), OPERATION).await;
        let answer = answer.map_err(|trouble| match trouble.sorted(OPERATION) {
            // No order is to blame.
            refused @ Trouble::Refused(_) => refused.into_error(OPERATION).into(),
            trouble => trouble,
        })?;
        let object: AccountObject = answer.json(OPERATION)?;
        if let Some(status) = object.status.filter(|status| status != "valid") {
            return Err(CaError::new(CaErrorKind::Internal, OPERATION, format!("the account is {status}")).into());
        }
        let odd = || CaError::new(CaErrorKind::Unavailable, OPERATION, "the server doesn't tell the account's URL");
        let url = answer.location.ok_or_else(odd)?;
        Ok(Account { key, url, orders: object.orders })
    }

    /// The account's key, kept before the CA hears of it: an account whose key is lost is lost, and with it perhaps
    /// the only use of a key for an account elsewhere.
    async fn key(&self) -> Result<SecretBytes, CaError> {
        if let Some(key) = self.keys.load(KEY).await? {
            return Ok(key);
        }
        self.keys.keep(KEY, &AccountKey::generate()?).await?;
        let kept = self.keys.load(KEY).await?;
        kept.ok_or_else(|| CaError::new(CaErrorKind::Unavailable, OPERATION, "the account's key was not kept"))
    }

    /// The key of the account elsewhere: the configured one, which is kept, or the one that was.
    async fn external(&self, config: &Config) -> Result<SecretBytes, CaError> {
        let kept = self.keys.load(EXTERNAL).await?;
        if config.external_account_key.is_empty() {
            let missing = "external_account_key: the store has none for external_account_id";
            return kept.ok_or_else(|| CaError::new(CaErrorKind::Internal, OPERATION, missing));
        }
        let odd = || CaError::new(CaErrorKind::Internal, OPERATION, "external_account_key: not base64");
        let configured = decoded(config.external_account_key.expose()).ok_or_else(odd)?;
        match kept {
            Some(kept) if kept.expose() == configured.expose() => {}
            Some(_) => {
                self.keys.forget(EXTERNAL).await?;
                self.keys.keep(EXTERNAL, &configured).await?;
            }
            None => self.keys.keep(EXTERNAL, &configured).await?,
        }
        Ok(configured)
    }
}

/// CAs tell it in either alphabet, with padding or without.
fn decoded(text: &str) -> Option<SecretBytes> {
    let text = text.trim().trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
    bytes.ok().filter(|bytes| !bytes.is_empty()).map(SecretBytes::new)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_of_accounts_elsewhere_are_read_however_they_are_written() {
        for text in ["-_8", "+/8=", " -_8=\n"] {
            assert_eq!(decoded(text).unwrap().expose(), [0xfb, 0xff], "{text}");
        }
        assert!(decoded("").is_none());
        assert!(decoded("no key!").is_none());
    }
}
