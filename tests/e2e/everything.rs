//! Everything at once: two API processes behind a load balancer, three workers, NATS, PostgreSQL and Keystone, and
//! real clients, while any one part is killed.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailey_testkit::keystone::Keystone;
use bailey_testkit::postgres::Postgres;
use bailey_testkit::process::Process;
use bailey_tests::app::{Node, Role};
use bailey_tests::balancer::Balancer;
use bailey_tests::cloud::{Cloud, Member};
use bailey_tests::{Database, TestApp, cases};

pub const CASES: &[(&str, fn())] = cases![nothing_acknowledged_is_lost_whatever_is_killed];

const CLIENTS: usize = 3;
/// Between two parts that are killed.
const PAUSE: Duration = Duration::from_secs(1);

/// A deployment with all that it needs.
struct Site {
    cloud: Cloud,
    more: Vec<Node>,
    _balancer: Balancer,
}

impl Site {
    fn start() -> Self {
        let keystone = Arc::new(Keystone::start().unwrap());
        let builder = TestApp::builder(Database::Split)
            .on_postgres(Arc::new(Postgres::start_with(&[]).unwrap()))
            .set("BAILEY_DATABASE__TIMEOUT_SECONDS", "2")
            .set("BAILEY_VAULT__TIMEOUT_SECONDS", "2");
        let mut cloud = Cloud::start(keystone, builder).unwrap();
        let more = [Role::Worker, Role::Worker, Role::Api].map(|role| cloud.app.another(role));
        more.iter().for_each(|node| node.restart().unwrap());
        let apis = cloud.app.nodes().iter().chain(&more).filter(|node| node.role() == Role::Api).map(Node::address);
        let balancer = Balancer::start(apis.collect()).unwrap();
        cloud.region = cloud.keystone.create_key_manager(&balancer.base()).unwrap();
        Self { cloud, more: more.into(), _balancer: balancer }
    }

    /// Kills every part, one after the other, and starts it again.
    fn kill_each(&self) {
        let rest = || std::thread::sleep(PAUSE);
        for node in self.cloud.app.nodes().iter().chain(&self.more) {
            rest();
            node.kill();
            rest();
            node.restart().unwrap();
        }
        rest();
        self.cloud.app.nats().kill();
        rest();
        self.cloud.app.nats().restart().unwrap();
        rest();
        self.cloud.app.postgres().kill().unwrap();
        rest();
        self.cloud.app.postgres().restart().unwrap();
        rest();
        self.cloud.keystone.stop().unwrap();
        rest();
        self.cloud.keystone.restart().unwrap();
        rest();
    }
}

/// A real client that stores and reads until `stop` is there.
fn client(member: &Member<'_>, folder: &Path, number: usize) -> Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/python/endurance.py");
    let mut command = member.command("python3").unwrap();
    command.arg(script).arg(format!("client {number}")).arg(folder.join("stop"));
    let output = |what: &str| File::create(folder.join(format!("{number}.{what}"))).unwrap();
    command.stdout(output("done")).stderr(output("errors"));
    Process::start(command).unwrap()
}

fn nothing_acknowledged_is_lost_whatever_is_killed() {
    let (site, folder) = (Site::start(), tempfile::tempdir().unwrap());
    let project = site.cloud.keystone.create_project().unwrap();
    let member = site.cloud.member(&project, &["creator"]).unwrap();
    let clients: Vec<_> = (0..CLIENTS).map(|number| client(&member, folder.path(), number)).collect();
    site.kill_each();
    fs::write(folder.path().join("stop"), "").unwrap();

    let reader = member.client();
    for (number, mut client) in clients.into_iter().enumerate() {
        let ended = client.wait(Duration::from_secs(90)).unwrap();
        let read = |what: &str| fs::read_to_string(folder.path().join(format!("{number}.{what}"))).unwrap();
        assert!(ended.success(), "{}", read("errors"));
        let done = read("done");
        assert!(done.lines().count() > 20, "too little happened: {done}");
        for line in done.lines() {
            let (href, payload) = line.split_once(' ').unwrap();
            let path = &href[href.find("/v1/").unwrap()..];
            assert_eq!(reader.payload(path), payload.as_bytes(), "{href}");
        }
        eprintln!("client {number}: {} secrets", done.lines().count());
    }
}
