//! One story, told of each kind of CA: from finding it to a certificate that is revoked. OpenSSL makes and checks
//! whatever comes from outside.

use std::path::{Path, PathBuf};

use bailey_testkit::ejbca::EjbcaStandIn;
use bailey_testkit::openssl::OpensslServer;
use bailey_testkit::pebble::{Pebble, Settings};
use bailey_testkit::process;
use bailey_tests::app::Builder;
use bailey_tests::cas::{acme_block, ejbca_block};
use bailey_tests::secrets::base64;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Client, Database, TestApp, cases};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};

pub const CASES: &[OwnCase] = cases![told_of_the_local_ca, told_of_acme, told_of_ejbca];

/// The CA's name.
const NAME: &str = "story";
const LOCAL: &str = r#"
    [[cas]]
    name = "root"
    kind = "local"
    subject = "CN=Root,O=Test"

    [[cas]]
    name = "story"
    kind = "local"
    parent = "root"
    path_length = 0
    subject = "CN=Story,O=Test"
    [[cas.profiles]]
    name = "server"
    dns = ["*.example.test"]
"#;

/// A Bailey with a CA, and what is known of that one without Bailey.
struct Site {
    app: TestApp,
    kind: &'static str,
    /// Whether it tells its own certificate.
    tells_chain: bool,
    /// The root that its certificates lead to, as a file in DER or PEM.
    root: Vec<u8>,
    revocations: Revocations,
}

