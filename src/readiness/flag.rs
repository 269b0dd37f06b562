//! One state for the whole process.

use super::{InFlight, NotReady, ReadinessProbe, Reporter, State, Verdict, Wake, state::StateCell};
use crate::head::RequestHead;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Readiness of a whole process: cheap to clone, all clones share one state.
///
/// ```
/// use tower_inference::{ReadyFlag, readiness::State};
///
/// let flag = ReadyFlag::new();
/// assert_eq!(flag.state(), State::starting());
/// // Elsewhere, once the weights are loaded:
/// flag.set(State::Ready);
/// assert!(flag.state().is_ready());
/// ```
#[derive(Clone, Debug)]
pub struct ReadyFlag(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    origin: Instant,
    state: StateCell,
    wake: Wake,
    in_flight: InFlight,
}

impl Inner {
    pub(super) fn report(&self, state: State, valid_for: Option<Duration>) {
        self.state.report(state, valid_for, self.origin.elapsed());
        self.wake.wake();
    }

    pub(super) fn confirm(&self, state: State, valid_for: Option<Duration>) {
        self.state.confirm(state, valid_for, self.origin.elapsed());
        self.wake.wake();
    }
}

impl ReadyFlag {
    /// A flag that says [`State::Starting`]: unknown is not ready.
    #[must_use]
    pub fn new() -> Self {
        Self::of(State::starting())
    }

    /// A flag that says [`State::Ready`].
    #[must_use]
    pub fn ready() -> Self {
        Self::of(State::Ready)
    }

    fn of(state: State) -> Self {
        Self(Arc::new(Inner {
            origin: Instant::now(),
            state: StateCell::new(state, Duration::ZERO),
            wake: Wake::new(),
            in_flight: InFlight::new(),
        }))
    }

    /// Changes the state; the next request sees it.
    pub fn set(&self, state: State) {
        self.0.report(state, None);
    }

    /// Where a [driver](super::Reporter) reports what it finds out.
    #[must_use]
    pub fn reporter(&self) -> Reporter {
        Reporter::flag(&self.0)
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.state.load_at(|| self.0.origin.elapsed())
    }

    /// Waits until no request that passed a gate of this flag is [under way](InFlight), at most
    /// `deadline`; says whether that was reached. Set [`State::Draining`] first.
    pub async fn drained(&self, deadline: Duration) -> bool {
        self.0.in_flight.drained(deadline).await
    }
}

impl Default for ReadyFlag {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadinessProbe for ReadyFlag {
    #[inline]
    fn closed(&self) -> Option<NotReady> {
        if self.0.state.is_ready(|| self.0.origin.elapsed()) {
            return None;
        }
        Some(self.state()).filter(|state| !state.is_ready()).map(NotReady::new)
    }

    #[inline]
    fn check(&self, _: RequestHead<'_>) -> Verdict {
        self.closed().into()
    }

    fn watch(&self) -> Option<Wake> {
        Some(self.0.wake.clone())
    }

    fn in_flight(&self) -> Option<InFlight> {
        Some(self.0.in_flight.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_state() {
        let flag = ReadyFlag::new();
        let other = flag.clone();
        assert!(other.closed().is_some());
        flag.set(State::Ready);
        assert_eq!(other.closed(), None);
        other.set(State::Draining);
        assert_eq!(flag.closed(), Some(NotReady::new(State::Draining)));
    }
}
