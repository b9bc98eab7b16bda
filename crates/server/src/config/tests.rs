#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use toml::{Table, Value};

use super::*;
use crate::cli::Place;

/// A folder with a configuration file, and nothing of the environment that the tests run in.
struct Case {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    role: Role,
}

impl Case {
    fn new(file: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bailey.toml"), file).unwrap();
        Self { folder, variables: vec![], role: Role::Serve }
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn sources(&self) -> Sources {
        let place = Place { data_dir: Some(self.folder.path().to_owned()), config: None };
        Sources::with_variables(&place, self.variables.clone()).of(self.role)
    }

    fn of(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    fn load(&self) -> Config {
        load(&self.sources()).unwrap().config
    }

    fn problems(&self) -> Vec<String> {
        load(&self.sources()).unwrap_err().iter().map(ToString::to_string).collect()
    }
}

fn annotated() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/bailey.toml")).unwrap()
}

#[test]
fn the_annotated_file_has_every_key_with_its_default() {
    let file: Table = annotated().parse().unwrap();
    assert_eq!(file, Table::try_from(Config::default()).unwrap());
}

#[test]
fn the_annotated_file_explains_every_key() {
    let text = annotated();
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#')) {
        assert!(lines[index - 1].starts_with("# "), "no comment: {line}");
    }
}

#[test]
fn the_annotated_file_means_what_no_file_means() {
    let (with, without) = (Case::new(&annotated()), Case::new(""));
    let (mut with, without) = (with.load(), without.load());
    assert_ne!(with.data_dir, without.data_dir, "the flag goes before the blank key of the file");
    with.data_dir.clone_from(&without.data_dir);
    for (with, without) in [(&mut with.keys_dir, &without.keys_dir), (&mut with.audit.path, &without.audit.path)] {
        with.clone_from(without);
    }
    with.database.url.clone_from(&without.database.url);
    with.vault.url.clone_from(&without.vault.url);
    assert_eq!(with, without);
}

#[test]
fn blank_paths_are_below_the_data_folder() {
    let case = Case::new("");
    let (config, folder) = (case.load(), case.folder.path());
    assert_eq!(config.data_dir, folder);
    assert_eq!(config.keys_dir, folder.join("keys"));
    assert_eq!(config.database.url, format!("sqlite://{}/metadata.db", folder.display()));
    assert_eq!(config.vault.url, format!("sqlite://{}/vault.db", folder.display()));
    assert_eq!(config.audit.path, folder.join("audit.log"));
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let case =
        Case::new("listen = \"127.0.0.1:1\"\nhost_href = \"http://file\"\n[limits]\npage_max = 11\npage_default = 3")
            .variable("BAILEY_LISTEN", "127.0.0.1:2")
            .variable("BAILEY_LIMITS__PAGE_MAX", "12")
            .variable("BAILEY_AUTH__METHODS", "static-token");
    let flag = Some(Value::String("127.0.0.1:3".to_owned()));
    let config = load(&case.sources().with("listen", flag).with("host_href", None)).unwrap().config;
    assert_eq!(config.listen.port(), 3);
    assert_eq!((config.limits.page_max, config.limits.page_default), (12, 3));
    assert_eq!(config.host_href, "http://file");
    assert_eq!(case.load().listen.port(), 2);
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let case = Case::new(
        "listen = \"nowhere\"\nlog = { level = \"info\", fromat = \"json\" }\n[limits]\npage_max = 0\npage_defualt = 5\n\
         body = \"big\"\n[database]\nurl = \"env:NO_SUCH_VARIABLE\"\n[vault]\nurl = \"file:/no/such/file\"\n[nonsense]\nx = 1",
    )
    .variable("BAILEY_QUEUE__IN_FLIHGT", "3")
    .variable("BAILEY_QUEUE__DEADLINE_SECONDS", "soon");
    let file = case.folder.path().join("bailey.toml");
    let problems = case.problems();
    for expected in [
        format!("{}: listen: ", file.display()),
        format!("{}: log.fromat: no such key, did you mean `log.format`?", file.display()),
        format!("{}: limits.page_defualt: no such key, did you mean `limits.page_default`?", file.display()),
        format!("{}: limits.body: ", file.display()),
        format!("{}: database.url: the environment has no NO_SUCH_VARIABLE", file.display()),
        format!("{}: vault.url: /no/such/file can't be read", file.display()),
        format!("{}: nonsense: no such key", file.display()),
        "environment: BAILEY_QUEUE__IN_FLIHGT: no such key, did you mean `BAILEY_QUEUE__IN_FLIGHT`?".to_owned(),
        "environment: BAILEY_QUEUE__DEADLINE_SECONDS: ".to_owned(),
        "limits.page_max: must be from 1".to_owned(),
    ] {
        assert!(problems.iter().any(|problem| problem.contains(&expected)), "{expected}\nnot in\n{problems:#?}");
    }
    assert!(problems.iter().all(|problem| problem.lines().count() == 1), "{problems:#?}");
}

