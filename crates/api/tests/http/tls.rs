//! A real server before clients that speak TLS.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use bailey_api::{Certificates, ClientAuth, Config, MinVersion, State, TlsConfig};
use bailey_queue::Queue;
use bailey_testkit::certificates::{Authority, Identity, connect};
use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A server with a certificate of its own authority, until the test ends.
pub struct Secured {
    pub authority: Authority,
    pub address: SocketAddr,
    pub state: State,
    pub handle: ServerHandle,
    folder: TempDir,
    certificates: Arc<Certificates>,
}

impl Secured {
    pub fn start(config: Config, change: impl FnOnce(&mut TlsConfig, &Path)) -> Self {
        let (authority, folder) = (Authority::new("servers").unwrap(), tempfile::tempdir().unwrap());
        let [certificate, key] = authority.issue("first").unwrap().write(folder.path()).unwrap();
        let mut tls = TlsConfig { certificate, key, ..TlsConfig::default() };
        change(&mut tls, folder.path());
        let certificates = Certificates::open(&tls).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let queue = Queue::new(&bailey_queue::Config::default(), tokio::runtime::Handle::current());
        let state = State::new(config, queue);
        let server = bailey_api::server(listener, state.clone(), Some(&certificates)).unwrap();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { authority, address, state, handle, folder, certificates }
    }

    fn client(&self) -> Arc<ClientConfig> {
        self.authority.client(None, &BOTH, &["http/1.1"]).unwrap()
    }

    fn replace(&self, identity: &Identity) {
        let _ = identity.write(self.folder.path()).unwrap();
    }

    /// The certificate that is shown to who connects now.
    async fn shown(&self) -> Vec<u8> {
        let (client, address) = (self.client(), self.address);
        let shown = tokio::task::spawn_blocking(move || {
            let stream = connect(&client, address)?;
            Ok::<_, io::Error>(stream.conn.peer_certificates().unwrap()[0].to_vec())
        });
        shown.await.unwrap().unwrap()
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.http.workers = 1;
    config.http.request_seconds = 1.0;
    config
}

/// Asks once, and returns the answer's first line.
fn ask(stream: &mut Stream) -> io::Result<String> {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nOK") {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => answer.extend(&buffer[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap().to_owned())
}

async fn ask_as(client: Arc<ClientConfig>, address: SocketAddr) -> io::Result<String> {
    tokio::task::spawn_blocking(move || ask(&mut connect(&client, address)?)).await.unwrap()
}

#[actix_web::test]
async fn both_versions_are_spoken_and_the_older_can_be_left_out() {
    let both = Secured::start(config(), |_, _| {});
    let new = Secured::start(config(), |tls, _| tls.min_version = MinVersion::Tls13);
    for (server, version, is_spoken) in
        [(&both, &TLS12, true), (&both, &TLS13, true), (&new, &TLS12, false), (&new, &TLS13, true)]
    {
        let client = server.authority.client(None, &[version], &[]).unwrap();
        assert_eq!(ask_as(client, server.address).await.is_ok(), is_spoken, "{version:?}");
    }
    for (offered, chosen) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1")] {
        let client = both.authority.client(None, &BOTH, offered).unwrap();
        let address = both.address;
        let stream = tokio::task::spawn_blocking(move || connect(&client, address)).await.unwrap().unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(chosen.as_bytes()));
    }
}

#[actix_web::test]
async fn a_handshake_that_is_not_finished_is_cut_and_keeps_nobody_waiting() {
    const PATIENCE: Duration = Duration::from_secs(3);
    let mut config = config();
    config.http.request_seconds = 2.0 * PATIENCE.as_secs_f64();
    let server = Secured::start(config, |_, _| {});
    let address = server.address;
    // More than actix lets shake hands at once unless told otherwise.
    let idle = tokio::task::spawn_blocking(move || {
        let mut idle: Vec<_> = (0..400).map(|_| TcpStream::connect(address).unwrap()).collect();
        for stream in idle.iter_mut().step_by(2) {
            stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
        }
        idle
    });
    let mut idle = idle.await.unwrap();
    let begin = Instant::now();
    ask_as(server.client(), address).await.unwrap();
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    let are_cut = tokio::task::spawn_blocking(move || {
        idle.iter_mut().all(|stream| {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            !matches!(stream.read_to_end(&mut Vec::new()), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
        })
    });
    assert!(are_cut.await.unwrap());
}

#[actix_web::test]
async fn slow_clients_are_cut_as_without_tls() {
    let mut config = config();
    config.http.keep_alive_seconds = 1.0;
    config.http.unread_seconds = 1.0;
    let server = Secured::start(config, |_, _| {});
    for said in ["", "GET / HTTP/1.1\r\nX-", "POST /v1/secrets HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n{"] {
        let (client, address) = (server.client(), server.address);
        let answer = tokio::task::spawn_blocking(move || {
            let mut stream = connect(&client, address).unwrap();
            stream.write_all(said.as_bytes()).unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).into_owned()
        });
        let answer = answer.await.unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{said}: {answer}");
    }
    let (client, address) = (server.client(), server.address);
    let is_cut = tokio::task::spawn_blocking(move || {
        let mut stream = connect(&client, address).unwrap();
        let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: h\r\n\r\n";
        stream.write_all(request.repeat(16).as_bytes()).unwrap();
        std::thread::sleep(Duration::from_secs(4));
        (0..10).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            stream.sock.write_all(b"\r").is_err()
        })
    });
    assert!(is_cut.await.unwrap(), "an answer that nobody reads is still kept");
}

