//! Faults: processes killed, databases cut off, bytes changed.

mod acme;
mod backup;
mod ca_canaries;
mod canaries;
mod certificates;
mod clock;
mod hsm;
mod idempotency;
mod kill;
mod kmip;
mod memory;
mod migrate;
mod notices;
mod orders;
mod outage;
mod purge;
mod restore;
mod rotation;
mod split;
mod tamper;
mod token;

use std::process::ExitCode;

use bailey_tests::suite::Suite;

fn main() -> ExitCode {
    Suite::default()
        .own("acme", acme::CASES)
        .own("backup", backup::CASES)
        .own("canaries", canaries::CASES)
        .own("canaries", ca_canaries::CASES)
        .own("certificates", certificates::CASES)
        .own("clock", clock::CASES)
        .own("kill", kill::CASES)
        .own("kmip", kmip::CASES)
        .own("migrate", migrate::CASES)
        .own("hsm", hsm::CASES)
        .own("idempotency", idempotency::CASES)
        .own("notices", notices::CASES)
        .own("orders", orders::CASES)
        .own("purge", purge::CASES)
        .own("tamper", tamper::CASES)
        .own("restore", restore::CASES)
        .own("rotation", rotation::CASES)
        .once("memory", memory::CASES)
        .once("outage", outage::CASES)
        .once("split", split::CASES)
        .once("token", token::CASES)
        .run()
}
