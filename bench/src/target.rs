//! What Bailey is to reach, and whether it does.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::figure::{Figure, Operation, median, ratio};
use crate::hsm::{self, HsmFigures};
use crate::options::Engine;
use crate::report::millis;
use crate::run::{Lists, Results, Section, Turn};
use crate::subject::Server;
use crate::subject::split::Layout;

const CALM: usize = 8;
const MEMORY_MB: f64 = 60.0;
const START_MS: f64 = 300.0;
const TAIL: f64 = 10.0;
const LIST: f64 = 1.5;
const PAIRS: f64 = 0.8;
const CERTIFICATES: f64 = 0.5;
const KEYSTONE: f64 = 0.95;
const SPLIT: f64 = 0.5;
const SPLIT_MS: f64 = 1.0;
const SECOND_WORKER: f64 = 1.0;
const HSM: f64 = 0.7;
const SLOW_HSM: f64 = 0.8;

/// One figure with its bound.
pub struct Target {
    /// What is measured.
    pub name: String,
    unit: &'static str,
    measured: f64,
    bound: Bound,
}

enum Bound {
    AtLeast(f64),
    Above(f64),
    AtMost(f64),
    Below(f64),
}

impl Target {
    /// Whether the figure is within its bound.
    pub fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.measured >= bound,
            Bound::Above(bound) => self.measured > bound,
            Bound::AtMost(bound) => self.measured <= bound,
            Bound::Below(bound) => self.measured < bound,
        }
    }

    /// The bound, as text.
    pub fn wanted(&self) -> String {
        let (sign, bound) = match self.bound {
            Bound::AtLeast(bound) => ("≥", bound),
            Bound::Above(bound) => (">", bound),
            Bound::AtMost(bound) => ("≤", bound),
            Bound::Below(bound) => ("<", bound),
        };
        format!("{sign} {bound}{}", self.unit)
    }

    /// The figure, as text.
    pub fn measured(&self) -> String {
        let digits = if self.unit.is_empty() { 2 } else { 1 };
        format!("{:.digits$}{}", self.measured, self.unit)
    }
}

/// All targets that `results` have figures for.
pub fn all(results: &Results) -> Vec<Target> {
    results.databases.iter().flat_map(|section| of_section(section, &results.options.connections)).collect()
}

fn of_section(section: &Section, connections: &[usize]) -> Vec<Target> {
    let mut targets = Vec::new();
    for operation in [Operation::Payload, Operation::Store] {
        for &connections in connections {
            let to = |rival| {
                let figures = |server| section.turns.get(&Turn { operation, connections, server });
                ratio(figures(Server::Bailey)?, figures(rival)?)
            };
            let name =
                |rival| name(section, format_args!("{operation} over {connections} connections, ratio to {rival}"));
            let least = if operation == Operation::Payload { 1.0 } else { 0.7 };
            if section.engine == Engine::Postgres
                && let Some(measured) = to(Server::Bare)
            {
                targets.push(Target { name: name(Server::Bare), unit: "", measured, bound: Bound::AtLeast(least) });
            }
            if let Some(measured) = to(Server::OpenBao) {
                targets.push(Target { name: name(Server::OpenBao), unit: "", measured, bound: Bound::Above(1.0) });
            }
        }
    }
    for (turn, figures) in &section.turns {
        if turn.server == Server::Bailey
            && turn.connections == CALM
            && let Some(measured) = median(figures.iter().map(Figure::tail))
        {
            let name = name(section, format_args!("{} over {CALM} connections, p99 to p50", turn.operation));
            targets.push(Target { name, unit: "", measured, bound: Bound::Below(TAIL) });
        }
    }
    targets.extend(alone(section));
    targets
}

