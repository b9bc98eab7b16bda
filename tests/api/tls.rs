//! TLS as clients and operators meet it: curl, OpenSSL, certificates that are replaced.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bailey_testkit::certificates::{Authority, connect};
use bailey_testkit::ports;
use bailey_testkit::process::{self, Process};
use bailey_tests::http::read_answer;
use bailey_tests::{Client, Database, TestApp, cases};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use tempfile::TempDir;

pub const CASES: &[(&str, fn())] = cases![
    curl_stores_and_reads,
    openssl_agrees_on_versions,
    certificates_are_replaced_under_load,
    a_crowd_that_does_nothing_is_dropped,
    a_bad_certificate_stops_the_start_and_the_check,
    a_key_that_others_can_read_is_warned_of,
];

/// Outlasts a slow build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Bailey that speaks TLS, and what its clients believe.
struct Secured {
    app: TestApp,
    server: Process,
    authority: Authority,
    folder: TempDir,
}

impl Secured {
    fn start(more: &[(&str, &str)]) -> Self {
        let (authority, folder) = (Authority::new("servers").unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("authority.pem"), authority.pem()).unwrap();
        let files = authority.issue("first").unwrap().write(folder.path()).unwrap();
        let supervisor = format!("127.0.0.1:{}", ports::free());
        let app = app(&files, more, &supervisor);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = app.serve_command();
        command.stdout(Stdio::null()).stderr(log);
        let server = Process::start(command).unwrap();
        let ready = Client::anonymous(supervisor.parse().unwrap()).get("/readyz");
        process::until(PATIENCE, || {
            let answer = ready.try_send()?;
            ensure!(answer.status == 200, "{answer}");
            Ok(())
        })
        .unwrap();
        Self { app, server, authority, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.app.address().port())
    }

    fn curl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("curl");
        command.args(["-sS", "--cacert"]).arg(self.folder.path().join("authority.pem"));
        command.args(["-H", "X-Project-Id: p", "-H", "X-User-Id: u", "-H", "X-Roles: admin"]);
        command.args(["-H", "Content-Type: application/json"]).args(arguments).output().unwrap()
    }
}

fn app([certificate, key]: &[PathBuf; 2], more: &[(&str, &str)], supervisor: &str) -> TestApp {
    let text = |file: &Path| file.to_str().unwrap().to_owned();
    let builder = TestApp::builder(Database::Sqlite)
        .set("BAILEY_TLS__CERTIFICATE", &text(certificate))
        .set("BAILEY_TLS__KEY", &format!("file:{}", text(key)))
        .set("BAILEY_METRICS__LISTEN", supervisor);
    more.iter().fold(builder, |builder, (name, value)| builder.set(name, value)).prepare().unwrap()
}

fn curl_stores_and_reads() {
    let secured = Secured::start(&[]);
    let body = r#"{"payload": "over TLS", "payload_content_type": "text/plain"}"#;
    for versions in [["--http1.1", "--tlsv1.2"], ["--http2", "--tlsv1.3"]] {
        let stored = secured.curl(&[&versions[..], &["-d", body, &secured.url("/v1/secrets")]].concat());
        let stored: Value = serde_json::from_slice(&stored.stdout).unwrap();
        let href = stored["secret_ref"].as_str().unwrap();
        assert!(href.starts_with(&secured.url("/v1/secrets/")), "{href}");
        let payload = secured.curl(&[&versions[..], &[&format!("{href}/payload"), "-w", " %{http_version}"]].concat());
        let expected = if versions[0] == "--http2" { "over TLS 2" } else { "over TLS 1.1" };
        assert_eq!(String::from_utf8_lossy(&payload.stdout), expected);
    }
    let plain = secured.curl(&[&secured.url("/livez").replace("https", "http")]);
    assert!(!plain.status.success(), "without TLS there is nothing to be had");
    let unknown = Command::new("curl").args(["-sS", &secured.url("/livez")]).output().unwrap();
    assert!(!unknown.status.success(), "nobody else believes this authority");
}

/// What OpenSSL says of a handshake.
fn s_client(secured: &Secured, arguments: &[&str]) -> String {
    let address = secured.app.address().to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address, "-servername", "localhost", "-CAfile"]);
    command.arg(secured.folder.path().join("authority.pem")).args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn openssl_agrees_on_versions() {
    let secured = Secured::start(&[]);
    for (version, protocol) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = s_client(&secured, &[version, "-alpn", "h2,http/1.1"]);
        assert!(said.contains("Verify return code: 0 (ok)") && said.contains(protocol), "{said}");
        assert!(said.contains("ALPN protocol: h2"), "{said}");
    }
    // OpenSSL itself refuses to offer it unless told not to care.
    let said = s_client(&secured, &["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"]);
    assert!(said.contains("alert") && said.contains("Cipher is (NONE)"), "{said}");

    let clients = Authority::new("clients").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("clients.pem");
    std::fs::write(&authority, clients.pem()).unwrap();
    let [certificate, key] = clients.issue("client").unwrap().write(folder.path()).unwrap();
    let more = [
        ("BAILEY_TLS__CLIENT_CA", authority.to_str().unwrap()),
        ("BAILEY_TLS__CLIENT_AUTH", "required"),
        ("BAILEY_TLS__MIN_VERSION", "1.3"),
    ];
    let secured = Secured::start(&more);
    assert!(s_client(&secured, &["-tls1_2"]).contains("Cipher is (NONE)"));
    let url = secured.url("/livez");
    let shown = ["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap(), &url];
    assert_eq!(secured.curl(&shown).stdout, b"OK");
    assert!(!secured.curl(&[&url]).status.success());
}

