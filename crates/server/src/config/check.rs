//! What types can't tell: ranges, and values that don't go together.

use std::collections::HashSet;
use std::fmt::Display;
use std::net::IpAddr;

use bailey_api::{ClientAuth, TlsConfig};
use bailey_worker::policy::Policy;

use super::keys::nearest_name;
use super::problem::{Problem, Problems};
use super::{CaConfig, Config, Role, StoreConfig};
use crate::traces::TracesConfig;

/// Notes everything that is wrong with a configuration whose blanks are filled in. A command's, which has no
/// role, must do for a process that works.
pub fn check(config: &Config, role: Option<Role>, problems: &mut Problems) {
    let mut complain = |key: &str, complaint: &dyn Display| problems.add(Problem::of(key, complaint));
    ranges(config, &mut complain);
    origins(&config.cors, &mut complain);
    tls(&config.tls, &mut complain);
    traces(&config.traces, &mut complain);
    if let Err(error) = config.log.filter() {
        complain("log.level", &format_args!("{error:#}"));
    }
    if role.is_some_and(Role::serves_api) {
        listeners(config, &mut complain);
    }
    if role.is_none_or(Role::works) {
        databases(config, &mut complain);
        stores(&config.stores, &mut complain);
        projects(config, &mut complain);
        cas(config, &mut complain);
        callers(config, &mut complain);
        if let Some((key, complaint)) = config.renewal.problem() {
            complain(&format!("renewal.{key}"), &complaint);
        }
    }
    match role {
        Some(role @ Role::Api) => apart(config, role, &mut complain),
        Some(role @ Role::Worker) => {
            apart(config, role, &mut complain);
            shared_databases(config, &mut complain);
        }
        Some(Role::Serve) | None => {}
    }
}

/// A body is in memory as a whole, once for each request in flight.
const LARGEST_BODY: f64 = 67_108_864.0;
/// What of a body is not the payload: names, types, braces.
const AROUND_PAYLOAD: usize = 256;

type Complain<'a> = dyn FnMut(&str, &dyn Display) + 'a;

fn callers(config: &Config, complain: &mut Complain<'_>) {
    if config.auth.methods.is_empty() {
        complain("auth.methods", &"nobody could ask for anything: name at least one method");
    }
    if config.auth.asks_keystone() {
        for (key, problem) in config.auth.keystone.problems() {
            complain(&format!("auth.keystone.{key}"), &problem);
        }
    }
    if let Err(error) = Policy::new(&config.policy, config.compat) {
        complain("policy", &error);
    }
}

fn listeners(config: &Config, complain: &mut Complain<'_>) {
    if config.auth.believes_anyone() && !config.listen.ip().is_loopback() {
        let address = config.listen;
        complain("listen", &format_args!("without authentication Bailey listens on loopback only, not on {address}"));
    }
    if config.metrics.listen.is_some_and(|address| address == config.listen && address.port() != 0) {
        complain("metrics.listen", &"the API listens there: metrics need an address of their own");
    }
    let href = &config.host_href;
    if !(href.is_empty()
        || ["http://", "https://"].iter().any(|scheme| href.len() > scheme.len() && href.starts_with(scheme)))
    {
        complain("host_href", &"neither blank nor http://HOST or https://HOST");
    }
}

/// Whether what is set goes together; the files are read where they are used, and by `config check`.
fn tls(tls: &TlsConfig, complain: &mut Complain<'_>) {
    let is_blank = |file: &std::path::Path| file.as_os_str().is_empty();
    if is_blank(&tls.certificate) != is_blank(&tls.key) {
        let missing = if tls.is_on() { "tls.key" } else { "tls.certificate" };
        complain(missing, &"blank, but certificate and key are of use together only");
    }
    if !tls.is_on() && tls.client_auth != ClientAuth::Off {
        complain("tls.client_auth", &"without tls.certificate there is no TLS, and nobody shows a certificate");
    }
    match (tls.client_auth, is_blank(&tls.client_ca)) {
        (ClientAuth::Off, false) => {
            complain("tls.client_auth", &"off, but tls.client_ca is set: nobody would be asked")
        }
        (ClientAuth::Off, true) | (_, false) => {}
        (_, true) => complain("tls.client_ca", &"blank, but clients are to show certificates: of which authority?"),
    }
}

/// An origin that no browser names would be allowed in vain.
fn origins(cors: &bailey_api::Cors, complain: &mut Complain<'_>) {
    for origin in &cors.allowed_origins {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
        let is_origin = !host.is_empty() && !host.contains(|c: char| "/?#@".contains(c) || c.is_ascii_uppercase());
        if origin != "*" && !is_origin {
            complain("cors.allowed_origins", &format_args!("`{origin}` is neither * nor such as https://HOST:PORT"));
        }
    }
    if cors.allow_credentials && cors.allowed_origins.iter().any(|origin| origin == "*") {
        complain("cors.allow_credentials", &"not for every origin: name those that may, instead of *");
    }
}