/// Who tells, beside Bailey, what was revoked.
enum Revocations {
    Ocsp,
    Pebble(Pebble),
    Ejbca(EjbcaStandIn, #[expect(dead_code, reason = "the stand-in runs on it")] Runtime),
}

fn builder(database: Database) -> Builder {
    TestApp::builder(database).set("BAILEY_ORDERS__LONGEST_WAIT_SECONDS", "1")
}

fn told_of_the_local_ca(database: Database) {
    let app = builder(database).file(LOCAL).start().unwrap();
    for name in ["root", NAME] {
        app.admin(&["ca", "init", name]).unwrap();
    }
    let root = app.admin(&["ca", "export", NAME, "--root"]).unwrap().into_bytes();
    tell(&Site { app, kind: "local", tells_chain: true, root, revocations: Revocations::Ocsp });
}

fn told_of_acme(database: Database) {
    let app = builder(database).file("# written below\n").prepare().unwrap();
    let settings = Settings { http_port: Some(app.address().port()), ..Settings::default() };
    let pebble = Pebble::start(settings).unwrap();
    app.write_file(&acme_block(NAME, &pebble.directory(), &pebble.ca_file(), ""));
    app.restart().unwrap();
    let root = pebble.root(0).unwrap();
    tell(&Site { app, kind: "acme", tells_chain: false, root, revocations: Revocations::Pebble(pebble) });
}

fn told_of_ejbca(database: Database) {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ejbca = runtime.block_on(EjbcaStandIn::start()).unwrap();
    let app = builder(database).file(&ejbca_block(NAME, &ejbca, "")).start().unwrap();
    let root = ejbca.root();
    tell(&Site { app, kind: "ejbca", tells_chain: true, root, revocations: Revocations::Ejbca(ejbca, runtime) });
}

fn tell(site: &Site) {
    let (client, desk) = (site.app.client(), Desk::new(&site.root));
    let ca = find(site, &client, &desk);

    let key = json!({ "algorithm": "ec", "bit_length": 256 });
    let pair = client.ended(&client.order("asymmetric", &key)).unwrap();
    let pair = client.describe(text(&pair["container_ref"]));
    let request = desk.request("request.example.test");
    refuse_a_request_that_another_key_has_signed(&client, &desk, &ca);
    let ordered = |request_type: &str, mut meta: Value| {
        meta["ca_id"] = ca.as_str().into();
        meta["request_type"] = request_type.into();
        client.order("certificate", &meta)
    };
    let names = ["stored.example.test", "alias.example.test"];
    let stored = json!({ "container_ref": pair["container_ref"], "subject_dn": "CN=stored.example.test",
        "subject_alt_names": names });
    let made = json!({ "subject_dn": "CN=made.example.test", "subject_alt_names": ["DNS:made.example.test"] });
    let orders = [
        (ordered("stored-key", stored), &names[..]),
        (ordered("custom", made), &["made.example.test"]),
        (ordered("simple-cmc", json!({ "request_data": base64(request.as_bytes()) })), &["request.example.test"]),
    ];
    let certificates = orders.map(|(order, names)| Certificate::take(&client, &desk, &order, names));
    let [stored, made, requested] = &certificates;
    assert_eq!((stored.has_key, made.has_key, requested.has_key), (true, true, false), "private keys in containers");
    for certificate in &certificates {
        desk.verify(certificate);
        desk.serve(certificate);
    }
    let public = String::from_utf8(client.part(&pair, "public_key").unwrap()).unwrap();
    assert_eq!(desk.public_key(stored).trim(), public.trim(), "the certificate is for another key");

    for _ in 0..2 {
        let revoke = client.post(&format!("{}/revoke", made.order)).json(&json!({ "reason": "superseded" }));
        let _ = revoke.send().expect(204);
    }
    let revoked = certificates.each_ref().map(|certificate| has_revoked(site, &ca, certificate));
    assert_eq!(revoked, [false, true, false]);
}

/// The id of the one CA of this kind and name, which tells what it is.
fn find(site: &Site, client: &Client, desk: &Desk) -> String {
    let found = client.describe(&format!("/v1/cas?plugin_name={}&plugin_ca_id={NAME}", site.kind));
    assert_eq!(found["total"], 1, "{found}");
    let href = text(&found["cas"][0]);
    let told = client.describe(href);
    assert_eq!((&told["plugin_name"], &told["status"]), (&json!(site.kind), &json!("ACTIVE")), "{told}");
    let [own, chain] = ["cacert", "intermediates"].map(|part| client.get(&format!("{href}/{part}")).send());
    if site.tells_chain {
        let (own, chain) = (own.expect(200).text(), chain.expect(200).text());
        assert!(chain.starts_with(&own) && chain.ends_with(&desk.root()), "{chain} leads elsewhere");
    } else {
        let _ = (own.expect(404), chain.expect(404));
    }
    text(&told["ca_id"]).to_owned()
}

fn refuse_a_request_that_another_key_has_signed(client: &Client, desk: &Desk, ca: &str) {
    let request = desk.forged_request("forged.example.test");
    let meta = json!({ "ca_id": ca, "request_type": "simple-cmc", "request_data": base64(request.as_bytes()) });
    let refused = client.post("/v1/orders").json(&json!({ "type": "certificate", "meta": meta })).send().expect(400);
    let reason = refused.string("description");
    assert!(reason.contains("request_data") && reason.contains("must be signed by its own key"), "{reason}");
}

/// Whether whoever tells of revocations tells of this one.
fn has_revoked(site: &Site, ca: &str, certificate: &Certificate) -> bool {
    let openssl = |arguments: &[&str]| openssl(&certificate.folder, arguments);
    match &site.revocations {
        Revocations::Ocsp => {
            let url = format!("{}/ocsp/{ca}", site.app.anonymous().base());
            let asked = ["ocsp", "-CAfile", "../root.pem", "-issuer", "intermediates", "-cert", "certificate", "-url"];
            let answer = openssl(&[&asked[..], &[&url]].concat());
            let status = answer.lines().find_map(|line| line.strip_prefix("certificate: "));
            assert!(matches!(status, Some("good" | "revoked")), "{answer}");
            status == Some("revoked")
        }
        Revocations::Pebble(pebble) => {
            let serial = openssl(&["x509", "-in", "certificate", "-noout", "-serial"]);
            pebble.has_revoked(serial.trim().strip_prefix("serial=").unwrap()).unwrap()
        }
        Revocations::Ejbca(ejbca, _) => {
            let _ = openssl(&["x509", "-in", "certificate", "-outform", "DER", "-out", "der"]);
            ejbca.revoked(&std::fs::read(certificate.folder.join("der")).unwrap()).is_some()
        }
    }
}

/// What came of an order.
struct Certificate {
    order: String,
    names: Vec<String>,
    has_key: bool,
    /// It is in here as `certificate`, with `intermediates` and `private_key`.
    folder: PathBuf,
}

impl Certificate {
    fn take(client: &Client, desk: &Desk, order: &str, names: &[&str]) -> Self {
        let ended = client.ended(order).unwrap();
        assert_eq!(ended["status"], "ACTIVE", "{ended}");
        let container = client.describe(text(&ended["container_ref"]));
        assert_eq!(container["type"], "certificate", "{container}");
        let folder = desk.0.path().join(names[0]);
        // Where OpenSSL has made the key, it is there already.
        std::fs::create_dir_all(&folder).unwrap();
        let key = client.part(&container, "private_key").ok();
        for (name, bytes) in ["certificate", "intermediates"]
            .map(|name| (name, client.part(&container, name).unwrap()))
            .into_iter()
            .chain(key.iter().map(|key| ("private_key", key.clone())))
        {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        let names = names.iter().map(ToString::to_string).collect();
        Self { order: order.to_owned(), names, has_key: key.is_some(), folder }
    }
}

/// Where OpenSSL works: the root that it trusts, and a folder for each certificate.
struct Desk(TempDir);

impl Desk {
    fn new(root: &[u8]) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        std::fs::write(desk.0.path().join("root"), root).unwrap();
        let _ = openssl(desk.0.path(), &["x509", "-in", "root", "-out", "root.pem"]);
        desk
    }

