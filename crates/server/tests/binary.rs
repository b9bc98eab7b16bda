//! The built binary, as an operator meets it. This test also makes cargo build `bailey`, which the
//! workspace's end-to-end tests use.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test program")]

mod admin;
mod audit;
mod process;

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use process::{Bailey, bailey, bailey_with, free_address, get, serve_somehow};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

#[test]
fn it_tells_its_version() {
    let output = bailey(["--version"]);
    assert_eq!(output.stdout, format!("bailey {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_good_configuration_is_good_and_a_bad_one_is_told_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let check = || bailey(["config", "check", "--data-dir", folder.path().to_str().unwrap()]);
    assert!(check().success);

    let file = folder.path().join("bailey.toml");
    fs::write(&file, "[limits]\npage_max = 50\n").unwrap();
    assert_eq!(check().stdout, format!("{}: nothing wrong\n", file.display()));

    fs::write(&file, "lisen = \"127.0.0.1:1\"\n[limits]\npage_max = -1\n[database]\nurl = \"env:NO_SUCH\"\n").unwrap();
    let bad = check();
    assert_eq!((bad.code, bad.stdout.as_str()), (Some(1), ""));
    let lines: Vec<&str> = bad.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for (expected, suggestion) in [("lisen", "`listen`"), ("limits.page_max", ""), ("database.url", "NO_SUCH")] {
        assert!(
            lines.iter().any(|line| line.contains(expected) && line.contains(suggestion)),
            "{expected}: {lines:#?}"
        );
    }
}

#[test]
fn an_api_process_is_refused_what_is_the_workers() {
    let folder = tempfile::tempdir().unwrap();
    let (data, dsn) = (folder.path().to_str().unwrap(), "postgres://bailey:canary@db/meta");
    fs::write(folder.path().join("bailey.toml"), format!("[database]\nurl = \"{dsn}\"\n")).unwrap();
    let check = ["config", "check", "--role", "api", "--data-dir", data];
    let refused = bailey_with(&[("BAILEY_KEYS_DIR", data)], &check);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for key in ["database.url", "BAILEY_KEYS_DIR"] {
        assert!(refused.stderr.contains(&format!("{key}: an API process must not hold it")), "{refused:?}");
    }
    assert!(!refused.stderr.contains("canary"), "{refused:?}");
}

#[test]
fn the_printed_configuration_has_no_password() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bailey.toml"), "[database]\nurl = \"postgres://bailey:canary@db/meta\"\n").unwrap();
    let printed = bailey(["config", "print", "--data-dir", folder.path().to_str().unwrap()]);
    assert!(printed.success && printed.stdout.contains("postgres://bailey:***@db/meta"), "{printed:?}");
    assert!(!printed.stdout.contains("canary"));
}

