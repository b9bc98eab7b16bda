//! Whether a back-end can be used: when it is no longer asked, and when it is probed.
//!
//! A state machine without clock, task or back-end: whoever drives it tells what happened and when.

use std::time::{Duration, Instant};

/// What is known of a back-end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProbeState {
    /// It hasn't answered yet. It is asked like a usable one.
    Probing,
    /// It answers.
    Usable,
    /// It doesn't answer and is not asked; probes find out when it does.
    Unusable,
}

impl ProbeState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Probing, Self::Usable, Self::Unusable];

    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probing => "probing",
            Self::Usable => "usable",
            Self::Unusable => "unusable",
        }
    }
}

/// When a back-end is given up, and how often it is probed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeLimits {
    /// Calls that fail one after the other before the back-end is unusable; at least 1.
    pub failures: u32,
    /// From the first probe in vain to the second; doubles with each further one.
    pub shortest_wait: Duration,
    /// Longest time between two probes.
    pub longest_wait: Duration,
}

/// The state of one back-end.
///
/// * An answer is whatever the back-end itself said, a refusal included. A failure is that it said nothing
///   or that it is out of reach.
/// * Failures count only while no answer comes in between, and only if their call began after the last
///   answer: one slow caller among others changes nothing, nor do the last calls of an outage that is over.
/// * The first probe is due as soon as the back-end is unusable: what failed may have been the calls' own
///   trouble. Each probe in vain doubles the time to the next. Only the answer to a call, not that to a probe,
///   lets the next outage begin anew: a back-end that is well only when probed is asked ever more seldom.
#[derive(Debug, Clone)]
pub struct Probe {
    limits: ProbeLimits,
    state: ProbeState,
    failures: u32,
    /// What happened last that made failures before it old.
    since: Option<Instant>,
    wait: Duration,
    next_at: Option<Instant>,
}

impl Probe {
    /// A back-end that nobody has asked yet; its first probe is due at once.
    #[must_use]
    pub const fn new(limits: ProbeLimits, now: Instant) -> Self {
        let wait = limits.shortest_wait;
        Self { limits, state: ProbeState::Probing, failures: 0, since: None, wait, next_at: Some(now) }
    }

    /// What is known of it.
    #[must_use]
    pub const fn state(&self) -> ProbeState {
        self.state
    }

    /// When it is to be probed; `None` while it answers.
    #[must_use]
    pub const fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// A call was answered. While the back-end is unusable that changes nothing: the call is from before.
    pub fn answered(&mut self, now: Instant) {
        if self.state != ProbeState::Unusable {
            self.become_usable(now);
            self.wait = Duration::ZERO;
        }
    }

    /// A call that began at `begun_at` failed.
    pub fn failed(&mut self, begun_at: Instant, now: Instant) {
        if self.state == ProbeState::Unusable || self.since.is_some_and(|since| begun_at < since) {
            return;
        }
        self.failures += 1;
        if self.failures >= self.limits.failures {
            self.become_unusable(now);
        }
    }

    /// A probe was answered.
    pub fn probe_answered(&mut self, now: Instant) {
        self.become_usable(now);
    }

    /// A probe failed. One is enough while nothing ever answered; a usable back-end is judged by its calls.
    pub fn probe_failed(&mut self, now: Instant) {
        if self.state != ProbeState::Usable {
            self.become_unusable(now);
        }
    }

    const fn become_usable(&mut self, now: Instant) {
        self.state = ProbeState::Usable;
        self.failures = 0;
        self.since = Some(now);
        self.next_at = None;
    }

