#![allow(clippy::unwrap_used)]

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

/// Every `expr` of a panel.
fn expressions(part: &serde_json::Value) -> Vec<String> {
    match part {
        serde_json::Value::Object(fields) => {
            let own = fields.get("expr").and_then(serde_json::Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(expressions)).collect()
        }
        serde_json::Value::Array(items) => items.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

/// The metrics that an expression names, with the labels that it selects them by.
fn named(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = ["bailey_", "process_"].iter().filter_map(|start| rest.find(start)).min() {
        let name: String = rest[at..].chars().take_while(|c| is_part(*c)).collect();
        rest = &rest[at + name.len()..];
        let selector =
            rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(selector, _)| selector);
        // Names stand before the quotes, values between them.
        let labels = selector.split('"').step_by(2).map(|part| part.chars().filter(|c| is_part(*c)).collect());
        found.push((name, labels.filter(|label: &String| !label.is_empty()).collect()));
    }
    found
}

/// The metric behind a series, which for a histogram has a suffix.
fn metric_of(series: &str) -> &'static Metric {
    let stem = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| series.strip_suffix(suffix));
    let is_it = |metric: &&Metric| metric.name == series || (metric.kind == Histogram && stem == Some(metric.name));
    let found = METRICS.iter().find(is_it);
    assert!(found.is_some_and(|metric| metric.kind != Histogram || metric.name != series), "{series}");
    found.unwrap()
}

/// Fails unless an expression names metrics that exist, by labels that they have; returns their names.
fn check(expression: &str) -> Vec<&'static str> {
    let named = named(expression);
    assert!(!named.is_empty(), "{expression} names no metric");
    let check = |(series, labels): &(String, Vec<String>)| {
        let metric = metric_of(series);
        for label in labels {
            let is_known = metric.labels.contains(&label.as_str()) || ["job", "instance"].contains(&label.as_str());
            assert!(is_known, "{series} has no label {label}: {expression}");
        }
        metric.name
    };
    named.iter().map(check).collect()
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let dashboard = serde_json::from_str(include_str!("../../../../../config/grafana/bailey.json")).unwrap();
    let shown: BTreeSet<&str> = expressions(&dashboard).iter().flat_map(|expression| check(expression)).collect();
    let unseen: Vec<_> = METRICS.iter().map(|metric| metric.name).filter(|name| !shown.contains(name)).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

#[test]
fn the_alerts_are_about_metrics_that_exist() {
    let alerts = include_str!("../../../../../config/prometheus/alerts.yml");
    let expressions: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert_eq!(expressions.len(), alerts.matches("- alert: ").count());
    assert!(expressions.len() > 10);
    for expression in expressions {
        check(expression);
    }
}

#[test]
#[should_panic(expected = "bailey_no_such_thing")]
fn an_unknown_metric_is_found() {
    check(r#"rate(bailey_http_requests_total{status="200"}[5m]) / bailey_no_such_thing"#);
}

#[test]
#[should_panic(expected = "no label colour")]
fn an_unknown_label_is_found() {
    check(r#"sum(rate(bailey_http_requests_total{status="200", colour=~"red"}[5m]))"#);
}
