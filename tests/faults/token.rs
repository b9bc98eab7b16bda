//! A token's library hangs or crashes: nothing else waits for it, and it comes back without help.

use std::fs;
use std::time::{Duration, Instant};

use bailey_testkit::faulty::{FUNCTIONS, Fault, Faulty};
use bailey_testkit::process;
use bailey_testkit::softhsm::SoftHsm;
use bailey_tests::{Client, Database, TestApp, cases};
use serde_json::json;

pub const CASES: &[(&str, fn())] = cases![a_hanging_token_delays_nothing_else, a_process_for_a_token_comes_and_goes];

const PATIENCE: Duration = Duration::from_secs(20);
/// What has nothing to do with the token takes no longer.
const AT_ONCE: Duration = Duration::from_millis(1000);

/// A Bailey with two stores, of which the second is in a token behind a library that can go wrong.
struct Guarded {
    app: TestApp,
    faulty: Faulty,
    _softhsm: SoftHsm,
}

impl Guarded {
    fn start(isolation: &str) -> Self {
        let softhsm = SoftHsm::start().unwrap();
        let faulty = Faulty::before(softhsm.module()).unwrap();
        let file = format!(
            r#"
            [[stores]]
            name = "plain"
            kind = "simple"
            default = true
            [[stores]]
            name = "token"
            kind = "pkcs11"
            module = "{module}"
            token_label = "{label}"
            pin = "{pin}"
            sessions = 2
            deadline_seconds = 0.5
            lost_calls = 4
            isolation = "{isolation}"
            [projects.kept-in-token]
            store = "token"
            "#,
            module = faulty.module().display(),
            label = softhsm.token_label(),
            pin = softhsm.pin(),
        );
        let mut builder = TestApp::builder(Database::Sqlite).file(&file).set("BAILEY_WORKER__STORE_FAILURES", "3");
        for (name, value) in softhsm.environment() {
            builder = builder.set(name, value.to_str().unwrap());
        }
        let app = builder.prepare().unwrap();
        app.launch().unwrap();
        app.admin(&["hsm", "--store", "token", "generate"]).unwrap();
        Self { app, faulty, _softhsm: softhsm }
    }

    fn in_token(&self) -> Client {
        self.app.client_of("kept-in-token", "tester", &["admin"])
    }

    /// Stores a payload in the token, as soon as a probe has found that it has a key now.
    fn store(&self) -> String {
        let secret = json!({ "payload": "in the token", "payload_content_type": "text/plain" });
        let answer = process::until(PATIENCE, || {
            let answer = self.in_token().post("/v1/secrets").json(&secret).send();
            anyhow::ensure!(answer.status == 201, "{answer}");
            Ok(answer)
        });
        answer.unwrap().string("secret_ref")
    }

    fn hang(&self) {
        FUNCTIONS.iter().for_each(|function| self.faulty.set(function, Fault::Hang));
    }

    /// What `/readyz` says of the store in the token.
    fn state(&self) -> String {
        let body = self.app.anonymous().get("/readyz").send().json();
        let parts = body["parts"].as_array().unwrap();
        let part = parts.iter().find(|part| part["part"] == "store token");
        part.unwrap()["state"].as_str().unwrap().to_owned()
    }

    fn works_again(&self, secret: &str) {
        process::until(PATIENCE, || {
            let answer = self.in_token().get(&format!("{secret}/payload")).header("Accept", "text/plain").send();
            anyhow::ensure!(answer.status == 200, "{answer}");
            anyhow::ensure!(answer.body == b"in the token", "another payload");
            Ok(())
        })
        .unwrap();
    }
}

