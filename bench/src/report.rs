//! The report: Markdown, the targets first.

use std::fmt::Write;
use std::time::Duration;

use crate::certificates::CertificateFigures;
use crate::figure::{Figure, cost, median, ratio};
use crate::hsm::{self, HsmFigures};
use crate::kmip::{self, KmipFigures};
use crate::options::Engine;
use crate::orders::Orders;
use crate::run::{FEW, Results, Section, Turn};
use crate::subject::Server;
use crate::subject::containers::REFERENCES;
use crate::target::{self, Target};

/// Writes the report.
pub fn write(results: &Results) -> String {
    let mut text = String::new();
    head(&mut text, results);
    targets(&mut text, &target::all(results));
    for section in &results.databases {
        figures(&mut text, section);
        ratios(&mut text, section);
        alone(&mut text, results, section);
    }
    text
}

/// Lines are written to a `String`, which can't fail.
macro_rules! line {
    ($text:expr) => { $text.push('\n') };
    ($text:expr, $($format:tt)*) => {{ let _ = writeln!($text, $($format)*); }};
}

fn head(text: &mut String, results: &Results) {
    let options = &results.options;
    line!(text, "# Figures");
    line!(text);
    line!(text, "Written by `bench/run`; what each figure means is in `bench/README.md`.");
    line!(text);
    line!(text, "* Command: `{}`", results.command);
    line!(text, "* Commit: {}", results.commit);
    line!(
        text,
        "* Machine: {}; load {:.2} at the start. Load generator, servers and databases share it.",
        results.machine,
        results.load
    );
    line!(
        text,
        "* Every figure is the median of {} rounds of {} s, every ratio the median of the rounds' ratios.",
        options.rounds,
        options.seconds
    );
    line!(text);
}

fn targets(text: &mut String, targets: &[Target]) {
    if targets.is_empty() {
        return;
    }
    line!(text, "## Targets");
    line!(text);
    line!(text, "| Target | Wanted | Measured | |");
    line!(text, "| --- | --- | --- | --- |");
    for target in targets {
        let met = if target.is_met() { "met" } else { "**missed**" };
        line!(text, "| {} | {} | {} | {met} |", target.name, target.wanted(), target.measured());
    }
    line!(text);
}

fn figures(text: &mut String, section: &Section) {
    line!(text, "## {}", section.engine.name());
    line!(text);
    let database = if section.engine == Engine::Postgres { " | PostgreSQL µs" } else { "" };
    line!(text, "| Operation | Connections | Server | Requests/s | p50 ms | p99 ms | Server µs{database} | Load µs |");
    line!(
        text,
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |{}",
        if database.is_empty() { "" } else { " ---: |" }
    );
    for (turn, figures) in &section.turns {
        let Some(figure) = Figure::median(figures) else { continue };
        let database = match section.engine {
            Engine::Postgres => format!(" {:.0} |", micros(figure.cpu.database)),
            Engine::Sqlite => String::new(),
        };
        line!(
            text,
            "| {} | {} | {} | {:.0} | {:.2} | {:.2} | {:.0} |{database} {:.0} |",
            turn.operation,
            turn.connections,
            turn.server,
            figure.rate,
            millis(figure.p50),
            millis(figure.p99),
            micros(figure.cpu.server),
            micros(figure.cpu.load)
        );
    }
    line!(text);
    line!(
        text,
        "µs are processor time for each request: of the server, of the database's processes, of the load generator."
    );
    line!(text);
}

fn ratios(text: &mut String, section: &Section) {
    let rows: Vec<_> = section.turns.iter().filter(|(turn, _)| turn.server == Server::Bailey).collect();
    if rows.is_empty() {
        return;
    }
    line!(
        text,
        "| Operation | Connections | Bailey : bare | Bailey : OpenBao | Bailey, cache off : bare | Cost, Bailey : bare |"
    );
    line!(text, "| --- | ---: | ---: | ---: | ---: | ---: |");
    for (turn, ours) in rows {
        let beside = |server| section.turns.get(&Turn { server, ..*turn });
        let to = |server| beside(server).and_then(|theirs| ratio(ours, theirs));
        let uncached =
            beside(Server::Uncached).zip(beside(Server::Bare)).and_then(|(ours, theirs)| ratio(ours, theirs));
        line!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            turn.operation,
            turn.connections,
            cell(to(Server::Bare)),
            cell(to(Server::OpenBao)),
            cell(uncached),
            cell(beside(Server::Bare).and_then(|theirs| cost(ours, theirs)))
        );
    }
    line!(text);
    line!(text, "Cost is the processor time of a request, of server and database together; less is better.");
    line!(text);
}

