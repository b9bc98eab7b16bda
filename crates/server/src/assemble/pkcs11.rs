//! `kind = "pkcs11"`: the HSM crypto backend in the envelope.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use bailey_core::store::SecretStore;
use bailey_store_pkcs11::{Config as BackendConfig, Pkcs11Backend};
use toml::Table;

use super::envelope::{self, Budget};
use super::{StoreKind, StoreParts};
use crate::config::{Complain, keys};

pub const KIND: StoreKind = StoreKind {
    name: "pkcs11",
    defaults,
    secrets: &["pin"],
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
    let hsm = parts.hsm.context("the store has a token")?;
    let backend = Pkcs11Backend::over(hsm, parts.id, &config, Arc::clone(parts.vault) as _);
    let budget: Budget = parts.store.settings.clone().try_into()?;
    Ok(envelope::store(parts, &budget, backend))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use toml::Value;

    use super::*;

    fn example() -> Table {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/examples/hsm.toml");
        let mut file: Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
        let stores = file.remove("stores").unwrap();
        let mut store = stores.as_array().unwrap()[0].as_table().unwrap().clone();
        for key in ["id", "name", "kind", "default"] {
            store.remove(key).unwrap();
        }
        store
    }

    fn complaints(settings: &Table) -> Vec<String> {
        let mut complaints = Vec::new();
        check(settings, &mut |key, _| complaints.push(key.to_owned()));
        complaints
    }

    #[test]
    fn the_example_has_every_key_with_its_default() {
        let mut example = example();
        for key in ["module", "token_label", "pin"] {
            assert_ne!(example.insert(key.to_owned(), Value::String(String::new())), None);
        }
        assert_eq!(example, defaults());
    }

    #[test]
    fn everything_wrong_is_told_by_its_key() {
        let mut settings = example();
        settings.insert("pin".to_owned(), Value::String("1234".to_owned()));
        assert_eq!(complaints(&settings), Vec::<String>::new());
        let wrong: Table = "gcm_iv = \"nobody\"\nsessions = 0\nlost_calls = -1\ndeadline_seconds = 0\nmodule = \"\"\n\
            pin = \"file:/no/such/file\"\nhmac_label = \"bailey-mkek\"\ntoken_serial = \"1\"\nkek_budget = 0\n\
            wrap_mechanism = \"rsa\"\nkek_idle_seconds = -1.0"
            .parse()
            .unwrap();
        settings.extend(wrong.clone());
        let mut told = complaints(&settings);
        // Named by its label and its serial number: either is too much.
        told.iter_mut().filter(|key| *key == "token_label").for_each(|key| "token_serial".clone_into(key));
        let mut expected: Vec<_> = wrong.keys().cloned().collect();
        told.sort();
        expected.sort();
        assert_eq!(told, expected);
    }

    #[test]
    fn nothing_is_told_of_the_pin() {
        let settings: Table =
            "kind = \"pkcs11\"\nname = \"hsm\"\ndefault = true\nmodule = \"m\"\ntoken_label = \"t\"\npin = \"canary\""
                .parse()
                .unwrap();
        let store = crate::config::StoreConfig::read(settings, |key, complaint| unreachable!("{key}: {complaint}"));
        assert!(!format!("{store:?}").contains("canary"));
    }
}