fn alone(section: &Section) -> Vec<Target> {
    let Some(alone) = &section.alone else { return Vec::new() };
    let mut targets = Vec::new();
    if let Some(measured) = list_cost(&alone.lists) {
        let name = name(section, "list of 10, time among many to time among few");
        targets.push(Target { name, unit: "", measured, bound: Bound::AtMost(LIST) });
    }
    if let Some(measured) = ratio(&alone.tokens.keystone, &alone.tokens.own) {
        let name = name(section, "payload with Keystone's tokens, ratio to Bailey's own");
        targets.push(Target { name, unit: "", measured, bound: Bound::AtLeast(KEYSTONE) });
    }
    targets.extend(hsm(section, &alone.hsm));
    targets.extend(alone.split.iter().flat_map(|(connections, layouts)| split(section, *connections, layouts)));
    let pairs = &alone.orders;
    if let Some(measured) = median(pairs.pairs.iter().zip(&pairs.bare).map(|(ours, bare)| ours / bare)) {
        let name = name(section, "RSA-2048 orders, ratio to bare threads");
        targets.push(Target { name, unit: "", measured, bound: Bound::AtLeast(PAIRS) });
    }
    let certificates = &alone.certificates;
    if let Some(measured) = median(certificates.made.iter().zip(&certificates.keys).map(|(ours, keys)| ours / keys)) {
        let name = name(section, "certificates of the local CA, EC P-256, ratio to key orders");
        targets.push(Target { name, unit: "", measured, bound: Bound::AtLeast(CERTIFICATES) });
    }
    let name_of_memory = name(section, "resident after 100,000 requests");
    let measured = alone.resident as f64 / 1e6;
    targets.push(Target { name: name_of_memory, unit: " MB", measured, bound: Bound::Below(MEMORY_MB) });
    if let Some(slowest) = alone.starts.iter().max() {
        let name = name(section, "slowest of five first answers after start");
        let measured = slowest.as_secs_f64() * 1e3;
        targets.push(Target { name, unit: " ms", measured, bound: Bound::AtMost(START_MS) });
    }
    targets
}

fn hsm(section: &Section, figures: &HsmFigures) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut add = |what: &str, measured, least| {
        let name = name(section, format_args!("{what} over {} connections", hsm::CONNECTIONS));
        targets.push(Target { name, unit: "", measured, bound: Bound::AtLeast(least) });
    };
    if let Some(measured) = ratio(&figures.softhsm.read, &figures.simple.read) {
        add("payload read through SoftHSM, ratio to the simple store,", measured, HSM);
    }
    if let Some((read, store)) = figures.slow.to(|_| (hsm::most_slow(), hsm::most_slow())) {
        add("payload read through a token that takes 5 ms, ratio to sessions / 5 ms,", read, SLOW_HSM);
        add("payload stored through a token that takes 5 ms, ratio to sessions / 5 ms,", store, SLOW_HSM);
    }
    targets
}

fn split(section: &Section, connections: usize, layouts: &BTreeMap<Layout, Vec<Figure>>) -> Vec<Target> {
    let figures = |layout| layouts.get(&layout).map_or(&[][..], Vec::as_slice);
    let [single, one, two, one_alone, two_alone] = Layout::ALL.map(figures);
    let name = |what: &str| name(section, format_args!("payload read over {connections} connections, {what}"));
    let mut targets = Vec::new();
    if let Some(measured) = ratio(one, single) {
        let name = name("API and worker apart, ratio to one process");
        targets.push(Target { name, unit: "", measured, bound: Bound::AtLeast(SPLIT) });
    }
    if let Some(measured) = ratio(two, one) {
        let name = name("two workers, ratio to one");
        targets.push(Target { name, unit: "", measured, bound: Bound::AtLeast(SECOND_WORKER) });
    }
    if let Some(measured) = ratio(two_alone, one_alone) {
        let name = name("two workers with processors of their own, ratio to one such");
        targets.push(Target { name, unit: "", measured, bound: Bound::AtLeast(SECOND_WORKER) });
    }
    let longer = one.iter().zip(single).map(|(apart, single)| millis(apart.p50) - millis(single.p50));
    if connections == CALM
        && let Some(measured) = median(longer)
    {
        let name = name("API and worker apart, what is added to p50");
        targets.push(Target { name, unit: " ms", measured, bound: Bound::Below(SPLIT_MS) });
    }
    targets
}

/// How much longer a list takes among many: the rate among few over that among many.
fn list_cost(lists: &Lists) -> Option<f64> {
    ratio(&lists.few, &lists.many)
}

fn name(section: &Section, what: impl Display) -> String {
    format!("{}: {what}", section.engine.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(measured: f64, bound: Bound) -> Target {
        Target { name: String::new(), unit: "", measured, bound }
    }

    #[test]
    fn bounds_are_kept_at_their_edge() {
        assert!(target(1.0, Bound::AtLeast(1.0)).is_met());
        assert!(!target(1.0, Bound::Above(1.0)).is_met());
        assert!(target(1.5, Bound::AtMost(1.5)).is_met());
        assert!(!target(10.0, Bound::Below(10.0)).is_met());
        assert!(!target(f64::NAN, Bound::AtMost(1.0)).is_met());
    }

    #[test]
    fn targets_say_what_they_want() {
        let target = Target { unit: " MB", ..target(48.25, Bound::Below(60.0)) };
        assert_eq!((target.wanted(), target.measured()), ("< 60 MB".into(), "48.2 MB".into()));
    }
}