#[test]
fn a_broken_file_is_told_without_quoting_it() {
    let problems = Case::new("[database]\nurl = \"postgres://bailey:canary@db/x\nmax_connections = 3").problems();
    assert!(problems[0].contains("line 2"), "{problems:?}");
    assert!(!problems[0].contains("canary"), "{problems:?}");
}

#[test]
fn secret_values_can_stand_elsewhere_and_are_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dsn");
    fs::write(&path, "postgres://bailey:canary@db/meta\n").unwrap();
    let case = Case::new(&format!("[database]\nurl = \"file:{}\"\n[vault]\nurl = \"env:VAULT_DSN\"", path.display()))
        .variable("VAULT_DSN", "postgres://bailey:canary@db/vault");
    let config = case.load();
    assert_eq!(config.database.url, "postgres://bailey:canary@db/meta");
    assert_eq!(config.vault.url, "postgres://bailey:canary@db/vault");
    let printed = toml::to_string_pretty(&config).unwrap();
    assert!(printed.contains("bailey:***@db/vault") && !printed.contains("canary"), "{printed}");
}

#[test]
fn the_key_of_the_webhook_is_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("webhook.key");
    let key = "d2Vic2Vic2Vic2Vic2Vic2Vic2Vic2Vi";
    fs::write(&path, format!("{key}\n")).unwrap();
    let file =
        format!("[renewal]\nwebhook = \"https://hooks.example.org/\"\nwebhook_key = \"file:{}\"", path.display());
    let config = Case::new(&file).load();
    assert!(config.renewal.problem().is_none());
    let printed = toml::to_string_pretty(&config).unwrap() + &format!("{config:?}");
    assert!(printed.contains("webhook_key = \"***\"") && !printed.contains(key), "{printed}");
}

#[test]
fn the_pin_of_a_token_is_not_printed_but_where_it_is() {
    let file =
        "[[stores]]\nname = \"hsm\"\nkind = \"pkcs11\"\ndefault = true\nmodule = \"/x.so\"\ntoken_label = \"t\"\n";
    let printed = |pin: &str| {
        let config = Case::new(&format!("{file}pin = \"{pin}\"")).variable("HSM_PIN", "canary").load();
        format!("{} {config:?}", toml::to_string_pretty(&config).unwrap())
    };
    let hidden = printed("canary-pin");
    assert!(hidden.contains("pin = \"***\"") && !hidden.contains("canary"), "{hidden}");
    // Read when it is needed, in the process's own environment: where that is, is no secret.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pin");
    fs::write(&path, "canary-pin").unwrap();
    let told = printed(&format!("file:{}", path.display()));
    assert!(told.contains(&format!("pin = \"file:{}\"", path.display())) && !told.contains("canary-pin"), "{told}");
}

