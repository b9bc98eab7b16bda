//! Values that may hold a secret and so may stand elsewhere: `file:PATH` or `env:NAME`.

use std::fs;

use toml::{Table, Value};

use super::layer::{find, put};

/// The keys of such values.
const SECRETS: [&str; 7] = [
    "database.url",
    "vault.url",
    "auth.keystone.password",
    "auth.keystone.application_credential_secret",
    "queue.nats.password",
    "queue.nats.nkey_seed",
    "renewal.webhook_key",
];

/// Puts what `file:` and `env:` values refer to in their place, and complains about those that
/// refer to nothing; the complaint never holds the value.
pub fn resolve(
    table: &mut Table,
    variable: impl Fn(&str) -> Option<String>,
    mut complain: impl FnMut(&[String], String),
) {
    for key in SECRETS {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        let Some(Value::String(text)) = find(table, &path) else { continue };
        let Some(resolved) = resolved(text, &variable) else { continue };
        let value = match resolved.map(|value| value.trim().to_owned()) {
            Ok(value) if !value.is_empty() => value,
            // Read as its default, so that nobody complains about a value that was never meant.
            Ok(_) => {
                complain(&path, "what it refers to is empty".to_owned());
                String::new()
            }
            Err(complaint) => {
                complain(&path, complaint);
                String::new()
            }
        };
        put(table, &path, Value::String(value));
    }
}

/// The same for the secrets of one block, whose keys stand at its top.
pub fn resolve_here(table: &mut Table, keys: &[&'static str], mut complain: impl FnMut(&'static str, String)) {
    for key in keys {
        let Some(Value::String(text)) = table.get_mut(*key) else { continue };
        match resolved(text, |name| std::env::var(name).ok()).map(|value| value.map(|value| value.trim().to_owned())) {
            None => continue,
            Some(Ok(value)) if !value.is_empty() => *text = value,
            Some(Ok(_)) => complain(key, "what it refers to is empty".to_owned()),
            Some(Err(complaint)) => complain(key, complaint),
        }
    }
}

/// What a value refers to, if it refers to anything.
fn resolved(text: &str, variable: impl Fn(&str) -> Option<String>) -> Option<Result<String, String>> {
    if let Some(file) = text.strip_prefix("file:") {
        return Some(fs::read_to_string(file).map_err(|error| format!("{file} can't be read: {error}")));
    }
    let name = text.strip_prefix("env:")?;
    Some(variable(name).ok_or_else(|| format!("the environment has no {name}")))
}
