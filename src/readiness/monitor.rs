//! Turns what probes and real requests say over time into ready or not ready.
//!
//! Pure: the time is an argument, counted from an origin that the owner keeps, and what changed is
//! returned. The states and their arrows stand in the docs of [`ProbeDriver`](super::ProbeDriver).

use super::{Outcome, State};
use std::{mem::discriminant, time::Duration};

/// How often the gate may open within [`WINDOW`] periods: a server that comes and goes is down.
const OPENINGS: usize = 3;

/// The periods in which openings are counted; a minute, at the default period.
const WINDOW: u32 = 12;

/// Where a monitor stands, in more detail than its [`State`]; what a gauge shows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Phase {
    /// It has not been ready yet, or says that it is loading.
    Starting,
    /// It serves.
    Healthy,
    /// It serves, and is being asked whether it does.
    Probing,
    /// It serves, but has missed probes or failed requests.
    Suspect,
    /// It missed too many.
    Dead,
}

/// How deep a probe looks; each has its own count of misses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tier {
    /// The health endpoint.
    Shallow,
    /// Real work: a probe that asks for a token, and the requests of clients.
    Deep,
}

/// What a monitor is told to tolerate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) period: Duration,
    pub(super) grace: Duration,
    pub(super) failure_threshold: u32,
    pub(super) success_threshold: u32,
    /// Every which probe is deep; 0 for none.
    pub(super) deep_every: u32,
}

/// One probe that was begun. A later one makes its result void.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Trial {
    generation: u64,
    pub(super) tier: Tier,
}

#[derive(Debug)]
pub(super) struct Monitor {
    pub(super) limits: Limits,
    gate: Gate,
    misses: Misses,
    successes: u32,
    generation: u64,
    running: Option<Trial>,
    /// Whether real work was completed while the present probe was running.
    excused: bool,
    /// Probes begun while open.
    probes: u32,
    /// When the gate opened the last times, the oldest first.
    opened: [Option<Duration>; OPENINGS],
    told: State,
}

#[derive(Debug)]
enum Gate {
    Starting { grace_until: Duration, ready_at: Option<Duration> },
    Open,
    Dead { grace_until: Duration, cause: Tier },
}

/// Consecutive misses.
#[derive(Debug, Default)]
struct Misses {
    shallow: u32,
    deep: u32,
    /// How often the server itself said that it is not ready. Work it completes does not take that
    /// back: who drains, completes.
    said: u32,
}

impl Monitor {
    pub(super) fn new(limits: Limits, now: Duration) -> Self {
        let grace_until = now.saturating_add(limits.grace);
        Self {
            limits,
            gate: Gate::Starting { grace_until, ready_at: None },
            misses: Misses::default(),
            successes: 0,
            generation: 0,
            running: None,
            excused: false,
            probes: 0,
            opened: [None; OPENINGS],
            told: State::starting(),
        }
    }