#[test]
fn keystone_s_settings_count_where_it_is_asked() {
    let file = "[auth]\nmethods = [\"keystone\", \"static-token\"]\n[auth.keystone]\nurl = \"http://127.0.0.1:5000\"\n\
                username = \"bailey\"\npassword = \"env:KEYSTONE_PASSWORD\"";
    let config = Case::new(file).variable("KEYSTONE_PASSWORD", "canary").load();
    assert!(config.auth.asks_keystone() && !config.auth.keystone.password.is_empty());
    let printed = format!("{} {config:?}", toml::to_string_pretty(&config).unwrap());
    assert!(!printed.contains("canary"), "{printed}");

    let problems = Case::new(file).problems();
    for expected in ["auth.keystone.password: the environment has no", "auth.keystone.password: the service user"] {
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
    }
    Case::new(&file.replace("\"keystone\", ", "").replace("http://127.0.0.1:5000", "nonsense"))
        .variable("KEYSTONE_PASSWORD", "x")
        .load();
}

#[test]
fn what_does_not_go_together_is_refused() {
    const STORE: &str = "[[stores]]\nid = \"0198b000-0000-7000-8000-000000000002\"\nname = \"a\"\nkind = \"simple\"\n";
    for (file, expected) in [
        (
            "[database]\nurl = \"postgres://a@db/x\"\n[vault]\nurl = \"postgresql://b@db:5432/x\"".to_owned(),
            "vault.url: ",
        ),
        ("listen = \"0.0.0.0:1\"\n[auth]\nmethods = [\"none-for-development\"]".to_owned(), "loopback only"),
        ("[auth]\nmethods = []".to_owned(), "auth.methods: "),
        ("stores = []".to_owned(), "and none has"),
        (STORE.to_owned(), "and none has"),
        (format!("{STORE}default = true\n{STORE}default = true\n"), "and 2 have"),
        (format!("{STORE}default = true\n{STORE}"), "two of them have the name `a`"),
        (format!("{STORE}default = true\ncolour = 1"), "stores[0].colour: no such key"),
        (format!("{STORE}default = true\nkek_budget = \"x\""), "stores[0].kek_budget: "),
        (
            "[[stores]]\nid = \"1\"\nname = \"a\"\nkind = \"simple\"\ndefault = true".to_owned(),
            "stores[0].id: not a valid",
        ),
        (format!("{STORE}default = true\n{}", STORE.replace("\"a\"", "\"b\"")), "two of them have the id 0198b000"),
        ("[[stores]]\nname = \"../a\"\nkind = \"simple\"".to_owned(), "stores[0].name: "),
        (
            "[[stores]]\nname = \"a\"\nkind = \"paper\"".to_owned(),
            "no such kind of store, there is `simple`, `pkcs11`, `kmip`",
        ),
        ("[projects.p]\nstroe = \"simple\"".to_owned(), "projects.p.stroe: no such key, did you mean `store`?"),
        ("[projects.p]\nstore = 1".to_owned(), "projects.p.store: "),
        ("[projects]\np = \"simple\"".to_owned(), "projects.p: not a table"),
        ("projects = 1".to_owned(), "projects: not a table"),
        ("[projects.\"\"]".to_owned(), "projects.: not a valid project id"),
        (
            "[projects.p]\nstore = \"smiple\"".to_owned(),
            "projects.p.store: there is no store `smiple`, did you mean `simple`?",
        ),
        ("[limits]\npayload = 100000".to_owned(), "limits.body: below 133592"),
        ("[limits]\npayload = 9223372036854775807".to_owned(), "limits.body: below"),
        ("[limits]\nbody = 67108865".to_owned(), "limits.body: must be from 1 to 67108864"),
        ("[limits]\npage_max = 10001".to_owned(), "limits.page_max: must be from 1 to 10000"),
        ("[http]\nworkers = 513".to_owned(), "http.workers: must be from 0 to 512"),
        ("[http]\nmax_connections = 0".to_owned(), "http.max_connections: must be from 1"),
        ("[http]\nmax_connections = 1000001".to_owned(), "http.max_connections: must be from 1 to 1000000"),
        ("[http]\nshutdown_seconds = 86401".to_owned(), "http.shutdown_seconds: must be from 0 to 86400"),
        ("[log]\nlevel = \"bailey=loud\"".to_owned(), "log.level: "),
        ("[policy]\nfile = \"/no/such/file\"".to_owned(), "policy: "),
        ("metrics = { listen = \"127.0.0.1:9311\" }".to_owned(), "metrics.listen: "),
        ("traces = { endpoint = \"collector:4317\" }".to_owned(), "traces.endpoint: neither blank nor"),
        ("traces = { endpoint = \"http://me:secret@a\" }".to_owned(), "traces.endpoint: no place for a password"),
        ("traces = { sample_ratio = 1.1 }".to_owned(), "traces.sample_ratio: must be from 0 to 1"),
        ("traces = { service_name = \"\" }".to_owned(), "traces.service_name: "),
        ("host_href = \"keys.example.org\"".to_owned(), "host_href: "),
        ("[http]\ntrusted_proxies = [\"10.0.0.1/8\"]".to_owned(), "http.trusted_proxies"),
        ("[cors]\nallowed_origins = [\"console\"]".to_owned(), "cors.allowed_origins: `console`"),
        ("[cors]\nallowed_origins = [\"https://a/\"]".to_owned(), "cors.allowed_origins: `https://a/`"),
        ("[cors]\nallowed_origins = [\"*\"]\nallow_credentials = true".to_owned(), "cors.allow_credentials: "),
        ("[worker]\nreencrypt_per_second = 0.001".to_owned(), "worker.reencrypt_per_second: must be from 0.01"),
        ("[renewal]\nwebhook_key = \"AAAA\"".to_owned(), "renewal.webhook: blank, but there is a key"),
        ("[renewal]\nwebhook = \"https://hooks\"".to_owned(), "renewal.webhook_key: must be the base64"),
        ("[renewal]\nwebhook = \"hooks\"".to_owned(), "renewal.webhook: no URL"),
        ("[renewal]\nwebhook_hours = 0.0".to_owned(), "renewal.webhook_hours: must be from"),
        ("[database]\nmax_connections = 4294967295".to_owned(), "database.max_connections: "),
    ] {
        let problems = Case::new(&file).problems();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}\nnot in\n{problems:#?}");
    }
}