fn traces(traces: &TracesConfig, complain: &mut Complain<'_>) {
    let url = traces.endpoint.parse::<reqwest::Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match url {
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            complain("traces.endpoint", &"no place for a password: it is logged");
        }
        None if traces.is_on() => complain("traces.endpoint", &"neither blank nor http://HOST or https://HOST"),
        Some(_) | None => {}
    }
    within(complain, "traces.sample_ratio", traces.sample_ratio, 0.0, 1.0);
    if traces.service_name.is_empty() {
        complain("traces.service_name", &"blank: collectors need a name");
    }
}

fn databases(config: &Config, complain: &mut Complain<'_>) {
    for (key, database) in [("database", &config.database), ("vault", &config.vault)] {
        if !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| database.url.starts_with(scheme)) {
            complain(&format!("{key}.url"), &"begins with neither sqlite:// nor postgres://");
        }
        within(complain, &format!("{key}.max_connections"), f64::from(database.max_connections), 1.0, 10_000.0);
        duration(complain, &format!("{key}.timeout_seconds"), database.timeout_seconds);
    }
    if database_named_by(&config.database.url) == database_named_by(&config.vault.url) {
        complain(
            "vault.url",
            &"the vault is in the metadata database: whoever copies one would have both, give it a database of its own",
        );
    }
}

/// What joins API processes and workers.
fn apart(config: &Config, role: Role, complain: &mut Complain<'_>) {
    if !config.queue.nats.is_used() {
        complain("queue.nats.url", &"API processes and workers find each other by NATS: say where it is");
    }
    if role == Role::Worker && config.auth.believes_anyone() && !is_near(&config.queue.nats.url) {
        complain("queue.nats.url", &"without authentication a worker is asked over loopback only");
    }
    if role == Role::Api && config.queue.key_file.as_os_str().is_empty() {
        complain("queue.key_file", &"name the file that `bailey queue keygen` made for API processes");
    }
}