    fn root(&self) -> String {
        std::fs::read_to_string(self.0.path().join("root.pem")).unwrap()
    }

    /// A request in PEM, signed by a key that is kept here.
    fn request(&self, name: &str) -> String {
        let folder = self.0.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let (subject, names) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
        let asked = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "private_key", "-subj"];
        openssl(&folder, &[&asked[..], &[&subject, "-addext", &names]].concat())
    }

    /// The same with another signature.
    fn forged_request(&self, name: &str) -> String {
        let folder = self.0.path().join(name);
        let request = self.request(name);
        std::fs::write(folder.join("request"), request).unwrap();
        let _ = openssl(&folder, &["req", "-in", "request", "-outform", "DER", "-out", "der"]);
        let mut der = std::fs::read(folder.join("der")).unwrap();
        *der.last_mut().unwrap() ^= 1;
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", base64(&der))
    }

    fn public_key(&self, certificate: &Certificate) -> String {
        openssl(&certificate.folder, &["x509", "-in", "certificate", "-noout", "-pubkey"])
    }

    /// It leads to the root, is for these names and no others, and has the key.
    fn verify(&self, certificate: &Certificate) {
        let openssl = |arguments: &[&str]| openssl(&certificate.folder, arguments);
        let verify = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "../root.pem", "-untrusted"];
        let told = openssl(&["x509", "-in", "certificate", "-noout", "-ext", "subjectAltName"]);
        assert_eq!(told.matches("DNS:").count(), certificate.names.len(), "{told}");
        for name in &certificate.names {
            let _ = openssl(&[&verify[..], &["intermediates", "-verify_hostname", name, "certificate"]].concat());
            assert!(told.contains(&format!("DNS:{name}")), "{told}");
        }
        assert_eq!(self.public_key(certificate), openssl(&["pkey", "-in", "private_key", "-pubout"]));
    }

    /// A TLS server shows it, and clients that trust the root alone are content.
    fn serve(&self, certificate: &Certificate) {
        let [own, intermediates, key] =
            ["certificate", "intermediates", "private_key"].map(|name| certificate.folder.join(name));
        let server = OpensslServer::with(&own, &intermediates, &key).unwrap();
        let (address, name) = (server.address(), certificate.names[0].as_str());
        let connect = ["s_client", "-connect", &address, "-servername", name, "-verify_hostname", name];
        let trust = ["-CAfile", "../root.pem", "-verify_return_error"];
        let told = openssl(&certificate.folder, &[&connect[..], &trust].concat());
        assert!(told.contains("Verify return code: 0 (ok)"), "{told}");

        let (host, port) = address.split_once(':').unwrap();
        let mut curl = process::command("curl");
        curl.args(["-sSf", "--cacert"]).arg(self.0.path().join("root.pem"));
        curl.arg("--resolve").arg(format!("{name}:{port}:{host}")).arg(format!("https://{name}:{port}/"));
        let page = process::run(&mut curl).unwrap();
        assert!(String::from_utf8_lossy(&page).contains("s_server"), "what the server says of itself");
    }
}

fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let mut command = process::command("openssl");
    let output = process::run(command.args(arguments).current_dir(folder));
    String::from_utf8(output.unwrap_or_else(|error| panic!("{error:#}"))).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
