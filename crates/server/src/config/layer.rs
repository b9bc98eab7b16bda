//! One source of configuration, and how it names its keys.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::problem::{Problem, Problems};

/// Where a layer comes from. Later ones win: file, environment, command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A TOML file.
    File(PathBuf),
    /// `BAILEY_…` variables.
    Environment,
    /// Flags.
    CommandLine,
}

impl Origin {
    /// A key as the operator wrote it there.
    pub fn key(&self, path: &[String]) -> String {
        match self {
            Self::File(_) => path.join("."),
            Self::Environment => format!("{PREFIX}{}", path.join("__").to_uppercase()),
            Self::CommandLine => format!("--{}", path[0].replace('_', "-")),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Environment => f.write_str("environment"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

const PREFIX: &str = "BAILEY_";

/// Variables with the prefix that are no keys: where the configuration file is, what the test
/// programs read, and what Kubernetes sets in every pod beside a service called `bailey`.
const NOT_KEYS: [&str; 4] = ["CONFIG", "TEST_", "SERVICE_", "PORT"];

/// The keys that one source sets.
#[derive(Debug)]
pub struct Layer {
    pub origin: Origin,
    pub table: Table,
}

impl Layer {
    /// Reads a file; what is wrong with it goes to `problems`.
    pub fn file(path: &Path, problems: &mut Problems) -> Self {
        let origin = Origin::File(path.to_path_buf());
        let table = match std::fs::read_to_string(path) {
            Ok(text) => parse(&text, &origin, problems),
            Err(error) => {
                problems.add(Problem::of(&origin, format!("can't be read: {error}")));
                Table::new()
            }
        };
        Self { origin, table }
    }

    /// Reads `BAILEY_…` variables; `defaults` tells what type a key has.
    pub fn environment(variables: impl IntoIterator<Item = (String, String)>, defaults: &Table) -> Self {
        let mut table = Table::new();
        for (name, text) in variables {
            let Some(key) = name.strip_prefix(PREFIX) else { continue };
            if NOT_KEYS.iter().any(|other| key.starts_with(other)) {
                continue;
            }
            let path: Vec<String> = key.split("__").map(str::to_lowercase).collect();
            let value = typed(text, find(defaults, &path));
            put(&mut table, &path, value);
        }
        Self { origin: Origin::Environment, table }
    }

    /// The flags that are set, as keys.
    pub fn command_line(flags: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let mut table = Table::new();
        for (key, value) in flags {
            put(&mut table, &key.split('.').map(str::to_owned).collect::<Vec<_>>(), value);
        }
        Self { origin: Origin::CommandLine, table }
    }
}

/// The message only: the parser's full text quotes the line, which may hold a password.
fn parse(text: &str, origin: &Origin, problems: &mut Problems) -> Table {
    text.parse().unwrap_or_else(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        problems.add(Problem::of(origin, format!("line {line}: {}", error.message())));
        Table::new()
    })
}

/// Reads a variable's text as the type of the key's default; text that isn't of that type stays
/// text, and is complained about where all types are checked.
fn typed(text: String, default: Option<&Value>) -> Value {
    let literal = |text: &str| format!("v = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
    match default {
        None | Some(Value::String(_)) => Value::String(text),
        Some(Value::Array(_)) if !text.trim_start().starts_with('[') => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
        }
        Some(_) => literal(&text).unwrap_or(Value::String(text)),
    }
}

/// The value at `path`, if every part of it is there.
pub fn find<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (last, parents) = path.split_last()?;
    parents.iter().try_fold(table, |table, part| table.get(part)?.as_table())?.get(last)
}

/// Sets the value at `path`, making the tables on the way; replaces what is no table.
pub fn put(table: &mut Table, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let entry = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    if !entry.is_table() {
        *entry = Value::Table(Table::new());
    }
    if let Value::Table(inner) = entry {
        put(inner, rest, value);
    }
}
