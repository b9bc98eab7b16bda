//! A second opinion: OpenSSL's.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use bailey_core::ca::Issued;
use base64::Engine as _;

/// That OpenSSL follows a certificate to the root, strictly.
pub(super) fn chain(issued: &Issued, root: &[u8]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (root_file, leaf_file) = (folder.path().join("root.pem"), folder.path().join("leaf.pem"));
    std::fs::write(&root_file, pem("CERTIFICATE", root))?;
    std::fs::write(&leaf_file, pem("CERTIFICATE", &issued.certificate))?;
    let mut command = Command::new("openssl");
    command.args(["verify", "-x509_strict", "-CAfile"]).arg(&root_file);
    if !issued.intermediates.is_empty() {
        let between = folder.path().join("intermediates.pem");
        let text: String = issued.intermediates.iter().map(|der| pem("CERTIFICATE", der)).collect();
        std::fs::write(&between, text)?;
        command.arg("-untrusted").arg(between);
    }
    succeeded(command.arg(&leaf_file).output().context("run openssl")?, "openssl verify")
}

/// That OpenSSL finds a CRL signed by this CA.
pub(super) fn revocation_list(der: &[u8], issuer: &[u8]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (list, ca) = (folder.path().join("list.pem"), folder.path().join("ca.pem"));
    std::fs::write(&list, pem("X509 CRL", der))?;
    std::fs::write(&ca, pem("CERTIFICATE", issuer))?;
    let output = openssl_crl(&list, &ca)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    succeeded(output, "openssl crl")?;
    ensure!(told.contains("verify OK"), "openssl crl: {told}");
    Ok(())
}

fn openssl_crl(list: &Path, ca: &Path) -> Result<Output> {
    let mut command = Command::new("openssl");
    command.args(["crl", "-noout", "-in"]).arg(list).arg("-CAfile").arg(ca).output().context("run openssl")
}

fn succeeded(output: Output, what: &str) -> Result<()> {
    let told = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&told));
    Ok(())
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
