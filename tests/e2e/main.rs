//! End to end: the built binary with real clients.

use std::process::ExitCode;

use bailey_tests::suite::Suite;

mod api_page;
mod barbicanclient;
mod ca_page;
mod catalog;
mod certificates;
mod everything;
mod hsm_page;
mod keystone;
mod kmip_page;
mod moving;
mod openstack;
mod readme;
mod schemathesis;
mod sdk;
mod story;
mod transport_keys;

fn main() -> ExitCode {
    Suite::default()
        .once("story", story::ONCE)
        .own("story", story::CASES)
        .once("barbicanclient", barbicanclient::ONCE)
        .own("barbicanclient", barbicanclient::CASES)
        .once("openstack", openstack::CASES)
        .once("keystone", keystone::CASES)
        .once("catalog", catalog::CASES)
        .once("everything", everything::CASES)
        .own("sdk", sdk::CASES)
        .once("readme", readme::CASES)
        .once("api_page", api_page::CASES)
        .once("ca_page", ca_page::CASES)
        .own_apart_too("certificates", certificates::CASES)
        .once("hsm_page", hsm_page::CASES)
        .once("kmip_page", kmip_page::CASES)
        .once("moving", moving::CASES)
        .own("transport_keys", transport_keys::CASES)
        .own("schemathesis", schemathesis::CASES)
        .own_on_others_too("story", story::CASES)
        .own_on_others_too("barbicanclient", barbicanclient::CASES)
        .own_on_others_too("sdk", sdk::CASES)
        .own_on_others_too("transport_keys", transport_keys::CASES)
        .run()
}
