//! The commands of docs/ca/local.md: from nothing to a TLS server, revocation, another key, as they stand there.

use std::path::Path;

use bailey_testkit::{binary, ports, process};
use bailey_tests::cases;

use crate::api_page::{assert_prints, read, run};

pub const CASES: &[(&str, fn())] = cases![a_tls_server_gets_a_certificate_as_the_page_says];

fn a_tls_server_gets_a_certificate_as_the_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ca/local.md");
    let (commands, announced) = read(&std::fs::read_to_string(page).unwrap());
    let (folder, address) = (tempfile::tempdir().unwrap(), format!("127.0.0.1:{}", ports::free()));
    std::os::unix::fs::symlink(binary::bailey().unwrap(), folder.path().join("bailey-binary")).unwrap();
    let script = format!(
        "set -euo pipefail; bailey() {{ \"$HERE/bailey-binary\" \"$@\"; }}; trap 'kill $(jobs -p) || true' EXIT\n{commands}"
    )
    .replace("127.0.0.1:9311", &address)
    .replace("127.0.0.1:44330", &format!("127.0.0.1:{}", ports::free()));
    let mut shell = process::command("bash");
    shell.current_dir(folder.path()).env("HERE", folder.path()).env("BAILEY_LISTEN", &address);
    let printed = String::from_utf8(run(shell.args(["-c", &script]))).unwrap();
    assert!(announced.len() >= 15, "{announced:?}");
    assert_prints(&printed, &announced);
}