#[test]
fn the_first_start_makes_everything_and_later_ones_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Bailey::serve(&data, &[]);
    for file in ["keys/worker.key", "keys/mkek-simple.key", "metadata.db", "vault.db", "admin.token", "audit.log"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    for folder in [data.clone(), data.join("keys")] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    let token = fs::read_to_string(data.join("admin.token")).unwrap();
    assert!(first.banner().contains("admin.token") && !first.banner().contains(token.trim()), "{}", first.banner());
    assert!(first.get("/v1/secrets", Some(token.trim())).starts_with("HTTP/1.1 200"));
    assert!(first.get("/v1/secrets", None).starts_with("HTTP/1.1 401"));
    assert!(first.stop().success(), "SIGTERM ends it well");

    fs::remove_file(data.join("admin.token")).unwrap();
    let second = Bailey::serve(&data, &[]);
    assert!(!data.join("admin.token").exists());
    assert!(!second.banner().contains("token"), "{}", second.banner());
    assert!(second.get("/v1/secrets", Some(token.trim())).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_second_process_is_refused_and_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let first = Bailey::serve(folder.path(), &[]);
    let second = bailey(["serve", "--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()]);
    assert_eq!(second.code, Some(1));
    for told in [folder.path().to_str().unwrap(), &first.id().to_string()] {
        assert!(second.stderr.contains(told), "{told}: {}", second.stderr);
    }
}

#[test]
fn a_killed_process_leaves_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let first = Bailey::serve(folder.path(), &[]);
    first.kill();
    Bailey::serve(folder.path(), &[]);
}

#[test]
fn a_missing_or_wrong_key_file_stops_the_start() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&folder, &other] {
        assert!(Bailey::serve(folder.path(), &[]).stop().success());
    }
    for name in ["worker.key", "mkek-simple.key"] {
        let file = folder.path().join("keys").join(name);
        let aside = folder.path().join("aside");
        fs::rename(&file, &aside).unwrap();
        let missing = refused_start(folder.path());
        assert!(missing.contains(file.to_str().unwrap()) && missing.contains("missing"), "{missing}");
        assert!(!file.exists(), "no other key is made in its place");

        fs::copy(other.path().join("keys").join(name), &file).unwrap();
        let wrong = refused_start(folder.path());
        assert!(wrong.contains(file.to_str().unwrap()), "{wrong}");

        let swapped = fs::read_to_string(&aside).unwrap();
        let (id, key) = (last_line(&swapped).0, last_line(&fs::read_to_string(&file).unwrap()).1.to_owned());
        fs::write(&file, format!("{id} {key}\n")).unwrap();
        let other_key = refused_start(folder.path());
        assert!(other_key.contains(file.to_str().unwrap()) && other_key.contains(id), "{other_key}");
        assert!(!other_key.contains(&key), "{other_key}");

        fs::rename(&aside, &file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(refused_start(folder.path()).contains("open to others"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    Bailey::serve(folder.path(), &[]);
}

fn refused_start(folder: &Path) -> String {
    let output = bailey(["serve", "--listen", "127.0.0.1:0", "--data-dir", folder.to_str().unwrap()]);
    assert_eq!(output.code, Some(1), "{output:?}");
    output.stderr
}

fn last_line(text: &str) -> (&str, &str) {
    text.lines().last().unwrap().split_once(' ').unwrap()
}

#[test]
fn tokens_are_made_listed_and_revoked_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Bailey::serve(folder.path(), &[]);
    let data = folder.path().to_str().unwrap();
    let create = ["token", "create", "--project", "p", "--user", "u", "--role", "creator", "--data-dir", data];
    let created = bailey(create);
    let token = created.stdout.trim();
    assert_eq!(created.stdout, format!("{token}\n"), "the token alone");
    let (id, secret) = token.split_once('.').unwrap();
    assert!(server.get("/v1/secrets", Some(token)).starts_with("HTTP/1.1 200"), "known at once");

    let list = bailey(["token", "list", "--json", "--data-dir", data]);
    assert!(list.stdout.contains(id) && !list.stdout.contains(secret), "{}", list.stdout);
    assert!(bailey(["token", "revoke", id, "--data-dir", data]).success);
    std::thread::sleep(Duration::from_millis(1_200));
    assert!(server.get("/v1/secrets", Some(token)).starts_with("HTTP/1.1 401"), "revoked within a second");

    let audit = fs::read_to_string(folder.path().join("audit.log")).unwrap();
    assert!(audit.contains("token create") && audit.contains("token revoke") && !audit.contains(secret), "{audit}");
}

#[test]
fn master_keys_are_added_activated_and_retired_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Bailey::serve(folder.path(), &[]);
    let data = folder.path().to_str().unwrap();
    let states = |keys: &str| {
        let list = bailey([keys, "list", "--json", "--data-dir", data]).stdout;
        let list: Vec<serde_json::Value> = serde_json::from_str(&list).unwrap();
        list.iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let added = bailey(["mkek", "add", "--data-dir", data]).stdout;
    let new = added.trim();
    let file = fs::read_to_string(folder.path().join("keys/mkek-simple.key")).unwrap();
    let old = file.lines().find(|line| !line.starts_with('#')).unwrap().split_once(' ').unwrap().0;
    assert_eq!(last_line(&file).0, new);
    assert_eq!(states("mkek"), ["active", "added"]);

    let early = bailey(["mkek", "activate", new, "--data-dir", data]);
    assert!(!early.success && early.stderr.contains("1 running worker"), "{early:?}");
    server.signal(Signal::SIGHUP);
    until(|| bailey(["mkek", "activate", new, "--data-dir", data]).success);
    assert_eq!(states("mkek"), ["decrypt-only", "active"]);
    assert!(!bailey(["mkek", "retire", new, "--data-dir", data]).success, "the active one is needed");
    assert!(bailey(["mkek", "retire", old, "--data-dir", data]).success, "nothing is wrapped under it");
    assert_eq!(states("mkek"), ["retired", "active"]);
    assert_eq!(states("worker-key"), ["active"]);
}

fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "it does not come about");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_database_that_is_down_does_not_keep_it_from_listening() {
    let (folder, address, nobody) = (tempfile::tempdir().unwrap(), free_address(), free_address());
    let url = format!("postgres://bailey:canary@{nobody}/meta");
    let _server = serve_somehow(folder.path(), address, &[("BAILEY_DATABASE__URL", &url)], Stdio::null());
    let answer = get(address, "/v1/secrets", Some("x"));
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
    assert!(!folder.path().join("keys/worker.key").exists(), "no key before the databases are known");
}

#[test]
fn metrics_have_a_listener_of_their_own() {
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    fs::write(folder.path().join("bailey.toml"), format!("[metrics]\nlisten = \"{address}\"\n")).unwrap();
    let server = Bailey::serve(folder.path(), &[]);
    server.get("/healthcheck", None);
    let metrics = get(address, "/metrics", None);
    for name in ["bailey_build_info", "process_resident_memory_bytes", "process_open_fds", "bailey_http_requests_total"]
    {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    assert!(server.get("/metrics", None).starts_with("HTTP/1.1 404"));
    assert!(get(address, "/livez", None).starts_with("HTTP/1.1 200"));
    let ready = get(address, "/readyz", None);
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("\"worker key\""), "{ready}");
}

#[test]
fn a_server_that_is_to_stop_says_so_before_it_does() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bailey.toml"), "[http]\ndrain_seconds = 2\n").unwrap();
    let server = Bailey::serve(folder.path(), &[]);
    assert!(server.get("/readyz", None).starts_with("HTTP/1.1 200"));
    let told = Instant::now();
    server.signal(Signal::SIGTERM);
    until(|| server.get("/readyz", None).contains("stopping"));
    assert!(server.get("/livez", None).starts_with("HTTP/1.1 200"), "it serves on");
    until(|| TcpStream::connect(server.address()).is_err());
    assert!(told.elapsed() >= Duration::from_secs(2));
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Bailey::serve_after("ulimit -S -n 300; ulimit -H -n 1000", folder.path());
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let open_files: Vec<&str> =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap().split_whitespace().collect();
    assert_eq!(open_files[..2], ["1000", "1000"]);
}

#[test]
fn connections_leave_the_databases_their_descriptors() {
    const LIMIT: usize = 150;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bailey.toml"), "[http]\nworkers = 1\n").unwrap();
    let server = Bailey::serve_after(&format!("ulimit -n {LIMIT}"), folder.path());
    let open_files = || fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    let before = open_files();
    let crowd: Vec<_> = (0..2 * LIMIT).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    until(|| open_files() > before + 20);
    std::thread::sleep(Duration::from_millis(500));
    assert!(open_files() < LIMIT - 50, "{} of {LIMIT}", open_files());

    let data = folder.path().to_str().unwrap();
    assert!(bailey(["mkek", "add", "--data-dir", data]).success);
    server.signal(Signal::SIGHUP);
    drop(crowd);
    let token = fs::read_to_string(folder.path().join("admin.token")).unwrap();
    assert!(server.get("/v1/secrets", Some(token.trim())).starts_with("HTTP/1.1 200"), "it goes on");
}

#[test]
fn without_authentication_it_warns_and_stays_on_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let server = Bailey::serve(folder.path(), &["--auth", "none-for-development"]);
    assert!(server.banner().contains("NO AUTHENTICATION"), "{}", server.banner());
    assert!(!folder.path().join("admin.token").exists());
    drop(server);

    let data = folder.path().to_str().unwrap();
    let open = bailey(["serve", "--auth", "none-for-development", "--listen", "0.0.0.0:0", "--data-dir", data]);
    assert_eq!(open.code, Some(1));
    assert!(open.stderr.contains("loopback"), "{}", open.stderr);
}
