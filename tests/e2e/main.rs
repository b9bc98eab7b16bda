//! End to end: the built binary with real clients.

use std::process::ExitCode;

use bailey_tests::suite::Suite;

fn main() -> ExitCode {
    Suite::default().run()
}