    fn become_unusable(&mut self, now: Instant) {
        self.state = ProbeState::Unusable;
        self.failures = 0;
        self.next_at = now.checked_add(self.wait);
        self.wait = self.wait.saturating_mul(2).clamp(self.limits.shortest_wait, self.limits.longest_wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ProbeLimits =
        ProbeLimits { failures: 3, shortest_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(3) };

    /// A probe and a clock that only tests move.
    struct Case {
        probe: Probe,
        now: Instant,
    }

    impl Case {
        fn new() -> Self {
            let now = Instant::now();
            Self { probe: Probe::new(LIMITS, now), now }
        }

        fn usable() -> Self {
            let mut case = Self::new();
            case.probe.answered(case.now);
            case.assert(ProbeState::Usable);
            case.pass(1);
            case
        }

        fn pass(&mut self, millis: u64) {
            self.now += Duration::from_millis(millis);
        }

        /// A call that takes a second and fails.
        fn fail(&mut self) {
            let begun_at = self.now;
            self.pass(1000);
            self.probe.failed(begun_at, self.now);
        }

        fn assert(&self, state: ProbeState) {
            assert_eq!(self.probe.state(), state);
            assert_eq!(self.probe.next_at().is_none(), state == ProbeState::Usable, "{:?}", self.probe);
        }

        /// Milliseconds to the next probe.
        fn wait(&self) -> Option<u128> {
            self.probe.next_at().map(|next| next.duration_since(self.now).as_millis())
        }
    }

    #[test]
    fn it_is_probing_until_the_first_answer() {
        let mut case = Case::new();
        assert_eq!(case.wait(), Some(0), "at once");
        case.fail();
        case.assert(ProbeState::Probing);
        case.probe.answered(case.now);
        case.assert(ProbeState::Usable);

        let mut down = Case::new();
        down.probe.probe_failed(down.now);
        down.assert(ProbeState::Unusable);
        assert_eq!(down.wait(), Some(500));
    }

    #[test]
    fn failures_in_a_row_make_it_unusable_and_an_answer_between_them_does_not() {
        let mut case = Case::usable();
        for _ in 0..10 {
            case.fail();
            case.fail();
            case.assert(ProbeState::Usable);
            case.pass(1);
            case.probe.answered(case.now);
        }
        for _ in 0..3 {
            case.assert(ProbeState::Usable);
            case.fail();
        }
        case.assert(ProbeState::Unusable);
    }

    #[test]
    fn slow_callers_among_fast_ones_do_not_make_it_unusable() {
        let mut case = Case::usable();
        let begun_at = case.now;
        case.pass(9_000);
        case.probe.answered(case.now);
        case.pass(1_000);
        for _ in 0..100 {
            case.probe.failed(begun_at, case.now);
        }
        case.assert(ProbeState::Usable);
    }

    #[test]
    fn the_last_calls_of_an_outage_do_not_bring_it_back() {
        let mut case = Case::usable();
        let begun_at = case.now;
        (0..3).for_each(|_| case.fail());
        case.probe.answered(case.now);
        case.assert(ProbeState::Unusable);
        let wait = case.wait();
        case.probe.failed(begun_at, case.now);
        assert_eq!(case.wait(), wait, "nor put off its probe");
        case.pass(500);
        case.probe.probe_answered(case.now);
        case.pass(1);
        (0..100).for_each(|_| case.probe.failed(begun_at, case.now));
        case.assert(ProbeState::Usable);
    }

    #[test]
    fn probes_come_ever_more_seldom_up_to_a_limit() {
        let mut case = Case::usable();
        (0..3).for_each(|_| case.fail());
        let mut waits = Vec::new();
        for _ in 0..6 {
            waits.extend(case.wait());
            case.pass(waits.last().map_or(0, |wait| *wait as u64));
            case.probe.probe_failed(case.now);
        }
        assert_eq!(waits, [0, 500, 1000, 2000, 3000, 3000]);
        case.probe.probe_answered(case.now);
        case.assert(ProbeState::Usable);
    }

    #[test]
    fn only_a_call_s_answer_makes_the_next_outage_a_new_one() {
        let mut case = Case::usable();
        let mut outages = Vec::new();
        for outage in 0..4 {
            (0..3).for_each(|_| case.fail());
            outages.extend(case.wait());
            case.probe.probe_answered(case.now);
            case.pass(1);
            if outage == 2 {
                case.probe.answered(case.now);
                case.pass(1);
            }
        }
        assert_eq!(outages, [0, 500, 1000, 0]);
    }

    #[test]
    fn a_probe_that_fails_while_calls_are_answered_changes_nothing() {
        let mut case = Case::usable();
        case.probe.probe_failed(case.now);
        case.assert(ProbeState::Usable);
    }
}
