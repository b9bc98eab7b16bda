//! The commands of docs/ca/local.md: from nothing to a TLS server, revocation, another key, as they stand there.

use std::path::Path;

use bailey_testkit::{binary, ports, process};
use bailey_tests::cases;

use crate::api_page::{assert_prints, read, run};

pub const CASES: &[(&str, fn())] =
    cases![a_tls_server_gets_a_certificate_as_the_page_says, a_token_signs_as_the_page_says];

/// Where the page begins anew, with another installation.
const IN_AN_HSM: &str = "## In an HSM";

fn follow(part: usize) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ca/local.md");
    let page = std::fs::read_to_string(page).unwrap();
    let parts: Vec<_> = page.split(IN_AN_HSM).collect();
    assert_eq!(parts.len(), 2, "the page has no part `{IN_AN_HSM}`");
    let (commands, announced) = read(parts[part]);
    let (folder, address) = (tempfile::tempdir().unwrap(), format!("127.0.0.1:{}", ports::free()));
    // A program and no function: what runs in the background is the server itself, and ends with the shell.
    std::os::unix::fs::symlink(binary::bailey().unwrap(), folder.path().join("bailey")).unwrap();
    let script = format!("set -euo pipefail; PATH=$PWD:$PATH; trap 'kill $(jobs -p) || true' EXIT\n{commands}")
        .replace("127.0.0.1:9311", &address)
        .replace("127.0.0.1:44330", &format!("127.0.0.1:{}", ports::free()));
    let mut shell = process::command("bash");
    shell.current_dir(folder.path()).env("BAILEY_LISTEN", &address);
    let printed = String::from_utf8(run(shell.args(["-c", &script]))).unwrap();
    assert!(announced.len() >= 3, "{announced:?}");
    assert_prints(&printed, &announced);
}

fn a_tls_server_gets_a_certificate_as_the_page_says() {
    follow(0);
}

fn a_token_signs_as_the_page_says() {
    follow(1);
}