#[actix_web::test]
async fn a_replaced_certificate_is_shown_to_the_next_and_a_broken_one_to_nobody() {
    let server = Secured::start(config(), |_, _| {});
    let first = server.shown().await;
    let (client, address) = (server.client(), server.address);
    let mut open = tokio::task::spawn_blocking(move || connect(&client, address)).await.unwrap().unwrap();

    let next = server.authority.issue("second").unwrap();
    let path = |name| server.folder.path().join(name);
    // One file after the other: for a moment they don't fit together.
    fs::write(path("certificate.pem"), &next.certificate).unwrap();
    server.certificates.look();
    assert_eq!(server.shown().await, first);
    fs::write(path("key.pem"), &next.key[..next.key.len() / 2]).unwrap();
    server.certificates.look();
    assert_eq!(server.shown().await, first);
    fs::write(path("key.pem"), &next.key).unwrap();
    server.certificates.look();
    let second = server.shown().await;
    assert_ne!(second, first);

    for name in ["certificate.pem", "key.pem"] {
        let good = fs::read(path(name)).unwrap();
        for broken in ["", "junk", "-----BEGIN CERTIFICATE-----\nAA"] {
            fs::write(path(name), broken).unwrap();
            server.certificates.look();
            server.certificates.reload();
            assert_eq!(server.shown().await, second, "{name} {broken}");
        }
        fs::remove_file(path(name)).unwrap();
        server.certificates.look();
        assert_eq!(server.shown().await, second);
        fs::write(path(name), good).unwrap();
    }
    server.replace(&server.authority.issue("third").unwrap());
    server.certificates.look();
    assert!(![first, second].contains(&server.shown().await));
    let line = tokio::task::spawn_blocking(move || ask(&mut open)).await.unwrap().unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK", "connections that are open go on");
}

#[actix_web::test]
async fn clients_are_let_in_by_their_certificates() {
    let (clients, strangers) = (Authority::new("clients").unwrap(), Authority::new("strangers").unwrap());
    let good = clients.issue("good").unwrap();
    let identities =
        [None, Some(&good), Some(&clients.issue_until("late", 2020).unwrap()), Some(&strangers.issue("no").unwrap())];
    for (auth, let_in) in [
        (ClientAuth::Off, [true, true, true, true]),
        (ClientAuth::Optional, [true, true, false, false]),
        (ClientAuth::Required, [false, true, false, false]),
    ] {
        let server = Secured::start(config(), |tls, folder| {
            tls.client_auth = auth;
            tls.client_ca = folder.join("clients.pem");
            fs::write(&tls.client_ca, clients.pem()).unwrap();
        });
        for (identity, expected) in identities.iter().zip(let_in) {
            for version in BOTH {
                let client = server.authority.client(*identity, &[version], &[]).unwrap();
                assert_eq!(ask_as(client, server.address).await.is_ok(), expected, "{auth:?} {identity:?} {version:?}");
            }
        }
        if auth == ClientAuth::Off {
            continue;
        }
        // Another authority: who was let in by the first is not, even by the session of before.
        for version in BOTH {
            fs::write(server.folder.path().join("clients.pem"), clients.pem()).unwrap();
            server.certificates.reload();
            let mut client = server.authority.client(Some(&good), &[version], &[]).unwrap();
            Arc::get_mut(&mut client).unwrap().resumption = Resumption::default();
            ask_as(Arc::clone(&client), server.address).await.unwrap();
            fs::write(server.folder.path().join("clients.pem"), strangers.pem()).unwrap();
            server.certificates.look();
            assert!(ask_as(client, server.address).await.is_err(), "{version:?}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("servers").unwrap();
    let [certificate, key] = authority.issue("first").unwrap().write(folder.path()).unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        file
    };
    let (nothing, junk) = (folder.path().join("nothing.pem"), file("junk.pem", "canary-junk"));
    let other = file("other.pem", &authority.issue("other").unwrap().key);
    let half =
        file("half.pem", &format!("{}-----BEGIN CERTIFICATE-----\ncanary", fs::read_to_string(&certificate).unwrap()));
    let locked =
        file("locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let good = TlsConfig { certificate: certificate.clone(), key: key.clone(), ..TlsConfig::default() };
    assert!(Certificates::open(&good).is_ok());
    let by_reference = TlsConfig { key: format!("file:{}", key.display()).into(), ..good.clone() };
    assert!(Certificates::open(&by_reference).is_ok());
    let clients =
        |client_ca: &Path| TlsConfig { client_ca: client_ca.into(), client_auth: ClientAuth::Required, ..good.clone() };
    for (tls, parts) in [
        (TlsConfig { certificate: nothing.clone(), ..good.clone() }, ["certificate", "nothing.pem", "No such file"]),
        (TlsConfig { certificate: junk.clone(), ..good.clone() }, ["certificate", "junk.pem", "no certificate in PEM"]),
        (TlsConfig { certificate: half, ..good.clone() }, ["certificate", "half.pem", ""]),
        (TlsConfig { key: nothing.clone(), ..good.clone() }, ["key", "nothing.pem", "No such file"]),
        (TlsConfig { key: junk.clone(), ..good.clone() }, ["key", "junk.pem", "no key in PEM"]),
        (TlsConfig { key: locked, ..good.clone() }, ["key", "locked.pem", "without a passphrase"]),
        (TlsConfig { key: other, ..good.clone() }, ["key", "other.pem", "doesn't belong to the certificate"]),
        (clients(&nothing), ["authority", "nothing.pem", "No such file"]),
        (clients(&junk), ["authority", "junk.pem", "no certificate"]),
    ] {
        let error = Certificates::open(&tls).err().unwrap().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}
