//! OpenSSL's `s_server`: TLS servers that are set up as others set them up.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::ports;
use crate::process::{self, Process};

const PATIENCE: Duration = Duration::from_secs(20);

/// A TLS server with nothing behind it, on 127.0.0.1; stopped when dropped.
#[derive(Debug)]
pub struct OpensslServer {
    _server: Process,
    port: u16,
    _folder: TempDir,
}

impl OpensslServer {
    /// One whose suites all have RSA key exchange and CBC, with a key that fits them.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn with_old_suites() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| folder.path().join(name));
        let mut request = process::command("openssl");
        request.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout"]);
        process::run(request.arg(&key).arg("-out").arg(&certificate))?;
        Self::start(folder, [&certificate, &key], ["-tls1_2", "-cipher", "AES128-SHA256:AES256-SHA256"])
    }

    /// One that speaks nothing but TLS 1.3 and wants a client's certificate of this authority, as its own is.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn of_tls_1_3(authority: &Authority) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [certificate, key] = authority.issue("TLS 1.3")?.write(folder.path())?;
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, authority.pem())?;
        let wants = ["-tls1_3", "-Verify", "2", "-verify_return_error", "-CAfile"].map(OsStr::new);
        Self::start(folder, [&certificate, &key], wants.into_iter().chain([ca.as_os_str()]))
    }

    /// One that shows a certificate with those that lead to its root; all are files in PEM.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn with(certificate: &Path, intermediates: &Path, key: &Path) -> Result<Self> {
        let chain = [OsStr::new("-cert_chain"), intermediates.as_os_str()];
        Self::start(tempfile::tempdir()?, [certificate, key], chain)
    }

    fn start(
        folder: TempDir,
        [certificate, key]: [&Path; 2],
        more: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Self> {
        let port = ports::free();
        let output = fs::File::create(folder.path().join("output.log"))?;
        let mut server = process::command("openssl");
        server.args(["s_server", "-www", "-accept"]).arg(format!("127.0.0.1:{port}"));
        server.arg("-cert").arg(certificate).arg("-key").arg(key).args(more);
        server.stdout(output.try_clone()?).stderr(output);
        let server = Process::start(server)?;
        process::until(PATIENCE, || Ok(TcpStream::connect(("127.0.0.1", port))?))?;
        Ok(Self { _server: server, port, _folder: folder })
    }

    /// Its host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}
