//! The commands of docs/stores/pkcs11.md: the ceremony, a rotation and the recipe for CI, as they stand there.

use std::os::unix::fs::symlink;
use std::path::Path;

use bailey_testkit::{binary, ports, process};
use bailey_tests::cases;

use crate::api_page::{assert_prints, read, run};

pub const CASES: &[(&str, fn())] = cases![the_ceremony_is_as_the_page_says, the_recipe_for_ci_works];

/// What stands below a heading.
fn section(page: &str, heading: &str) -> String {
    let below = page.split_once(&format!("## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}")).1;
    below.split("\n## ").next().unwrap_or_default().to_owned()
}

/// Runs the commands of these sections of a page on a store in a folder of their own, and returns what they printed with
/// what the page says they print.
pub fn follow(page: &str, headings: &[&str], more: &str, folder: &Path) -> (String, Vec<String>) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/stores").join(page);
    let page = std::fs::read_to_string(page).unwrap();
    let (commands, announced) = read(&headings.iter().map(|heading| section(&page, heading)).collect::<String>());
    // What takes the network is there already.
    let is_local =
        |line: &&str| !["apt-get ", "python3 -m venv ", "pykmip/bin/pip "].iter().any(|it| line.starts_with(it));
    let commands: Vec<_> = commands.lines().filter(is_local).collect();
    let (address, kmip) = (format!("127.0.0.1:{}", ports::free()), ports::free().to_string());
    // A program and no function: what runs in the background is the server itself, and ends with the shell.
    let programs = tempfile::tempdir().unwrap();
    symlink(binary::bailey().unwrap(), programs.path().join("bailey")).unwrap();
    let commands = commands.join("\n");
    let script =
        format!("set -euo pipefail; PATH=$PROGRAMS:$PATH; trap 'kill $(jobs -p) || true' EXIT\n{commands}\n{more}")
            .replace("127.0.0.1:9311", &address)
            .replace("5696", &kmip);
    let mut shell = process::command("bash");
    shell.current_dir(folder).env("PROGRAMS", programs.path()).env("BAILEY_LISTEN", &address);
    let printed = String::from_utf8(run(shell.args(["-c", &script]))).unwrap();
    (printed, announced)
}

fn the_ceremony_is_as_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let headings = ["The ceremony, on SoftHSM", "Rotation"];
    let (printed, announced) = follow("pkcs11.md", &headings, "bailey store check", folder.path());
    assert!(announced.len() >= 10, "{announced:?}");
    assert_prints(&printed, &announced);
}

fn the_recipe_for_ci_works() {
    let store = "curl -sf -H 'X-Project-Id: ci' -H 'Content-Type: application/json' http://127.0.0.1:9311/v1/secrets \
                 -d '{\"payload\": \"hello\", \"payload_content_type\": \"text/plain\"}'";
    let folder = tempfile::tempdir().unwrap();
    let (printed, _) = follow("pkcs11.md", &["In CI"], store, folder.path());
    assert!(printed.contains("secret_ref"), "{printed}");
}