/// Sections in sections included, each with its name.
fn sections(name: &str, table: &Table) -> Vec<(String, Table)> {
    let inner = table.iter().filter_map(|(key, value)| Some((key, value.as_table()?)));
    let inner = inner.flat_map(|(key, table)| sections(&format!("{name}.{key}"), table));
    inner.chain([(name.to_owned(), table.clone())]).collect()
}

#[test]
fn an_api_process_must_not_hold_what_is_the_workers() {
    let dsn = "postgres://bailey:canary@db/meta";
    let case =
        Case::new(&format!("keys_dir = \"/keys\"\n[orders]\nslots = 3\n[database]\nurl = \"{dsn}\"\n[[stores]]"))
            .variable("BAILEY_VAULT__URL", dsn)
            .variable("BAILEY_AUTH__METHODS", "none-for-development")
            .variable("BAILEY_LOG__LEVEL", "warn")
            .of(Role::Api);
    let problems = case.problems();
    for key in ["keys_dir", "orders.slots", "database.url", "stores", "BAILEY_VAULT__URL", "BAILEY_AUTH__METHODS"] {
        let refusal = format!(": {key}: an API process must not hold it");
        assert!(problems.iter().any(|problem| problem.contains(&refusal)), "{key}\nnot in\n{problems:#?}");
    }
    assert!(
        !problems.iter().any(|problem| problem.contains("canary") || problem.contains("log.level")),
        "{problems:#?}"
    );
}

