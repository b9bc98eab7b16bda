//! The commands of docs/stores/kmip.md, as they stand there.

use std::os::unix::fs::symlink;

use bailey_testkit::clients;
use bailey_tests::cases;

use crate::api_page::assert_prints;
use crate::hsm_page::follow;

pub const CASES: &[(&str, fn())] = cases![it_is_tried_as_the_page_says];

fn it_is_tried_as_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    symlink(clients::environment("pykmip").unwrap(), folder.path().join("pykmip")).unwrap();
    let (printed, announced) = follow("kmip.md", &["Trying it, on PyKMIP"], "", folder.path());
    assert!(announced.len() >= 6, "{announced:?}");
    assert_prints(&printed, &announced);
}