    /// The state of the gate. Changes without an event only when a grace period ends.
    pub(super) fn state(&self, now: Duration) -> State {
        match self.gate {
            Gate::Starting { ready_at, .. } => {
                State::Starting { eta: ready_at.map(|at| at.saturating_sub(now)) }
            }
            Gate::Open => State::Ready,
            // It may be restarting, so requests may wait for it.
            Gate::Dead { grace_until, .. } if now < grace_until => State::starting(),
            Gate::Dead { .. } => State::Failed,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        let Misses { shallow, deep, said } = self.misses;
        match self.gate {
            Gate::Starting { .. } => Phase::Starting,
            Gate::Dead { .. } => Phase::Dead,
            Gate::Open if shallow + deep + said > 0 => Phase::Suspect,
            Gate::Open if self.running.is_some() => Phase::Probing,
            Gate::Open => Phase::Healthy,
        }
    }

    /// The state, if it is another kind than when this was asked last.
    #[must_use]
    pub(super) fn change(&mut self, now: Duration) -> Option<State> {
        let state = self.state(now);
        let changed = discriminant(&state) != discriminant(&self.told);
        self.told = state;
        changed.then_some(state)
    }

    /// A probe begins; the result of any before it is void.
    #[must_use]
    pub(super) fn begin(&mut self) -> Trial {
        let deep = self.limits.deep_every;
        let tier = match self.gate {
            // Starting => Starting: no work before the server says that it can.
            Gate::Starting { .. } => Tier::Shallow,
            // Healthy => Probing
            Gate::Open => {
                self.probes = self.probes.wrapping_add(1);
                // A deep probe takes long, and would only delay what shallow ones are about to find.
                let doubtful = self.misses.shallow + self.misses.said > 0;
                let due = deep > 0 && self.probes % deep == 0;
                if due && !doubtful { Tier::Deep } else { Tier::Shallow }
            }
            // Dead => Dead: the one trial, of what it died of.
            Gate::Dead { cause, .. } => {
                if deep > 0 {
                    cause
                } else {
                    Tier::Shallow
                }
            }
        };
        self.generation += 1;
        self.excused = false;
        let trial = Trial { generation: self.generation, tier };
        self.running = Some(trial);
        trial
    }

    /// The probe is over.
    pub(super) fn finish(&mut self, now: Duration, trial: Trial, outcome: Outcome) {
        if self.running != Some(trial) {
            return;
        }
        self.running = None;
        match outcome {
            Outcome::Ready => self.succeed(now, trial.tier),
            Outcome::NotReady { eta } => self.deny(now, trial.tier, eta),
            // Probing => Healthy: a full queue is no miss, nor is silence while work is completed.
            Outcome::Busy => {}
            Outcome::Failed if self.excused => {}
            Outcome::Failed => self.miss(now, trial.tier),
        }
    }

    /// A request of a client was completed.
    pub(super) fn completed(&mut self) {
        match self.gate {
            // Suspect | Probing => Healthy
            Gate::Open => {
                (self.misses.shallow, self.misses.deep) = (0, 0);
                self.excused = self.running.is_some();
            }
            // What completes now was begun before: only a trial opens.
            Gate::Starting { .. } | Gate::Dead { .. } => {}
        }
    }

    /// A request of a client failed, and the server is to blame.
    pub(super) fn failed(&mut self, now: Duration) {
        match self.gate {
            // Healthy | Probing => (Suspect | Dead)
            Gate::Open => self.miss(now, Tier::Deep),
            Gate::Starting { .. } | Gate::Dead { .. } => {}
        }
    }

    /// Whether this probe need not be waited for: real work was completed since it began.
    pub(super) fn is_excused(&self, trial: Trial) -> bool {
        self.excused && self.running == Some(trial)
    }

    /// Nobody asks any more.
    pub(super) fn end(&mut self) {
        self.running = None;
        self.gate = Gate::Dead { grace_until: Duration::ZERO, cause: Tier::Shallow };
    }

    fn succeed(&mut self, now: Duration, tier: Tier) {
        let cause = match self.gate {
            // (Probing | Suspect) => Healthy, once the misses of both tiers are cleared.
            Gate::Open => {
                self.misses = match tier {
                    Tier::Shallow => Misses { deep: self.misses.deep, ..Misses::default() },
                    Tier::Deep => Misses { said: self.misses.said, ..Misses::default() },
                };
                return;
            }
            Gate::Starting { .. } => Tier::Shallow,
            Gate::Dead { cause, .. } => cause,
        };
        self.successes = self.successes.saturating_add(1);
        if self.successes >= self.limits.success_threshold && self.may_open(now) {
            // (Starting | Dead) => Healthy
            self.gate = Gate::Open;
            self.misses = Misses::default();
            if (cause, tier) == (Tier::Deep, Tier::Shallow) {
                // Dead => Suspect: half open. Nothing but real work shows that it works, so the first
                // request that fails closes the gate again.
                self.misses.deep = self.limits.failure_threshold.saturating_sub(1);
            }
            self.opened.rotate_left(1);
            self.opened[OPENINGS - 1] = Some(now);
        }
    }

    fn may_open(&self, now: Duration) -> bool {
        let window = self.limits.period.saturating_mul(WINDOW);
        self.opened[0].is_none_or(|at| now.saturating_sub(at) >= window)
    }

    fn deny(&mut self, now: Duration, tier: Tier, eta: Option<Duration>) {
        self.successes = 0;
        match (&mut self.gate, tier) {
            // What its health endpoint does not know is a failure at work.
            (Gate::Open, Tier::Deep) => return self.miss(now, tier),
            (Gate::Open, Tier::Shallow) => {
                self.misses.said += 1;
                if self.misses.said < self.limits.failure_threshold {
                    // Probing => Suspect
                    return;
                }
            }
            // Dead => Dead: it may be restarting.
            (Gate::Dead { grace_until, .. }, Tier::Deep) => {
                *grace_until = now.saturating_add(self.limits.grace);
                return;
            }
            (Gate::Starting { .. } | Gate::Dead { .. }, _) => {}
        }
        // (Starting | Suspect | Dead) => Starting: it is alive, and loads for as long as it says so.
        self.misses = Misses::default();
        self.gate = Gate::Starting {
            grace_until: now.saturating_add(self.limits.grace),
            ready_at: eta.map(|eta| now.saturating_add(eta)),
        };
    }

    fn miss(&mut self, now: Duration, tier: Tier) {
        self.successes = 0;
        let grace_until = match self.gate {
            Gate::Open => now.saturating_add(self.limits.grace),
            // Starting => Starting: nothing counts before the grace period is over.
            Gate::Starting { grace_until, .. } if now < grace_until => return,
            Gate::Starting { grace_until, .. } => grace_until,
            // Dead => Dead
            Gate::Dead { .. } => return,
        };
        let count = match tier {
            Tier::Shallow => &mut self.misses.shallow,
            Tier::Deep => &mut self.misses.deep,
        };
        *count += 1;
        // Probing => Suspect, below the threshold.
        if *count >= self.limits.failure_threshold {
            // (Suspect | Starting) => Dead
            self.misses = Misses::default();
            self.gate = Gate::Dead { grace_until, cause: tier };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOT_READY: Outcome = Outcome::NotReady { eta: None };

    fn limits() -> Limits {
        Limits {
            period: 5 * SECOND,
            grace: 30 * SECOND,
            failure_threshold: 3,
            success_threshold: 1,
            deep_every: 0,
        }
    }

    fn probe(monitor: &mut Monitor, now: Duration, outcome: Outcome) -> Tier {
        let trial = monitor.begin();
        monitor.finish(now, trial, outcome);
        trial.tier
    }

    fn healthy(limits: Limits) -> Monitor {
        let mut monitor = Monitor::new(limits, Duration::ZERO);
        probe(&mut monitor, Duration::ZERO, Outcome::Ready);
        assert_eq!(monitor.phase(), Phase::Healthy);
        assert_eq!(monitor.change(Duration::ZERO), Some(State::Ready));
        monitor
    }

    /// Runs a script against a healthy monitor, a step a second from 100 s on, and writes down the
    /// phases. `r` ready, `n` not ready, `b` busy, `f` failed probe; `C` completed, `F` failed request.
    fn run(monitor: &mut Monitor, script: &str) -> String {
        let mut phases = String::new();
        for (step, what) in (100..).zip(script.chars()) {
            let now = step * SECOND;
            match what {
                'r' => drop(probe(monitor, now, Outcome::Ready)),
                'n' => drop(probe(monitor, now, NOT_READY)),
                'b' => drop(probe(monitor, now, Outcome::Busy)),
                'f' => drop(probe(monitor, now, Outcome::Failed)),
                'C' => monitor.completed(),
                'F' => monitor.failed(now),
                _ => unreachable!("{what}"),
            }
            let initial = format!("{:?}", monitor.phase());
            phases.push_str(&initial[..1]);
        }
        phases
    }

    // R5 T16 T18 T19 T20
    #[test]
    fn transitions() {
        let table = [
            // Consecutive misses, and the opposite clears them.
            ("ff", "SS"),
            ("fff", "SSD"),
            ("ffrff", "SSHSS"),
            ("ffrfff", "SSHSSD"),
            ("fffr", "SSDH"),
            ("ffffffr", "SSDDDDH"),
            // Busy is neither a miss nor a success.
            ("bbbbb", "HHHHH"),
            ("ffbf", "SSSD"),
            ("fffbb", "SSDDD"),
            // Work that completes resets the misses.
            ("ffCff", "SSHSS"),
            ("fCfCfCf", "SHSHSHS"),
            ("fffC", "SSDD"),
            // Requests that fail count like deep probes.
            ("FFF", "SSD"),
            ("FFCFF", "SSHSS"),
            ("FFrF", "SSSD"),
            ("fFfF", "SSSS"),
            // Half open: one request decides.
            ("FFFrF", "SSDSD"),
            ("FFFrCFF", "SSDSHSS"),
            ("FFFrCFFF", "SSDSHSSD"),
            // The server's own word is not taken back by work that it completes.
            ("nn", "SS"),
            ("nnn", "SSS"),
            ("nCnCn", "SSSSS"),
            ("nrnn", "SHSS"),
            ("fffn", "SSDS"),
        ];
        for (script, expected) in table {
            let mut monitor = healthy(limits());
            assert_eq!(run(&mut monitor, script), expected, "{script}");
        }
    }

    #[test]
    fn three_times_not_ready_closes_the_gate_whatever_completes() {
        for script in ["nnn", "nCnCn", "nbfbnn"] {
            let mut monitor = healthy(limits());
            run(&mut monitor, &script[..script.len() - 1]);
            assert_eq!(monitor.state(110 * SECOND), State::Ready, "{script}");
            run(&mut monitor, "n");
            assert_eq!(monitor.state(110 * SECOND), State::starting(), "{script}");
        }
    }

    // R5
    #[test]
    fn successes_must_be_consecutive_too() {
        let mut monitor = healthy(limits());
        monitor.limits.success_threshold = 2;
        assert_eq!(run(&mut monitor, "fffrfrbr"), "SSDDDDDH");
    }

    // R7
    #[test]
    fn unknown_is_not_ready_and_the_first_success_counts_at_once() {
        let mut monitor = Monitor::new(limits(), Duration::ZERO);
        assert_eq!(monitor.state(Duration::ZERO), State::starting());
        assert_eq!(monitor.change(Duration::ZERO), None);
        probe(&mut monitor, SECOND, Outcome::Ready);
        assert_eq!(monitor.change(SECOND), Some(State::Ready));
        assert_eq!(monitor.change(SECOND), None);
    }

    // T17
    #[test]
    fn failures_within_the_grace_period_do_not_count() {
        let mut monitor = Monitor::new(limits(), Duration::ZERO);
        for second in 0..30 {
            probe(&mut monitor, second * SECOND, Outcome::Failed);
        }
        for second in 30..32 {
            probe(&mut monitor, second * SECOND, Outcome::Failed);
            assert_eq!(monitor.state(second * SECOND), State::starting());
        }
        probe(&mut monitor, 32 * SECOND, Outcome::Failed);
        assert_eq!(monitor.state(32 * SECOND), State::Failed);
    }

    #[test]
    fn a_server_that_says_it_is_loading_is_starting_for_as_long_as_it_says_so() {
        let mut monitor = Monitor::new(limits(), Duration::ZERO);
        let eta = Some(20 * SECOND);
        for second in 0..600 {
            probe(&mut monitor, second * SECOND, Outcome::NotReady { eta });
            assert_eq!(monitor.state(second * SECOND), State::Starting { eta });
        }
        assert_eq!(monitor.state(604 * SECOND), State::Starting { eta: Some(15 * SECOND) });
    }

    #[test]
    fn what_died_may_restart_within_its_grace_period_and_has_then_failed() {
        let mut monitor = healthy(limits());
        run(&mut monitor, "fff");
        assert_eq!(monitor.change(102 * SECOND), Some(State::starting()));
        assert_eq!(monitor.state(131 * SECOND), State::starting());
        assert_eq!(monitor.change(132 * SECOND), Some(State::Failed));
        assert_eq!(monitor.phase(), Phase::Dead);
    }

    // T20
    #[test]
    fn a_shallow_success_does_not_clear_deep_misses() {
        let mut monitor = healthy(Limits { deep_every: 3, ..limits() });
        // The second, fifth and eighth of these are deep.
        assert_eq!(run(&mut monitor, "rrfrrfrr"), "HHSSSSSS");
        assert_eq!(run(&mut monitor, "f"), "D");
        // And it opens with what it died of.
        assert_eq!(probe(&mut monitor, 200 * SECOND, Outcome::Failed), Tier::Deep);
        assert_eq!(probe(&mut monitor, 205 * SECOND, Outcome::Ready), Tier::Deep);
        assert_eq!(monitor.phase(), Phase::Healthy);
    }

    #[test]
    fn work_that_is_refused_as_not_ready_is_a_deep_miss() {
        let mut monitor = healthy(Limits { deep_every: 2, ..limits() });
        // Every second probe is a deep one.
        assert_eq!(run(&mut monitor, "rnrnrn"), "HSSSSD");
        probe(&mut monitor, 140 * SECOND, NOT_READY);
        assert_eq!(monitor.state(160 * SECOND), State::starting());
        assert_eq!(probe(&mut monitor, 165 * SECOND, Outcome::Ready), Tier::Deep);
        assert_eq!(monitor.phase(), Phase::Healthy);
    }

    #[test]
    fn while_shallow_probes_fail_there_are_no_deep_ones() {
        let mut monitor = healthy(Limits { deep_every: 2, ..limits() });
        for tier in [Tier::Shallow, Tier::Deep, Tier::Shallow] {
            assert_eq!(probe(&mut monitor, SECOND, Outcome::Ready), tier);
        }
        monitor.probes = 0;
        assert_eq!(probe(&mut monitor, SECOND, Outcome::Failed), Tier::Shallow);
        assert_eq!(probe(&mut monitor, SECOND, Outcome::Ready), Tier::Shallow);
    }

    // R4
    #[test]
    fn the_late_result_of_an_old_probe_is_void() {
        let mut monitor = healthy(Limits { failure_threshold: 1, ..limits() });
        let old = monitor.begin();
        let new = monitor.begin();
        monitor.finish(SECOND, new, Outcome::Ready);
        monitor.finish(SECOND, old, Outcome::Failed);
        monitor.finish(SECOND, new, Outcome::Failed);
        assert_eq!(monitor.phase(), Phase::Healthy);
    }

    // T18
    #[test]
    fn a_probe_that_fails_while_work_is_completed_is_no_miss() {
        let mut monitor = healthy(Limits { failure_threshold: 1, ..limits() });
        let trial = monitor.begin();
        assert_eq!(monitor.phase(), Phase::Probing);
        assert!(!monitor.is_excused(trial));
        monitor.completed();
        assert!(monitor.is_excused(trial));
        monitor.finish(SECOND, trial, Outcome::Failed);
        assert_eq!(monitor.phase(), Phase::Healthy);
        // That was for this probe only.
        probe(&mut monitor, 2 * SECOND, Outcome::Failed);
        assert_eq!(monitor.phase(), Phase::Dead);
    }

    // R6
    #[test]
    fn a_server_that_comes_and_goes_opens_three_times_a_minute_at_most() {
        let mut monitor = healthy(Limits { failure_threshold: 1, ..limits() });
        let mut openings = Vec::new();
        for second in 1..=600 {
            let outcome = if second % 2 == 0 { Outcome::Ready } else { Outcome::Failed };
            probe(&mut monitor, second * SECOND, outcome);
            if monitor.change(second * SECOND) == Some(State::Ready) {
                openings.push(second);
            }
        }
        assert!((25..=30).contains(&openings.len()), "{openings:?}");
        assert!(openings.windows(4).all(|it| it[3] - it[0] >= 60), "{openings:?}");
    }

    // R14
    #[test]
    fn leaps_of_the_clock_do_no_harm() {
        let mut monitor = healthy(limits());
        let month = 30 * 86_400 * SECOND;
        for now in [month, Duration::ZERO, Duration::MAX, SECOND] {
            probe(&mut monitor, now, Outcome::Failed);
            probe(&mut monitor, now, Outcome::NotReady { eta: Some(Duration::MAX) });
            let _ = monitor.state(Duration::ZERO);
        }
    }
}
