//! `bailey hsm list`

use anyhow::Result;
use bailey_core::ids::MasterKeyId;
use bailey_store_pkcs11::{KeyObject, KeyRole};
use bailey_vault::MasterKeySummary;
use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::Token;
use crate::commands::master_key;
use crate::output;

/// A version that the vault knows, or that is in the token.
struct Version {
    /// `None` for keys with an id that is none of Bailey's.
    id: Option<MasterKeyId>,
    registered: Option<MasterKeySummary>,
    /// `None` when the token doesn't answer.
    objects: Option<Vec<KeyObject>>,
}

pub async fn run(token: &Token<'_>, as_json: bool) -> Result<()> {
    let asked = token.hsm.keys().await;
    if let Err(error) = &asked {
        eprintln!("the token can't be asked: {error}");
    }
    let versions = versions(token, asked.ok()).await?;
    if as_json {
        output::json(&versions.iter().map(as_object).collect::<Vec<_>>())?;
        return Ok(());
    }
    let rows: Vec<_> = versions.iter().map(row).collect();
    output::table(["ID", "STATE", "KEKs", "RESERVED", "CREATED", "IN THE TOKEN"], &rows)?;
    let objects = versions.iter().flat_map(|version| version.objects.iter().flatten());
    let attributes: Vec<_> =
        objects.map(|object| [name(object.version), object.role.as_str().to_owned(), attributes(object)]).collect();
    if !attributes.is_empty() {
        output::line("")?;
        output::table(["ID", "KEY", "ATTRIBUTES"], &attributes)?;
    }
    Ok(())
}

/// What the vault knows, oldest first, then what is in the token besides.
async fn versions(token: &Token<'_>, mut objects: Option<Vec<KeyObject>>) -> Result<Vec<Version>> {
    let mut versions = Vec::new();
    for registered in token.admin.databases.vault.master_keys(token.target.purpose).await? {
        let id = Some(registered.key.id);
        let objects = objects.as_mut().map(|objects| objects.extract_if(.., |object| object.version == id).collect());
        versions.push(Version { id, registered: Some(registered), objects });
    }
    while let Some(rest) = objects.as_mut().filter(|rest| !rest.is_empty()) {
        let id = rest[0].version;
        let objects = rest.extract_if(.., |object| object.version == id).collect();
        versions.push(Version { id, registered: None, objects: Some(objects) });
    }
    Ok(versions)
}

fn name(id: Option<MasterKeyId>) -> String {
    id.map_or_else(|| "no version".to_owned(), |id| id.to_string())
}

fn row(version: &Version) -> [String; 6] {
    let in_token = match &version.objects {
        None => "?".to_owned(),
        Some(objects) => in_token(objects),
    };
    let [state, keks, reserved, created_at] = match &version.registered {
        None => ["not registered".to_owned(), "-".to_owned(), "-".to_owned(), "-".to_owned()],
        Some(MasterKeySummary { key, keks }) => [
            state(version).to_owned(),
            keks.to_string(),
            key.reserved.to_string(),
            key.created_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        ],
    };
    [name(version.id), state, keks, reserved, created_at, in_token]
}

fn state(version: &Version) -> &'static str {
    match &version.registered {
        None => "not registered",
        Some(MasterKeySummary { key, .. }) if key.check_value.is_empty() => "begun",
        Some(MasterKeySummary { key, .. }) => master_key::state(key.state),
    }
}

/// Which keys there are, with what keeps each from being used.
fn in_token(objects: &[KeyObject]) -> String {
    let told = |role: KeyRole| {
        let of_role: Vec<_> = objects.iter().filter(|object| object.role == role).collect();
        match of_role.as_slice() {
            [] => format!("no {}", role.as_str()),
            [one] if one.complaints().is_empty() => role.as_str().to_owned(),
            [one] => format!("{} that {}", role.as_str(), one.complaints().join(" and ")),
            several => format!("{} {}s", several.len(), role.as_str()),
        }
    };
    KeyRole::ALL.map(told).join(", ")
}

/// What the token says of a key, as PKCS#11 names it.
fn attributes(object: &KeyObject) -> String {
    let flags = [
        ("token", object.token),
        ("private", object.private),
        ("sensitive", object.sensitive),
        ("always sensitive", object.always_sensitive),
        ("extractable", object.extractable),
        ("never extractable", object.never_extractable),
        ("trusted", object.trusted),
    ];
    let on = flags.into_iter().filter(|(_, is_on)| *is_on == Some(true)).map(|(name, _)| name);
    let usages = object.usages.iter().map(String::as_str);
    on.chain(usages).collect::<Vec<_>>().join(", ")
}

fn as_object(version: &Version) -> Value {
    let keys = version.objects.as_ref().map(|objects| {
        let key = |object: &KeyObject| {
            json!({
                "role": object.role.as_str(), "complaints": object.complaints(), "length": object.length,
                "token": object.token, "private": object.private, "sensitive": object.sensitive,
                "always_sensitive": object.always_sensitive, "extractable": object.extractable,
                "never_extractable": object.never_extractable, "trusted": object.trusted, "usages": object.usages,
            })
        };
        objects.iter().map(key).collect::<Vec<_>>()
    });
    let registered = version.registered.as_ref();
    json!({
        "id": version.id, "state": state(version), "objects": registered.map(|version| version.keks),
        "reserved": registered.map(|version| version.key.reserved),
        "created_at": registered.map(|version| version.key.created_at), "keys": keys,
    })
}
