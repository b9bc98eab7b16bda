//! End to end: the built binary with real clients.

use std::process::ExitCode;

use bailey_tests::suite::Suite;

mod barbicanclient;
mod openstack;
mod readme;
mod schemathesis;
mod story;

fn main() -> ExitCode {
    Suite::default()
        .once("story", story::ONCE)
        .own("story", story::CASES)
        .own("barbicanclient", barbicanclient::CASES)
        .once("openstack", openstack::CASES)
        .once("readme", readme::CASES)
        .own("schemathesis", schemathesis::CASES)
        .run()
}