fn a_hanging_token_delays_nothing_else() {
    let guarded = Guarded::start("thread");
    let (plain, in_token) = (guarded.app.client(), guarded.in_token());
    let (beside, secret) = (plain.store("in the other store"), guarded.store());
    guarded.works_again(&secret);

    guarded.hang();
    let payload = format!("{secret}/payload");
    let stuck = process::until(PATIENCE, || {
        let begin = Instant::now();
        let refused = in_token.get(&payload).header("Accept", "text/plain").send().expect(503);
        assert!(refused.header("retry-after").is_some(), "{refused}");
        assert!(begin.elapsed() < Duration::from_secs(11), "503 after {:?}", begin.elapsed());
        let begin = Instant::now();
        assert_eq!(plain.payload(&beside), b"in the other store");
        let _ = plain.store("another one");
        let _ = in_token.get(&secret).send().expect(200);
        let _ = guarded.app.anonymous().get("/livez").send().expect(200);
        assert!(begin.elapsed() < AT_ONCE, "the rest took {:?}", begin.elapsed());
        let state = guarded.state();
        anyhow::ensure!(state.contains("never return"), "{state}");
        Ok(state)
    });
    let stuck = stuck.unwrap();
    assert!(stuck.contains("started again"), "{stuck}");
    assert_eq!(guarded.app.anonymous().get("/readyz").send().expect(200).json()["ready"], json!(true));
    let log = guarded.app.log();
    assert!(log.contains("calls of a secret store never return"), "{log}");
    assert!(log.contains("isolation"), "{log}");
    assert!(!log.contains(bailey_testkit::softhsm::PIN), "the log tells the PIN");

    let begin = Instant::now();
    let status = guarded.app.stop().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "it took {:?} to end", begin.elapsed());
    assert!(status.is_some_and(|status| status.success()), "{status:?}");

    guarded.app.launch().unwrap();
    process::until(PATIENCE, || {
        let answer = plain.get(&format!("{beside}/payload")).header("Accept", "text/plain").send();
        anyhow::ensure!(answer.status == 200, "{answer}");
        Ok(())
    })
    .unwrap();
    assert_eq!(plain.payload(&beside), b"in the other store");
    guarded.faulty.lift_all();
    guarded.works_again(&secret);
}

/// The processes that this one has started.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

fn a_process_for_a_token_comes_and_goes() {
    let guarded = Guarded::start("process");
    let secret = guarded.store();
    let payload = format!("{secret}/payload");
    let server = guarded.app.pid();
    let callers = || children(server);
    assert!(!callers().is_empty(), "nobody calls the library");
    for (caller, told) in callers().into_iter().flat_map(|caller| ["cmdline", "environ"].map(|told| (caller, told))) {
        let told = fs::read(format!("/proc/{caller}/{told}")).unwrap();
        assert!(!String::from_utf8_lossy(&told).contains(bailey_testkit::softhsm::PIN), "the PIN can be read");
    }
    let maps = fs::read_to_string(format!("/proc/{server}/maps")).unwrap();
    assert!(!maps.contains("faulty.so"), "the worker has loaded the library");

    for fault in [Fault::Crash, Fault::Hang] {
        let (before, struck) = (callers(), guarded.faulty.struck("C_Decrypt"));
        guarded.faulty.set_times("C_Decrypt", fault, 1);
        let begin = Instant::now();
        while guarded.faulty.struck("C_Decrypt") == struck {
            let _ = guarded.in_token().get(&payload).header("Accept", "text/plain").send();
            assert!(begin.elapsed() < PATIENCE, "nothing went wrong");
        }
        guarded.works_again(&secret);
        assert!(before.iter().any(|pid| !callers().contains(pid)), "{before:?} all run still");
        assert_eq!(guarded.app.pid(), server);
    }

    guarded.hang();
    let last = callers();
    guarded.app.kill();
    process::until(PATIENCE, || {
        // Of one that ended nothing is left, or nothing but its number.
        let runs = |pid: &&u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
        let outlive = last.iter().filter(runs).count();
        anyhow::ensure!(outlive == 0, "{outlive} outlive their parent");
        Ok(())
    })
    .unwrap();
    guarded.faulty.lift_all();
    guarded.app.launch().unwrap();
    guarded.works_again(&secret);
}
