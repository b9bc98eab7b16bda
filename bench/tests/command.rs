//! The command works from end to end, at a size that measures nothing.

use std::process::Command;

fn report(database: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailey-bench"));
    command.args(["--databases", database, "--servers", "bare", "--rounds", "1", "--connections", "2"]);
    let output = command.args(["--seconds", "0.1", "--secrets", "200"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The cells of the row of an operation.
fn figures(report: &str, operation: &str) -> Vec<f64> {
    let row = report.lines().find(|line| line.starts_with(&format!("| {operation} | 2 | bare |")));
    let row = row.unwrap_or_else(|| panic!("no row for {operation}:\n{report}"));
    row.split('|').filter_map(|cell| cell.trim().parse().ok()).collect()
}

fn every_operation_is_measured(database: &str, columns: usize) {
    let report = report(database);
    for operation in ["payload read", "metadata read", "store", "list of 10"] {
        let figures = figures(&report, operation);
        assert_eq!(figures.len(), columns, "{report}");
        let [_, rate, p50, p99, ..] = figures[..] else { panic!("{report}") };
        assert!(rate > 0.0 && p50 > 0.0 && p99 >= p50, "{report}");
    }
}

#[test]
fn on_sqlite() {
    every_operation_is_measured("sqlite", 6);
}

#[test]
fn on_postgresql() {
    every_operation_is_measured("postgres", 7);
}
