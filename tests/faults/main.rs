//! Faults: processes killed, databases cut off, bytes changed.

mod kill;
mod outage;
mod tamper;

use std::process::ExitCode;

use bailey_tests::suite::Suite;

fn main() -> ExitCode {
    Suite::default().own("kill", kill::CASES).own("tamper", tamper::CASES).once("outage", outage::CASES).run()
}