/// Whether all of these URLs, parted by commas, are of this machine.
fn is_near(urls: &str) -> bool {
    urls.split(',').all(|url| {
        let place = url.trim().rsplit(['/', '@']).next().unwrap_or_default();
        let host = place.rsplit_once(':').map_or(place, |(host, _)| host).trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// A SQLite file has one writing process; that there are others is why a worker runs apart from the API.
fn shared_databases(config: &Config, complain: &mut Complain<'_>) {
    for (key, database) in [("database.url", &config.database), ("vault.url", &config.vault)] {
        if database.url.starts_with("sqlite:") {
            complain(key, &"workers share their databases, so they need PostgreSQL; with SQLite run `bailey serve`");
        }
    }
}

/// Scheme, host and database, without what doesn't tell two of them apart.
fn database_named_by(url: &str) -> String {
    let (url, _) = url.split_once('?').unwrap_or((url, ""));
    let Some(rest) = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")) else {
        return url.trim_start_matches("sqlite:").trim_start_matches("//").to_owned();
    };
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let (host, name) = place.split_once('/').unwrap_or((place, ""));
    let host = if host.contains(':') { host.to_lowercase() } else { format!("{}:5432", host.to_lowercase()) };
    format!("postgres {host} {name}")
}

fn stores(stores: &[StoreConfig], complain: &mut Complain<'_>) {
    match stores.iter().filter(|store| store.default).count() {
        1 => {}
        0 => complain("stores", &"exactly one must have `default = true`, and none has"),
        several => complain("stores", &format_args!("exactly one must have `default = true`, and {several} have")),
    }
    let (mut ids, mut names) = (HashSet::new(), HashSet::new());
    for store in stores {
        if let Some(id) = store.id
            && !ids.insert(id)
        {
            complain("stores", &format_args!("two of them have the id {id}"));
        }
        if !names.insert(&store.name) {
            complain("stores", &format_args!("two of them have the name `{}`", store.name));
        }
    }
}

fn cas(config: &Config, complain: &mut Complain<'_>) {
    let (mut ids, mut names) = (HashSet::new(), HashSet::new());
    let stores = || config.stores.iter().map(|store| store.name.as_str());
    for ca in &config.cas {
        if let Some(id) = ca.id
            && !ids.insert(id)
        {
            complain("cas", &format_args!("two of them have the id {id}"));
        }
        if !names.insert(&ca.name) {
            complain("cas", &format_args!("two of them have the name `{}`", ca.name));
        }
        if !ca.store.is_empty() && !stores().any(|name| name == ca.store) {
            let meant = nearest_name(&ca.store, stores()).map(|name| format!(", did you mean `{name}`?"));
            let complaint = format!("there is no store `{}`{}", ca.store, meant.unwrap_or_default());
            complain(&format!("cas.{}.store", ca.name), &complaint);
        }
        let parent = ca.settings.get("parent").and_then(|parent| parent.as_str()).unwrap_or_default();
        let is_above = |above: &&CaConfig| above.name == parent && above.kind == ca.kind && above.name != ca.name;
        if !parent.is_empty()
            && !config.cas.iter().take_while(|other| other.name != ca.name).any(|other| is_above(&other))
        {
            let complaint = format!("there is no CA `{parent}` of kind {} before it to be above it", ca.kind);
            complain(&format!("cas.{}.parent", ca.name), &complaint);
        }
        let is_in_token = ca.settings.get("in_token").and_then(|is| is.as_bool()).unwrap_or_default();
        let has_token =
            |store: &StoreConfig| store.name == ca.store && store.kind().is_some_and(|kind| kind.token.is_some());
        if is_in_token && !config.stores.iter().any(has_token) {
            let complaint = "needs a store whose keys are in a token: name one in `store`";
            complain(&format!("cas.{}.in_token", ca.name), &complaint);
        }
    }
}

fn projects(config: &Config, complain: &mut Complain<'_>) {
    let names = || config.stores.iter().map(|store| store.name.as_str());
    for (id, project) in config.projects.iter().filter(|(_, project)| !project.store.is_empty()) {
        if !names().any(|name| name == project.store) {
            let meant = nearest_name(&project.store, names()).map(|name| format!(", did you mean `{name}`?"));
            let complaint = format!("there is no store `{}`{}", project.store, meant.unwrap_or_default());
            complain(&format!("projects.{id}.store"), &complaint);
        }
    }
}

fn ranges(config: &Config, complain: &mut Complain<'_>) {
    let (limits, http, queue, worker) = (&config.limits, &config.http, &config.queue, &config.worker);
    for (key, value) in [
        ("http.keep_alive_seconds", http.keep_alive_seconds),
        ("http.request_seconds", http.request_seconds),
        ("http.unread_seconds", http.unread_seconds),
        ("http.health_seconds", http.health_seconds),
        ("queue.deadline_seconds", queue.deadline_seconds),
        ("queue.nats.longest_deadline_seconds", queue.nats.longest_deadline_seconds),
        ("worker.store_deadline_seconds", worker.store_deadline_seconds),
        ("worker.store_batch_deadline_seconds", worker.store_batch_deadline_seconds),
        ("worker.ca_deadline_seconds", worker.ca_deadline_seconds),
        ("worker.ca_interval_seconds", worker.ca_interval_seconds),
        ("worker.probe_shortest_seconds", worker.probe_shortest_seconds),
        ("worker.probe_longest_seconds", worker.probe_longest_seconds),
        ("audit.deadline_seconds", config.audit.deadline_seconds),
        ("worker.health_deadline_seconds", worker.health_deadline_seconds),
        ("worker.deletion_interval_seconds", worker.deletion_interval_seconds),
        ("worker.sweep_interval_seconds", worker.sweep_interval_seconds),
        ("worker.orphan_age_seconds", worker.orphan_age_seconds),
        ("worker.rotation_interval_seconds", worker.rotation_interval_seconds),
        ("orders.lease_seconds", config.orders.lease_seconds),
        ("orders.poll_seconds", config.orders.poll_seconds),
        ("orders.longest_wait_seconds", config.orders.longest_wait_seconds),
        ("orders.deadline_seconds", config.orders.deadline_seconds),
        ("cache.ciphertext_seconds", config.cache.ciphertext_seconds),
        ("auth.keystone.timeout_seconds", config.auth.keystone.timeout_seconds),
        ("auth.keystone.cache_seconds", config.auth.keystone.cache_seconds),
    ] {
        duration(complain, key, value);
    }
    for (key, value) in [
        ("worker.expired_after_seconds", worker.expired_after_seconds),
        ("auth.keystone.refused_seconds", config.auth.keystone.refused_seconds),
        ("auth.keystone.outage_seconds", config.auth.keystone.outage_seconds),
    ] {
        if value != 0.0 {
            duration(complain, key, value);
        }
    }
    // Slower than this is a typing error; the pause between two is computed from them.
    for (key, value) in [
        ("worker.rewrap_per_second", worker.rewrap_per_second),
        ("worker.reencrypt_per_second", worker.reencrypt_per_second),
    ] {
        within(complain, key, value, 0.01, 1e6);
    }
    for (key, value, least, most) in [
        ("limits.body", limits.body as f64, 1.0, LARGEST_BODY),
        ("limits.payload", limits.payload as f64, 1.0, LARGEST_BODY),
        ("limits.page_default", limits.page_default as f64, 1.0, 10_000.0),
        ("limits.page_max", limits.page_max as f64, 1.0, 10_000.0),
        ("http.workers", http.workers as f64, 0.0, 512.0),
        ("http.max_connections", http.max_connections as f64, 1.0, 1e6),
        ("queue.in_flight", f64::from(queue.in_flight), 1.0, 1e6),
        // Below this a worker that is at work doesn't say so in time.
        ("queue.nats.ask_again_seconds", queue.nats.ask_again_seconds, 0.5, 3_600.0),
        ("audit.queue", f64::from(config.audit.queue), 1.0, 1e6),
        ("auth.keystone.cache_tokens", config.auth.keystone.cache_tokens as f64, 1.0, 1e7),
        ("worker.store_failures", f64::from(worker.store_failures), 1.0, 1e6),
        ("generation.threads", config.generation.threads as f64, 0.0, 512.0),
        ("generation.waiting", config.generation.waiting as f64, 1.0, 1e6),
        ("renewal.webhook_timeout_seconds", config.renewal.webhook_timeout_seconds, 0.001, 60.0),
        ("renewal.webhook_hours", config.renewal.webhook_hours, 0.001, 8_784.0),
        ("orders.slots", f64::from(config.orders.slots), 1.0, 1_000.0),
        ("orders.max_attempts", f64::from(config.orders.max_attempts), 1.0, 1e6),
        ("http.shutdown_seconds", http.shutdown_seconds as f64, 0.0, 86_400.0),
        ("http.drain_seconds", http.drain_seconds as f64, 0.0, 86_400.0),
        ("cors.max_age_seconds", config.cors.max_age_seconds as f64, 0.0, 86_400.0),
    ] {
        within(complain, key, value, least, most);
    }
    if queue.nats.longest_deadline_seconds < queue.deadline_seconds {
        let deadline = queue.deadline_seconds;
        complain("queue.nats.longest_deadline_seconds", &format_args!("below queue.deadline_seconds, {deadline}"));
    }
    if !queue.nats.has_valid_subject() {
        complain("queue.nats.subject", &"must be of letters, digits, `-` and `_`, in parts joined by dots");
    }
    if limits.page_default > limits.page_max {
        complain("limits.page_default", &format_args!("above limits.page_max, {}", limits.page_max));
    }
    if worker.probe_shortest_seconds > worker.probe_longest_seconds {
        let longest = worker.probe_longest_seconds;
        complain("worker.probe_shortest_seconds", &format_args!("above worker.probe_longest_seconds, {longest}"));
    }
    let needed = limits.payload.div_ceil(3).saturating_mul(4).saturating_add(AROUND_PAYLOAD);
    if limits.body < needed {
        complain("limits.body", &format_args!("below {needed}, which limits.payload needs in base64"));
    }
}

const YEAR: f64 = 366.0 * 86_400.0;

/// Beyond a year durations overflow somewhere or are typing errors; below a millisecond what is done
/// at intervals never rests.
fn duration(complain: &mut Complain<'_>, key: &str, value: f64) {
    if !(0.001..=YEAR).contains(&value) {
        complain(key, &"must be at least a millisecond and below a year, in seconds");
    }
}

fn within(complain: &mut Complain<'_>, key: &str, value: f64, least: f64, most: f64) {
    if !(least..=most).contains(&value) {
        complain(key, &format_args!("must be from {least} to {most}"));
    }
}

#[cfg(test)]
mod tests {
    use super::{database_named_by, is_near};

    #[test]
    fn only_this_machine_is_near() {
        for near in ["nats://127.0.0.1:4222", "tls://localhost:4222, nats://u:p@[::1]:4222", "127.0.0.1"] {
            assert!(is_near(near), "{near}");
        }
        for far in ["nats://10.0.0.1:4222", "nats://127.0.0.1:1,nats://nats.example.org:4222", ""] {
            assert!(!is_near(far), "{far}");
        }
    }

    #[test]
    fn one_database_is_known_under_all_its_urls() {
        let same = [
            "postgres://bailey:a@db/meta",
            "postgresql://vault@DB:5432/meta?sslmode=require",
            "postgres://db:5432/meta",
        ];
        assert!(same.iter().all(|url| database_named_by(url) == database_named_by(same[0])));
        assert_ne!(database_named_by(same[0]), database_named_by("postgres://db/vault"));
        assert_eq!(database_named_by("sqlite:///a/b.db?mode=rwc"), database_named_by("sqlite:/a/b.db"));
        assert_ne!(database_named_by("sqlite:///a/b.db"), database_named_by("sqlite:///a/c.db"));
    }
}
