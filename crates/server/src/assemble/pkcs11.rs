//! `kind = "pkcs11"`: the HSM crypto backend in the envelope.

use std::sync::Arc;

use anyhow::Result;
use bailey_core::store::SecretStore;
use bailey_store_pkcs11::{Config as BackendConfig, Pkcs11Backend};
use toml::Table;

use super::envelope::{self, Budget};
use super::{StoreKind, StoreParts};
use crate::config::{Complain, keys};

pub const KIND: StoreKind = StoreKind {
    name: "pkcs11",
    defaults,
    check,
    has_key_file: false,
    token: Some(token),
    budget: envelope::mkek_budget,
    connect,
};

/// Calls at once: far more than any token answers faster for.
const MOST_CALLS: usize = 1_024;
/// A token that holds more objects than this looks each one up slowly.
const MOST_KEKS: usize = 100_000;
/// The longest that a call may take.
const LONGEST_CALL: f64 = 3_600.0;
/// The longest that an unwrapped KEK may wait to be used again: a year.
const LONGEST_IDLE: f64 = 31_536_000.0;

fn defaults() -> Table {
    let mut all = envelope::defaults();
    all.extend(Table::try_from(BackendConfig::default()).unwrap_or_default());
    all
}

fn check(settings: &Table, complain: &mut Complain<'_>) {
    for key in ["kek_budget", "kek_block", "mkek_budget", "mkek_block"] {
        envelope::check(settings, key, complain);
    }
    let tell = |path: &[String], complaint: &str| complain(&path.join("."), complaint.to_owned());
    let Some(config) = keys::read::<BackendConfig>(settings.clone(), &defaults(), tell) else { return };
    for (key, value, most) in [
        ("sessions", config.sessions, MOST_CALLS),
        ("lost_calls", config.lost_calls, MOST_CALLS),
        ("cached_keks", config.cached_keks, MOST_KEKS),
    ] {
        if !(1..=most).contains(&value) {
            complain(key, format!("not a number from 1 to {most}"));
        }
    }
    for (key, seconds, most) in [
        ("deadline_seconds", config.deadline_seconds, LONGEST_CALL),
        ("kek_idle_seconds", config.kek_idle_seconds, LONGEST_IDLE),
    ] {
        if !(seconds > 0.0 && seconds <= most) {
            complain(key, format!("not a number of seconds above 0, up to {most}"));
        }
    }
    for (key, is_blank, what) in [
        ("module", config.module.as_os_str().is_empty(), "the path of the token's PKCS#11 library"),
        ("pin", config.pin.is_blank(), "the PIN of the token's user, best as file:PATH"),
        ("mkek_label", config.mkek_label.is_empty(), "a label"),
        ("hmac_label", config.hmac_label.is_empty(), "a label"),
    ] {
        if is_blank {
            complain(key, format!("needs {what}"));
        }
    }
    if config.mkek_label == config.hmac_label {
        complain("hmac_label", "needs another label than mkek_label".to_owned());
    }
    if config.token_label.is_empty() == config.token_serial.is_empty() {
        complain("token_label", "name the token by its label or, in token_serial, by its serial number".to_owned());
    }
    if !config.pin.is_blank()
        && let Err(failure) = config.pin.read()
    {
        complain("pin", failure.context);
    }
}

fn token(settings: &Table) -> Result<BackendConfig> {
    Ok(settings.clone().try_into()?)
}

fn connect(parts: &StoreParts<'_>) -> Result<Arc<dyn SecretStore>> {
    let config = token(&parts.store.settings)?;
    let backend = Pkcs11Backend::new(parts.id, &config, Arc::clone(parts.vault) as _);
    let budget: Budget = parts.store.settings.clone().try_into()?;
    Ok(envelope::store(parts, &budget, backend))
}
