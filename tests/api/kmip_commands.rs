//! What `bailey store check` says of a KMIP server that was set up wrong.

use bailey_testkit::certificates::Authority;
use bailey_testkit::openssl::OpensslServer;
use bailey_testkit::pykmip::{Client, PyKmip};
use bailey_tests::app::kmip_block;
use bailey_tests::suite::OwnCase;
use bailey_tests::{Database, TestApp, cases};

pub const CASES: &[OwnCase] = cases![the_usual_mistakes_are_told];

/// Whether the store works, and what is said of it.
fn check(app: &TestApp, file: &str) -> (bool, String) {
    app.write_file(file);
    let output = app.command(&["store", "check"]).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

fn the_usual_mistakes_are_told(database: Database) {
    let (server, stranger) = (PyKmip::start().unwrap(), Authority::new("a stranger").unwrap());
    let good = kmip_block(&server, "kmip", "default = true\n", "").unwrap();
    let app = TestApp::builder(database).file(&good).start().unwrap();
    let (works, told) = check(&app, &good);
    assert!(works, "{told}");

    let shown = |client: Client| client.certificate.parent().unwrap().display().to_string();
    let bailey = shown(server.client("bailey").unwrap());
    let unfit = server.authority().issue_to_server("bailey").unwrap();
    let unfit = good.replace(&bailey, &shown(server.client_with("unfit", &unfit).unwrap()));
    let ca = app.data_dir().join("stranger.pem");
    std::fs::write(&ca, stranger.pem()).unwrap();
    let right = server.client("bailey").unwrap().ca.display().to_string();
    let wrong_ca = good.replace(&right, &ca.display().to_string());
    let old_server = OpensslServer::with_old_suites().unwrap();
    let old = good.replace(&server.address(), &old_server.address());
    for (file, expected) in [
        (wrong_ca, "the server's certificate isn't of the authority in `ca`"),
        (unfit, "it needs the extended key usage clientAuth"),
        (old, "the server finds no cipher suite that both have"),
    ] {
        assert_ne!(file, good);
        let (works, told) = check(&app, &file);
        assert!(!works && told.contains(expected), "`{told}` doesn't say `{expected}`");
    }
    assert!(check(&app, &good).0);
}
