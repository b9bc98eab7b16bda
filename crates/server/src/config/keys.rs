//! Unknown keys and wrong types: everything that can be told by comparing with the defaults.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::layer::{find, put};

/// Takes every key out of `table` that `defaults` doesn't have, and returns their paths, outermost
/// only. A table where a value belongs, or the other way round, is left to [`read`]; one that is empty by default
/// has names of the operator's as its keys.
pub fn take_unknown(table: &mut Table, defaults: &Table) -> Vec<Vec<String>> {
    let mut unknown = Vec::new();
    table.retain(|key, value| match (value, defaults.get(key)) {
        (_, None) => {
            unknown.push(vec![key.to_owned()]);
            false
        }
        (Value::Table(inner), Some(Value::Table(inner_defaults))) if !inner_defaults.is_empty() => {
            let inside = take_unknown(inner, inner_defaults);
            unknown.extend(inside.into_iter().map(|path| [vec![key.to_owned()], path].concat()));
            true
        }
        _ => true,
    });
    unknown
}

/// The key that was probably meant: the fewest typing errors away, in its own table if possible.
pub fn nearest(path: &[String], defaults: &Table) -> String {
    let written = path.join(".");
    let last = path.last().map_or("", String::as_str);
    let distance = |candidate: &String| {
        let name = candidate.rsplit('.').next().unwrap_or(candidate);
        strsim::damerau_levenshtein(&written, candidate).min(strsim::damerau_levenshtein(last, name) + 1)
    };
    let mut candidates = Vec::new();
    list_keys(defaults, "", &mut candidates);
    candidates.into_iter().min_by_key(distance).unwrap_or_default()
}

/// The name that was probably meant.
pub fn nearest_name<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names.into_iter().min_by_key(|name| strsim::damerau_levenshtein(written, name))
}

fn list_keys(table: &Table, prefix: &str, keys: &mut Vec<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if let Value::Table(inner) = value {
            list_keys(inner, &path, keys);
        }
        keys.push(path);
    }
}

/// Lays `upper` over `lower`: tables are merged, everything else is replaced.
pub fn overlay(lower: &mut Table, upper: &Table) {
    for (key, value) in upper {
        match (lower.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            _ => {
                lower.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Reads a table that has every key. A value of the wrong type is complained about and read as its
/// default, so that the next one is found too; `None` if that doesn't help.
pub fn read<T: DeserializeOwned>(
    mut table: Table,
    defaults: &Table,
    mut complain: impl FnMut(&[String], &str),
) -> Option<T> {
    loop {
        let error = match serde_path_to_error::deserialize(Value::Table(table.clone())) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let path: Vec<String> = error.path().iter().map_while(key).collect();
        complain(&path, error.inner().message().trim());
        let default = find(defaults, &path)?;
        if find(&table, &path) == Some(default) {
            return None;
        }
        put(&mut table, &path, default.clone());
    }
}

fn key(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        port: u16,
        inner: Inner,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        size: u32,
        names: Vec<String>,
    }

    fn defaults() -> Table {
        Table::try_from(Outer { port: 1, inner: Inner { size: 2, names: vec![] } }).unwrap()
    }

    #[test]
    fn unknown_keys_are_taken_out_and_the_nearest_is_known() {
        let mut table: Table = "prot = 1\n[inner]\nsize = 1\nsise = 2\n[outer.deep]\nx = 1".parse().unwrap();
        let unknown = take_unknown(&mut table, &defaults());
        assert_eq!(unknown, [vec!["inner", "sise"], vec!["outer"], vec!["prot"]]);
        assert_eq!(table, "[inner]\nsize = 1".parse::<Table>().unwrap());
        for (written, meant) in [("inner.sise", "inner.size"), ("prot", "port"), ("size", "inner.size")] {
            let path: Vec<String> = written.split('.').map(str::to_owned).collect();
            assert_eq!(nearest(&path, &defaults()), meant);
        }
    }

    #[test]
    fn every_wrong_type_is_found_in_one_go() {
        let mut table = defaults();
        overlay(&mut table, &"port = 70000\n[inner]\nsize = \"big\"\nnames = [\"a\", 1]".parse().unwrap());
        let mut complaints = Vec::new();
        let read: Option<Outer> = read(table, &defaults(), |path, _| complaints.push(path.join(".")));
        complaints.sort();
        assert_eq!(complaints, ["inner.names", "inner.size", "port"]);
        assert_eq!(Table::try_from(read.unwrap()).unwrap(), defaults());
    }
}
