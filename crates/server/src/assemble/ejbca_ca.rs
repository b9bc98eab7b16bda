//! `kind = "ejbca"`: a CA in EJBCA.

use std::sync::Arc;

use anyhow::Result;
use bailey_ca_plugin::ejbca::{Config as PluginConfig, EjbcaCa};
use bailey_core::ca::CertificateAuthority;
use toml::Table;

use super::{CaKind, CaParts};
use crate::config::{Complain, keys};

pub const KIND: CaKind = CaKind { name: "ejbca", defaults, secrets: &["enrolment_secret", "headers"], check, connect };

fn defaults() -> Table {
    Table::try_from(PluginConfig::default()).unwrap_or_default()
}

fn check(settings: &Table, complain: &mut Complain<'_>) {
    let tell = |path: &[String], complaint: &str| complain(&path.join("."), complaint.to_owned());
    let Some(config) = keys::read::<PluginConfig>(settings.clone(), &defaults(), tell) else { return };
    for (key, complaint) in config.problems() {
        complain(&key, complaint);
    }
}

fn connect(parts: &CaParts<'_>) -> Result<Arc<dyn CertificateAuthority>> {
    let config: PluginConfig = parts.ca.settings.clone().try_into()?;
    Ok(Arc::new(EjbcaCa::new(parts.id, &parts.ca.name, &config, parts.clock.clone())?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use toml::Value;

    use super::*;

    fn example() -> Table {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/examples/ejbca.toml");
        let mut file: Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
        let cas = file.remove("cas").unwrap();
        let mut ca = cas.as_array().unwrap()[0].as_table().unwrap().clone();
        for key in ["id", "name", "kind", "description", "store", "renew_before", "projects"] {
            ca.remove(key).unwrap();
        }
        ca
    }

    fn complaints(settings: &Table) -> Vec<String> {
        let mut complaints = Vec::new();
        check(settings, &mut |key, _| complaints.push(key.to_owned()));
        complaints
    }

    #[test]
    fn the_example_has_every_key_with_its_default() {
        let mut example = example();
        for key in ["url", "certificate_authority", "certificate_file", "private_key_file", "enrolment_secret"] {
            assert_ne!(example.insert(key.to_owned(), Value::String(String::new())), None);
        }
        assert_ne!(example.insert("profiles".to_owned(), Value::Array(Vec::new())), None);
        assert_eq!(example, defaults());
    }

    #[test]
    fn everything_wrong_is_told_by_its_key() {
        let mut settings = example();
        settings.insert("enrolment_secret".to_owned(), Value::String("sixteen letters.".to_owned()));
        assert_eq!(complaints(&settings), [""; 0]);
        settings.insert("end_entity".to_owned(), Value::String("everybody".to_owned()));
        settings.insert("enrolment_secret".to_owned(), Value::String("short".to_owned()));
        assert_eq!(complaints(&settings), ["enrolment_secret", "end_entity"]);
        settings.insert("enrolment_secret".to_owned(), Value::String("file:/no/such/file".to_owned()));
        assert!(complaints(&settings).contains(&"enrolment_secret".to_owned()));
    }
}
