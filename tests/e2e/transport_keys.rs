//! The example of docs/transport-keys.md, as it stands there.

use std::path::Path;

use bailey_testkit::{clients, process};
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};

pub const CASES: &[OwnCase] = cases![the_example_wraps_and_reads];

fn the_example_wraps_and_reads(database: Database) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/transport-keys.md");
    let page = std::fs::read_to_string(page).unwrap();
    let program = page.split("```").find_map(|block| block.strip_prefix("python\n")).expect("a program");

    let app = TestApp::builder(database).with_tokens().start().unwrap();
    let mut python = clients::command("python3").unwrap();
    python.env("BAILEY", app.anonymous().base()).env("PROJECT", "päron");
    python.env("TOKEN", app.token("päron", "ann", &["creator"]).unwrap());
    let printed = process::run(python.args(["-c", program])).unwrap();
    assert_eq!(String::from_utf8(printed).unwrap(), "for nobody's eyes\n");
}
