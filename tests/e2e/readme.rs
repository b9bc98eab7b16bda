//! The README's first secret, with the README's own commands.

use std::path::Path;
use std::process::Command;

use bailey_testkit::{binary, clients, process};
use bailey_tests::{Database, TestApp, cases};

pub const CASES: &[(&str, fn())] = cases![the_first_secret_is_stored_read_and_listed];

/// The paragraphs of shell commands that contain `mark`, without what they are said to print.
fn commands(mark: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let block = readme.split("```").find(|block| block.starts_with("sh\n") && block.contains(mark));
    let lines = block.expect("the commands").lines().skip(1).filter(|line| !line.starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split("\n\n").map(|paragraph| paragraph.trim().to_owned()).collect()
}

fn the_first_secret_is_stored_read_and_listed() {
    let app = TestApp::builder(Database::Sqlite).with_tokens().start().unwrap();
    let [token, store, read] = commands("TOKEN=").try_into().expect("make a token, store, read");
    let list = commands("openstack").into_iter().flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let list = list.filter(|line| line.starts_with("openstack")).collect::<Vec<_>>().join("\n");
    let script = format!(
        "set -euo pipefail
         {token}
         REF=$({store} | sed 's/.*\"\\(http[^\"]*\\)\".*/\\1/')
         {read}
         echo
         {list}"
    )
    .replace("cargo run --release --", &binary::bailey().unwrap().display().to_string())
    .replace("http://127.0.0.1:9311/v1/secrets/0199…", "$REF")
    .replace("http://127.0.0.1:9311", &format!("http://{}", app.address()));

    let programs = clients::environment("clients").unwrap().join("bin");
    let mut shell = Command::new("bash");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    shell.env("PATH", path).env("BAILEY_DATA_DIR", app.data_dir()).args(["-c", &script]);
    let printed = String::from_utf8(process::run(&mut shell).unwrap()).unwrap();
    assert!(printed.starts_with("hello\n"), "{printed}");
    assert!(printed.contains("greeting"), "{printed}");
}