fn alone(text: &mut String, results: &Results, section: &Section) {
    let memory: Vec<String> =
        section.resident.iter().map(|(server, bytes)| format!("{server} {:.0} MB", megabytes(*bytes))).collect();
    line!(text, "* Resident at the end: {}.", memory.join("; "));
    if let Some(alone) = &section.alone {
        line!(text, "* Bailey resident after 100,000 requests: {:.1} MB.", megabytes(alone.resident));
        let starts: Vec<String> = alone.starts.iter().map(|start| format!("{:.0}", millis(*start))).collect();
        line!(text, "* Bailey's first payload after a start on a filled folder: {} ms.", starts.join(", "));
        let many = results.options.listed;
        let pages = [
            (format!("first page of {FEW}"), &alone.lists.few),
            (format!("first page of {many}"), &alone.lists.many),
            (format!("page at {} of {many}", many / 10 * 9), &alone.lists.deep),
        ];
        for (name, figures) in pages {
            answers(text, &format!("List of 10, {name}"), figures);
        }
        answers(text, &format!("Container of {REFERENCES} secrets"), &alone.containers.get);
        answers(text, &format!("List of 10 containers of {REFERENCES} secrets each"), &alone.containers.list);
        answers(text, "Payload with Keystone's tokens, known ones", &alone.tokens.keystone);
        answers(text, "Payload with Bailey's own tokens beside it", &alone.tokens.own);
        hsm(text, &alone.hsm);
        kmip(text, &alone.kmip);
        orders(text, &alone.orders);
        certificates(text, &alone.certificates);
        for (connections, layouts) in &alone.split {
            for (layout, figures) in layouts {
                answers(text, &format!("Payload over {connections} connections, {layout}"), figures);
            }
        }
    }
    line!(text);
}

fn hsm(text: &mut String, figures: &HsmFigures) {
    for (what, figures) in [
        ("the simple store", &figures.simple),
        ("SoftHSM", &figures.softhsm),
        ("SoftHSM, cache off", &figures.uncached),
        ("a token that takes 5 ms", &figures.slow),
    ] {
        answers(text, &format!("Payload over {} connections, {what}", hsm::CONNECTIONS), &figures.read);
        answers(text, &format!("Store over {} connections, {what}", hsm::CONNECTIONS), &figures.store);
    }
    let bare = |round: usize| figures.bare.get(round).map_or((f64::NAN, f64::NAN), |(made, opened)| (*opened, *made));
    if let (Some((read, store)), Some(made), Some(opened)) = (
        figures.uncached.to(bare),
        median(figures.bare.iter().map(|(made, _)| *made)),
        median(figures.bare.iter().map(|(_, opened)| *opened)),
    ) {
        let sessions = hsm::SESSIONS;
        line!(text, "* Bare calls in {sessions} sessions: C_Encrypt {made:.0} a second, C_Decrypt {opened:.0}.");
        line!(text, "* SoftHSM, cache off, to bare calls: payload read {read:.2}, store {store:.2}.");
    }
}

fn kmip(text: &mut String, figures: &KmipFigures) {
    for (connections, figures) in figures {
        let plural = if *connections == 1 { "" } else { "s" };
        let name = format!("Payload over {} connections, {connections} to PyKMIP", kmip::CONNECTIONS);
        answers(text, &name, &figures.read);
        if let (Some(bare), Some(ratio)) = (median(figures.bare.iter().copied()), figures.ratio()) {
            line!(
                text,
                "* The same from PyKMIP for {connections} bare client{plural}: {bare:.0} a second; ratio {ratio:.2}."
            );
        }
    }
}

fn answers(text: &mut String, name: &str, figures: &[Figure]) {
    let Some(figure) = Figure::median(figures) else { return };
    let (p50, p99) = (millis(figure.p50), millis(figure.p99));
    line!(text, "* {name}: {:.0} a second, p50 {p50:.2} ms, p99 {p99:.2} ms.", figure.rate);
}

fn orders(text: &mut String, orders: &Orders) {
    let rates = [&orders.keys, &orders.pairs, &orders.bare].map(|rates| median(rates.iter().copied()));
    let waits = median(orders.waits.iter().map(|(p50, _)| *p50)).zip(median(orders.waits.iter().map(|(_, p99)| *p99)));
    if let ([Some(keys), Some(pairs), Some(bare)], Some((p50, p99))) = (rates, waits) {
        line!(text, "* Key orders: {keys:.0} a second, from the first POST to the last ACTIVE.");
        line!(text, "* One key order, from POST to ACTIVE: p50 {:.2} ms, p99 {:.2} ms.", millis(p50), millis(p99));
        line!(text, "* RSA-2048 orders: {pairs:.1} a second; bare threads make {bare:.1}.");
    }
}

fn certificates(text: &mut String, figures: &CertificateFigures) {
    let CertificateFigures { made, of_one, requested, keys, bare } = figures;
    let rates = [made, of_one, requested, keys, bare].map(|rates| median(rates.iter().copied()));
    let [Some(made), Some(of_one), Some(requested), Some(keys), Some(bare)] = rates else { return };
    line!(text, "* Certificates with EC P-256 keys: {made:.0} a second, from the first POST to the last ACTIVE.");
    line!(text, "* The same, all for one project: {of_one:.0} a second.");
    line!(
        text,
        "* Certificates for clients' requests: {requested:.0} a second; key orders in turns with them: {keys:.0}."
    );
    line!(text, "* Bare threads make keys and sign certificates for them: {bare:.0} a second.");
}

fn cell(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Of a million bytes each.
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
