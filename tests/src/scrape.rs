//! Prometheus' text format, and the list of metrics in the documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::http::Client;

/// What is told of one metric.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its kind.
    pub kind: String,
    /// Names of its labels, those of buckets aside.
    pub labels: BTreeSet<String>,
}

/// What a server exports, as text.
///
/// # Panics
/// When it exports nothing.
#[must_use]
pub fn scrape(address: SocketAddr) -> String {
    let answer = Client::anonymous(address).get("/metrics").send().expect(200);
    assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.text()
}

/// The value of a series, written as it is exported: `name{label="value"}`.
#[must_use]
pub fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line?.parse().ok()
}

/// Every metric of an export.
///
/// # Panics
/// When a series is of none, or a metric lacks its kind or its help.
#[must_use]
pub fn metrics(text: &str) -> BTreeMap<String, Metric> {
    let mut found = BTreeMap::<String, Metric>::new();
    let mut helped = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped.insert(help.split(' ').next().unwrap_or_default().to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a kind");
            assert!(helped.contains(name), "{name} has no help");
            found.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else {
            let (series, _) = line.rsplit_once(' ').expect("a series and a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let stem = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let name = stem.filter(|stem| found.contains_key(*stem)).unwrap_or(name);
            let metric = found.get_mut(name).unwrap_or_else(|| panic!("{line} is of no metric"));
            let names = labels.split('"').step_by(2).map(|name| name.trim_matches([',', '=', '}']));
            metric.labels.extend(names.filter(|name| !["", "le"].contains(name)).map(str::to_owned));
        }
    }
    found
}

/// The table of `docs/metrics.md`: each metric, and which process exports it.
///
/// # Panics
/// When there is no such table.
#[must_use]
pub fn documented() -> BTreeMap<String, (Metric, String)> {
    let page = include_str!("../../docs/metrics.md");
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`').to_owned();
        let labels = cells[2].split(", ").filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.trim_matches('`').to_owned()).collect();
        (name, (Metric { kind: cells[1].to_owned(), labels }, cells[3].to_owned()))
    };
    let rows: BTreeMap<_, _> = page.lines().filter(|line| line.starts_with("| `")).map(row).collect();
    assert!(rows.len() > 20, "{rows:?}");
    rows
}
