//! The commands of docs/api.md, in their order, and what the page says they print.

use std::path::Path;
use std::process::Command;

use bailey_testkit::{binary, process};
use bailey_tests::{Database, Store, TestApp, cases};

pub const CASES: &[(&str, fn())] = cases![every_command_prints_what_the_page_says];

/// The shell commands, and the lines that they are said to print.
pub fn read(page: &str) -> (String, Vec<String>) {
    let lines = page.split("```").filter_map(|block| block.strip_prefix("sh\n")).flat_map(str::lines);
    let (printed, commands): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("# "));
    (commands.join("\n"), printed.into_iter().map(|line| line[2..].to_owned()).collect())
}

/// Whether a line is what was announced; `…` stands for anything.
fn matches(line: &str, announced: &str) -> bool {
    let mut parts = announced.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn every_command_prints_what_the_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let (commands, announced) = read(&std::fs::read_to_string(page).unwrap());
    let app = TestApp::builder(Database::Sqlite)
        .store(Store::Simple)
        .with_tokens()
        .set("BAILEY_API__SECRET_STORES", "on")
        .start()
        .unwrap();
    let script = format!("set -euo pipefail\n{commands}")
        .replace("cargo run --release --", &binary::bailey().unwrap().display().to_string())
        .replace("http://127.0.0.1:9311", &app.anonymous().base());
    let mut shell = process::command("bash");
    shell.env("BAILEY_DATA_DIR", app.data_dir()).args(["-c", &script]);
    let printed = String::from_utf8(run(&mut shell)).unwrap();

    assert!(announced.len() > 30, "{announced:?}");
    assert_prints(&printed, &announced);
}

/// Every announced line came, in its turn.
pub fn assert_prints(printed: &str, announced: &[String]) {
    let mut lines = printed.lines();
    for line in announced {
        assert!(lines.any(|printed| matches(printed, line)), "nothing like this came in its turn: {line}\n{printed}");
    }
}

pub fn run(shell: &mut Command) -> Vec<u8> {
    process::run(shell).unwrap_or_else(|error| panic!("{error:#}"))
}
