//! A Bailey with stores in tokens of SoftHSM.

use std::ffi::OsString;

use bailey_testkit::process;
use bailey_testkit::softhsm::{PIN, SO_PIN, SoftHsm};

use crate::app::{Builder, Database, TestApp};

/// The labels of an MKEK and of the key that authenticates what it wraps.
pub const LABELS: [&str; 2] = ["bailey-mkek", "bailey-hmac"];

/// A `[[stores]]` block for a token of `softhsm`; `more` are further lines of it.
#[must_use]
pub fn store(softhsm: &SoftHsm, name: &str, label: &str, more: &str) -> String {
    let module = softhsm.module().display();
    format!(
        "[[stores]]\nname = \"{name}\"\nkind = \"pkcs11\"\nmodule = \"{module}\"\ntoken_label = \"{label}\"\n\
         pin = \"env:HSM_PIN\"\n{more}\n"
    )
}

/// A Bailey whose processes see the tokens of `softhsm`, with the PINs in `HSM_PIN` and `HSM_SO_PIN`.
#[must_use]
pub fn builder(database: Database, softhsm: &SoftHsm, file: &str) -> Builder {
    let text = |value: OsString| value.into_string().unwrap_or_default();
    let builder = TestApp::builder(database).file(file).set("HSM_PIN", PIN).set("HSM_SO_PIN", SO_PIN);
    softhsm.environment().into_iter().fold(builder, |builder, (name, value)| builder.set(name, &text(value)))
}

/// Destroys a version's keys with these labels in a token, past Bailey.
///
/// # Panics
/// When there is no such key.
pub fn destroy(softhsm: &SoftHsm, token: &str, version: &str, labels: &[&str]) {
    for label in labels {
        let mut tool = softhsm.tool(token);
        tool.args(["--login", "--pin", softhsm.pin(), "--delete-object", "--type", "secrkey", "--label", label]);
        process::run(tool.args(["--id", &version.replace('-', "")])).expect("a key of that version");
    }
}