/// Ends the load, also when a case fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn certificates_are_replaced_under_load() {
    let secured = Secured::start(&[]);
    let address = secured.app.address();
    let client = secured.authority.client(None, &[&TLS13, &TLS12], &["http/1.1"]).unwrap();
    let request = secured.app.client().get("/v1/secrets").bytes();
    let (is_over, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    let shown = || connect(&client, address).unwrap().conn.peer_certificates().unwrap()[0].to_vec();
    std::thread::scope(|scope| {
        let _over = Over(&is_over);
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let mut stream = connect(&client, address).unwrap();
                    stream.write_all(&request).unwrap();
                    assert_eq!(read_answer(&mut stream).unwrap().status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut before = shown();
        for number in 0..5 {
            let next = secured.authority.issue(&format!("number {number}")).unwrap();
            next.write(secured.folder.path()).unwrap();
            // The last one is found without being told.
            if number < 4 {
                secured.server.signal(Signal::SIGHUP).unwrap();
            }
            let replaced = process::until(PATIENCE, || {
                let now = shown();
                ensure!(now != before, "the certificate is not replaced: {}", secured.log());
                Ok(now)
            });
            before = replaced.unwrap();
        }
    });
    assert!(asked.into_inner() > 20);
    std::fs::write(secured.folder.path().join("key.pem"), "half").unwrap();
    secured.server.signal(Signal::SIGHUP).unwrap();
    process::until(PATIENCE, || {
        ensure!(secured.log().contains("the certificate in use stays"), "{}", secured.log());
        Ok(())
    })
    .unwrap();
    let _ = shown();
}

const CROWD: usize = 2_000;
const MEBIBYTE: u64 = 1024 * 1024;

fn a_crowd_that_does_nothing_is_dropped() {
    let secured = Secured::start(&[("BAILEY_HTTP__REQUEST_SECONDS", "5"), ("BAILEY_HTTP__KEEP_ALIVE_SECONDS", "5")]);
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let address = secured.app.address();
    let client = secured.authority.client(None, &[&TLS13, &TLS12], &["http/1.1"]).unwrap();
    let resident = || process::resident_bytes(secured.server.pid()).unwrap();
    let before = resident();
    let mut crowd: Vec<TcpStream> = Vec::new();
    for number in 0..CROWD {
        // Says nothing; says hello by half; sends half a head.
        crowd.push(match number % 3 {
            0 => TcpStream::connect(address).unwrap(),
            1 => {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
                stream
            }
            _ => {
                let mut stream = connect(&client, address).unwrap();
                stream.write_all(b"GET / HTTP/1.1\r\nX-").unwrap();
                stream.sock
            }
        });
    }
    let request = secured.app.client().get("/v1/secrets").bytes();
    let begin = Instant::now();
    let mut stream = connect(&client, address).unwrap();
    stream.write_all(&request).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    assert!(begin.elapsed() < Duration::from_secs(5), "served after {:?}", begin.elapsed());
    let grown = resident().saturating_sub(before);
    assert!(grown < 96 * MEBIBYTE, "{CROWD} idle connections cost {} MiB", grown / MEBIBYTE);
    for stream in &mut crowd {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let ended = stream.read_to_end(&mut Vec::new());
        assert!(!ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "it is still there");
    }
}

fn a_bad_certificate_stops_the_start_and_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("servers").unwrap();
    let [certificate, _] = authority.issue("first").unwrap().write(folder.path()).unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, authority.issue("other").unwrap().key).unwrap();
    let app = app(&[certificate, other], &[], "");
    for mut command in [app.serve_command(), app.command(&["config", "check"])] {
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(told.contains("other.pem") && told.contains("doesn't belong to the certificate"), "{told}");
    }
    // Commands that serve nothing need no certificate: it may be there for the service alone.
    app.admin(&["config", "print"]).unwrap();
}

fn a_key_that_others_can_read_is_warned_of() {
    let warning = "everybody on this machine can read the key";
    let secured = Secured::start(&[]);
    assert_eq!(secured.log().matches(warning).count(), 1, "written with the usual mode: {}", secured.log());
    let key = secured.folder.path().join("key.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    secured.server.signal(Signal::SIGHUP).unwrap();
    process::until(PATIENCE, || {
        ensure!(secured.log().contains("certificate read again"), "{}", secured.log());
        Ok(())
    })
    .unwrap();
    assert_eq!(secured.log().matches(warning).count(), 1, "{}", secured.log());
}
