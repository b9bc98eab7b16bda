//! Real clients that know a password and where Keystone is: they find Bailey in its catalog.

use std::path::Path;

use bailey_testkit::keystone::Keystone;
use bailey_testkit::process;
use bailey_tests::cloud::{Cloud, Member};
use bailey_tests::{Database, TestApp, cases};
use serde_json::Value;

pub const CASES: &[(&str, fn())] = cases![barbicanclient_finds_it, the_openstack_command_finds_it, castellan_finds_it];

fn started() -> (Cloud, String) {
    let cloud = Cloud::start(Keystone::shared().unwrap(), TestApp::builder(Database::Sqlite)).unwrap();
    let project = cloud.keystone.create_project().unwrap();
    (cloud, project)
}

fn run_script(member: &Member<'_>, script: &str, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/python").join(script);
    process::run(member.command("python3").unwrap().arg(script).args(arguments)).unwrap();
}

fn barbicanclient_finds_it() {
    let (cloud, project) = started();
    let member = cloud.member(&project, &["creator"]).unwrap();
    for script in ["secret_stories.py", "container_stories.py"] {
        run_script(&member, script, &["-", "catalog", "-"]);
    }
}

fn the_openstack_command_finds_it() {
    let (cloud, project) = started();
    let member = cloud.member(&project, &["creator"]).unwrap();
    let openstack = |arguments: &[&str]| -> anyhow::Result<Value> {
        let output = process::run(member.command("openstack")?.args(arguments).args(["--format", "json"]))?;
        Ok(serde_json::from_slice(&output)?)
    };
    let stored = openstack(&["secret", "store", "--name", "greeting", "--payload", "hello"]).unwrap();
    let href = stored["Secret href"].as_str().unwrap();
    assert!(href.starts_with(&cloud.app.anonymous().base()), "{stored}");
    assert_eq!(openstack(&["secret", "get", "--payload", href]).unwrap()["Payload"], "hello");
    assert_eq!(openstack(&["secret", "list"]).unwrap()[0]["Name"], "greeting");

    let stranger = cloud.keystone.create_project().unwrap();
    let stranger = cloud.member(&stranger, &["creator"]).unwrap();
    let refused = process::run(stranger.command("openstack").unwrap().args(["secret", "get", "--payload", href]));
    assert!(refused.unwrap_err().to_string().contains("Forbidden"));
}

fn castellan_finds_it() {
    let (cloud, project) = started();
    // Castellan deletes the orders it makes keys with, which only an admin may.
    let member = cloud.member(&project, &["admin"]).unwrap();
    run_script(&member, "castellan_stories.py", &[]);
    let left = member.client().describe("/v1/orders");
    assert_eq!(left["total"], 0, "{left}");
}
