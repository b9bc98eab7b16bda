use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::*;

/// The list as a table, as it stands in the documentation.
fn table() -> String {
    let mut table = "| Metric | Kind | Labels | From | Meaning |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for Metric { name, kind, labels, source, help, .. } in METRICS {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels, source) = (kind.as_str(), labels.join(", "), source.as_str());
        let _ = writeln!(table, "| `{name}` | {kind} | {labels} | {source} | {help} |");
    }
    table
}

#[test]
fn the_documentation_has_the_list() {
    let page = include_str!("../../../../../docs/metrics.md");
    assert!(page.contains(&table()), "docs/metrics.md should have this table:\n\n{}", table());
}

#[test]
fn names_follow_the_conventions() {
    let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len(), "each once");
    for Metric { name, kind, unit, labels, help, .. } in METRICS {
        assert!(name.starts_with("bailey_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        let stem = name.trim_end_matches("_total");
        let suffix = match unit {
            Unit::Seconds => "_seconds",
            Unit::Bytes => "_bytes",
            _ => "",
        };
        assert!(stem.ends_with(suffix), "{name}");
        assert!(!help.contains('|') && help.ends_with('.'), "{name}: {help}");
        for label in *labels {
            assert!(!["id", "project", "user", "secret", "path"].contains(label), "{name}: {label}");
        }
    }
}
