//! The states of a process or a model, and one word that holds a state.

use crate::sync::AtomicU64;
use std::{sync::atomic::Ordering, time::Duration};

/// Whether a process or a model can serve.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Not yet: it is being loaded, or has not been heard of.
    Starting {
        /// How long it will still take, if known; clients are told to retry after it.
        eta: Option<Duration>,
    },
    /// It serves.
    Ready,
    /// It is registered, but parts that it needs are missing.
    Incomplete,
    /// It takes no new requests, and finishes those it has.
    Draining,
    /// It served once, and broke.
    Failed,
}

impl State {
    /// [`Starting`](Self::Starting), for an unknown time.
    #[must_use]
    pub const fn starting() -> Self {
        Self::Starting { eta: None }
    }

    /// The name in snake case, as the health endpoints write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting { .. } => "starting",
            Self::Ready => "ready",
            Self::Incomplete => "incomplete",
            Self::Draining => "draining",
            Self::Failed => "failed",
        }
    }

    /// Whether this is [`Ready`](Self::Ready).
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Ready)
    }
}

/// A state in one atomic word: which one in the low three bits, and above them a millisecond, counted
/// from an origin that the owner keeps. For `Starting` it is when that will be over (0: unknown). For
/// a `Ready` that somebody must confirm it is until when it counts.
#[derive(Debug)]
pub(super) struct StateCell(AtomicU64);

const READY: u64 = 0;
const STARTING: u64 = 1;
const INCOMPLETE: u64 = 2;
const DRAINING: u64 = 3;
const FAILED: u64 = 4;
const READY_UNTIL: u64 = 5;
const KIND: u64 = 0b111;

impl StateCell {
    pub(super) fn new(state: State, now: Duration) -> Self {
        Self(AtomicU64::new(pack(state, now)))
    }

    /// Stores a state. `Ready` counts only for `valid_for`, if that is given: unless it is stored again
    /// by then, it reads as failed.
    pub(super) fn report(&self, state: State, valid_for: Option<Duration>, now: Duration) {
        self.0.store(word(state, valid_for, now), Ordering::Release);
    }

    /// The same for a driver, which does not undo a drain: that is somebody's decision.
    pub(super) fn confirm(&self, state: State, valid_for: Option<Duration>, now: Duration) {
        let unless_draining = |old| (old != DRAINING).then(|| word(state, valid_for, now));
        // An error is a drain, which stays.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, unless_draining);
    }

    /// Stores what another cell with the same origin holds.
    pub(super) fn copy(&self, other: &Self) {
        self.0.store(other.0.load(Ordering::Acquire), Ordering::Release);
    }

    /// One load, all that a request to a ready model costs here; `now` is asked for only where a
    /// state must be confirmed.
    #[inline]
    pub(super) fn is_ready(&self, now: impl FnOnce() -> Duration) -> bool {
        let word = self.0.load(Ordering::Acquire);
        word == READY || (word & KIND == READY_UNTIL && millis(now()) <= word >> 3)
    }

    pub(super) fn load(&self, now: Duration) -> State {
        self.load_at(|| now)
    }

    /// The same; `now` is asked for only where a state depends on it.
    pub(super) fn load_at(&self, now: impl Fn() -> Duration) -> State {
        let word = self.0.load(Ordering::Acquire);
        let end = word >> 3;
        match word & KIND {
            READY => State::Ready,
            INCOMPLETE => State::Incomplete,
            DRAINING => State::Draining,
            READY_UNTIL if millis(now()) <= end => State::Ready,
            FAILED | READY_UNTIL => State::Failed,
            _ if end == 0 => State::starting(),
            _ => State::Starting { eta: Some(Duration::from_millis(end).saturating_sub(now())) },
        }
    }
}

fn word(state: State, valid_for: Option<Duration>, now: Duration) -> u64 {
    match (state, valid_for) {
        (State::Ready, Some(valid_for)) => millis(now.saturating_add(valid_for)) << 3 | READY_UNTIL,
        _ => pack(state, now),
    }
}

fn pack(state: State, now: Duration) -> u64 {
    match state {
        State::Ready => READY,
        State::Incomplete => INCOMPLETE,
        State::Draining => DRAINING,
        State::Failed => FAILED,
        State::Starting { eta: None } => STARTING,
        State::Starting { eta: Some(eta) } => {
            millis(now.saturating_add(eta)).max(1) << 3 | STARTING
        }
    }
}

/// Whole milliseconds, as many as fit above the three bits.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(u64::MAX >> 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn every_state_survives_the_word() {
        for state in [
            State::starting(),
            State::Starting { eta: Some(SECOND) },
            State::Ready,
            State::Incomplete,
            State::Draining,
            State::Failed,
        ] {
            let cell = StateCell::new(state, SECOND);
            assert_eq!(cell.load(SECOND), state);
            assert_eq!(cell.is_ready(|| SECOND), state.is_ready());
        }
    }

    #[test]
    fn the_eta_runs_out_and_stays_at_zero() {
        let cell = StateCell::new(State::Starting { eta: Some(3 * SECOND) }, SECOND);
        assert_eq!(cell.load(2 * SECOND), State::Starting { eta: Some(2 * SECOND) });
        assert_eq!(cell.load(9 * SECOND), State::Starting { eta: Some(Duration::ZERO) });
    }

    #[test]
    fn a_state_that_nobody_confirms_runs_out() {
        let cell = StateCell::new(State::starting(), SECOND);
        cell.report(State::Ready, Some(2 * SECOND), SECOND);
        assert!(cell.is_ready(|| 3 * SECOND));
        assert_eq!(cell.load(3 * SECOND), State::Ready);
        assert!(!cell.is_ready(|| 4 * SECOND));
        assert_eq!(cell.load(4 * SECOND), State::Failed);
    }

    #[test]
    fn an_absurd_eta_does_not_overflow() {
        let cell = StateCell::new(State::Starting { eta: Some(Duration::MAX) }, Duration::MAX);
        assert!(matches!(cell.load(SECOND), State::Starting { eta: Some(_) }));
    }
}

#[cfg(all(test, tower_inference_loom))]
mod loom_models {
    use super::*;
    use crate::sync::AtomicUsize;
    use loom::thread;
    use std::sync::Arc;

    #[test]
    fn loom_whoever_sees_ready_sees_what_was_loaded() {
        loom::model(|| {
            let cell = Arc::new(StateCell::new(State::starting(), Duration::ZERO));
            let weights = Arc::new(AtomicUsize::new(0));
            let (flag, loaded) = (Arc::clone(&cell), Arc::clone(&weights));
            let loader = thread::spawn(move || {
                loaded.store(1, Ordering::Relaxed);
                flag.report(State::Ready, None, Duration::ZERO);
            });
            if cell.is_ready(|| Duration::ZERO) {
                assert_eq!(weights.load(Ordering::Relaxed), 1);
            }
            loader.join().unwrap();
            assert!(cell.is_ready(|| Duration::ZERO), "the next request sees the flip");
        });
    }

    #[test]
    fn loom_a_request_sees_one_of_the_reported_states() {
        loom::model(|| {
            let cell = Arc::new(StateCell::new(State::starting(), Duration::ZERO));
            let reports = [State::Ready, State::Draining].map(|state| {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.report(state, None, Duration::ZERO))
            });
            let seen = cell.load(Duration::ZERO);
            assert!([State::starting(), State::Ready, State::Draining].contains(&seen));
            for report in reports {
                report.join().unwrap();
            }
            assert_ne!(cell.load(Duration::ZERO), State::starting());
        });
    }
}
