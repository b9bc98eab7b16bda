//! `kind = "kmip"`: the KMIP secret store, which needs neither envelope nor vault.

use std::sync::Arc;

use anyhow::Result;
use bailey_core::store::SecretStore;
use bailey_store_kmip::{Config as BackendConfig, KmipStore};
use toml::Table;

use super::{StoreKind, StoreParts};
use crate::config::{Complain, keys};

pub const KIND: StoreKind = StoreKind {
    name: "kmip",
    defaults,
    secrets: &[],
    check,
    has_key_file: false,
    token: None,
    budget: |_| None,
    connect,
};

/// Questions at once: far more than any server answers faster for.
const MOST_CONNECTIONS: usize = 1_024;
/// The longest that a connection or an answer may take, or a connection may be kept.
const LONGEST: f64 = 3_600.0;
/// Servers refuse messages of more than a mebibyte, and a payload is not all that is in one.
const LARGEST_PAYLOAD: usize = 900_000;

fn defaults() -> Table {
    Table::try_from(BackendConfig::default()).unwrap_or_default()
}

fn check(settings: &Table, complain: &mut Complain<'_>) {
    let tell = |path: &[String], complaint: &str| complain(&path.join("."), complaint.to_owned());
    let Some(config) = keys::read::<BackendConfig>(settings.clone(), &defaults(), tell) else { return };
    for (key, value, most) in
        [("connections", config.connections, MOST_CONNECTIONS), ("max_payload", config.max_payload, LARGEST_PAYLOAD)]
    {
        if !(1..=most).contains(&value) {
            complain(key, format!("not a number from 1 to {most}"));
        }
    }
    for (key, seconds) in [
        ("connect_seconds", config.connect_seconds),
        ("answer_seconds", config.answer_seconds),
        ("key_pair_seconds", config.key_pair_seconds),
        ("idle_seconds", config.idle_seconds),
    ] {
        if !(seconds > 0.0 && seconds <= LONGEST) {
            complain(key, format!("not a number of seconds above 0, up to {LONGEST}"));
        }
    }
    for (key, path, what) in [
        ("ca", &config.ca, "the path of the server's authority, in PEM"),
        ("client_certificate", &config.client_certificate, "the path of a certificate, in PEM"),
        ("client_key", &config.client_key, "the path of the certificate's key, in PEM"),
    ] {
        if path.as_os_str().is_empty() {
            complain(key, format!("needs {what}"));
        }
    }
    let port = config.server.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if config.host().is_empty() || port.is_none() {
        complain("server", "needs the server's host and port, such as `kmip.example.org:5696`".to_owned());
    }
}

fn connect(parts: &StoreParts<'_>) -> Result<Arc<dyn SecretStore>> {
    let config: BackendConfig = parts.store.settings.clone().try_into()?;
    Ok(Arc::new(KmipStore::new(parts.deployment, parts.id, parts.store.name.clone(), config)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use toml::Value;

    use super::*;

    fn example() -> Table {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/examples/kmip.toml");
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
        for key in ["server", "ca", "client_certificate", "client_key"] {
            assert_ne!(example.insert(key.to_owned(), Value::String(String::new())), None);
        }
        assert_eq!(example, defaults());
    }

    #[test]
    fn everything_wrong_is_told_by_its_key() {
        let mut settings = example();
        assert_eq!(complaints(&settings), Vec::<String>::new());
        let wrong: Table = "server = \"kmip.example.org\"\nca = \"\"\nclient_certificate = \"\"\nclient_key = \"\"\n\
            connections = 0\nconnect_seconds = 0\nanswer_seconds = -1.0\nidle_seconds = 1e9\nkey_pair_seconds = 0.0\nmax_version = \"2.0\"\n\
            max_payload = 1000000\ngeneration = \"nobody\"\nactivate = \"no\""
            .parse()
            .unwrap();
        settings.extend(wrong.clone());
        let mut told = complaints(&settings);
        told.sort();
        let mut expected: Vec<_> = wrong.keys().cloned().collect();
        expected.sort();
        assert_eq!(told, expected);
    }
}