#[test]
fn a_worker_reads_nothing_of_the_apis_and_needs_postgresql() {
    let problems = Case::new("listen = \"127.0.0.1:1\"\n[http]\nworkers = 3").of(Role::Worker).problems();
    for expected in ["listen: a worker doesn't read it", "http.workers: a worker", "database.url: ", "vault.url: "] {
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}\nnot in\n{problems:#?}");
    }
}

#[test]
fn a_worker_that_believes_anyone_stays_on_its_machine() {
    let file = "[auth]\nmethods = [\"none-for-development\"]\n[queue]\nnats.url = \"tls://nats.example.org:4222\"";
    let problems = Case::new(file).of(Role::Worker).problems();
    assert!(problems.iter().any(|problem| problem.contains("over loopback only")), "{problems:#?}");
}

#[test]
fn the_annotated_file_gives_no_role_what_it_does_not_read() {
    for role in [Role::Serve, Role::Api, Role::Worker] {
        let problems =
            load(&Case::new(&annotated()).of(role).sources()).map_or_else(|problems| problems, |_| Problems::default());
        let refused: Vec<_> =
            problems.iter().map(ToString::to_string).filter(|it| it.contains(role.refusal())).collect();
        assert_eq!(refused, Vec::<String>::new());
    }
}

#[test]
fn no_number_that_becomes_a_duration_can_be_out_of_range() {
    // Where it means never, or not at all.
    const MAY_BE_ZERO: [&str; 3] = ["expired_after_seconds", "refused_seconds", "outage_seconds"];
    let mut checked = 0;
    let config = Table::try_from(Config::default()).unwrap();
    let tables = config.iter().filter_map(|(name, value)| Some((name, value.as_table()?)));
    for (section, table) in tables.flat_map(|(name, table)| sections(name, table)) {
        for (key, default) in table.iter().filter(|(key, _)| key.ends_with("_seconds") || key.ends_with("_per_second"))
        {
            let bad: &[&str] = match default {
                Value::Integer(_) => &["-1", "9223372036854775807"],
                _ => &["0.0", "-1.0", "1e-20", "1e-308", "1e300", "nan", "inf", "-inf"],
            };
            for value in bad {
                if *value == "0.0" && MAY_BE_ZERO.contains(&key.as_str()) {
                    continue;
                }
                let problems = Case::new(&format!("[{section}]\n{key} = {value}")).problems();
                let key = format!("{section}.{key}: ");
                assert!(problems.iter().any(|problem| problem.contains(&key)), "{key}{value}: {problems:?}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 19, "only {checked} keys were found");
}

#[test]
fn printing_and_reading_again_changes_nothing() {
    let case = Case::new("[projects.\"a b\"]\nstore = \"simple\"\n[projects.blank]\n");
    let config = case.load();
    assert_eq!(config.projects.len(), 2);
    let again = Case { folder: case.folder, ..Case::new("") };
    fs::write(again.folder.path().join("bailey.toml"), toml::to_string_pretty(&config).unwrap()).unwrap();
    assert_eq!(again.load(), config);
}

#[test]
fn a_named_file_has_to_be_there() {
    let place = Place { data_dir: None, config: Some(PathBuf::from("/no/such/bailey.toml")) };
    let problems = load(&Sources::with_variables(&place, vec![])).unwrap_err().to_string();
    assert!(problems.starts_with("/no/such/bailey.toml: can't be read"), "{problems}");
}

#[test]
fn variables_that_others_set_are_no_keys() {
    let case = Case::new("")
        .variable("BAILEY_PORT_9311_TCP", "tcp://10.0.0.1:9311")
        .variable("BAILEY_SERVICE_HOST", "10.0.0.1")
        .variable("BAILEY_TEST_SCALE", "3")
        .variable("HOME", "/");
    case.load();
}
