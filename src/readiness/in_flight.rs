//! How many requests are under way, counted to the end of their bodies.

use super::wake::{Bell, Listener};
use crate::{
    body::{Guard, OnEnd},
    sync::AtomicUsize,
};
use std::{
    future::{Future, poll_fn},
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

/// A counter of the requests that have passed a gate and whose answers have not ended.
///
/// Cheap to clone; all clones are one counter. A request counts from the moment it passes until its
/// answer's body has ended, failed or been dropped, or its future has failed or been dropped.
/// Nothing is counted unless the probe of the gate [has a counter](super::ReadinessProbe::in_flight).
///
/// # Example: close the gate, then wait for what is under way
///
/// ```
/// use std::time::Duration;
/// use tower_inference::{ReadyFlag, readiness::State};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let flag = ReadyFlag::ready();
/// flag.set(State::Draining);      // first, or else new requests keep coming
/// assert!(flag.drained(Duration::from_secs(30)).await);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct InFlight(Kind);

#[derive(Clone, Debug)]
enum Kind {
    One(Arc<Counter>),
    All(Arc<Vec<InFlight>>),
}

/// On a cache line of its own: every request writes to it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counter {
    /// Twice the number of requests, plus one if somebody has asked to hear of zero.
    count: AtomicUsize,
    idle: Arc<Bell>,
}

const REQUEST: usize = 2;
const AWAITED: usize = 1;

impl InFlight {
    /// A counter at zero.
    #[must_use]
    pub fn new() -> Self {
        Self(Kind::One(Arc::default()))
    }

    /// Counts each request in all of these: for a probe that asks several others.
    #[must_use]
    pub fn all(counters: impl IntoIterator<Item = Self>) -> Self {
        Self(Kind::All(Arc::new(counters.into_iter().collect())))
    }

    /// The requests under way at this moment.
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.0 {
            Kind::One(counter) => counter.count.load(Ordering::Acquire) / REQUEST,
            Kind::All(counters) => counters.iter().map(Self::count).max().unwrap_or(0),
        }
    }

    /// Resolves once no request is under way.
    ///
    /// Only a closed gate makes that last: a request that was let in before this is called is waited
    /// for, one that comes after it only if it comes in time.
    pub fn idle(&self) -> impl Future<Output = ()> + Send + use<> {
        let counters = self.counters();
        async move {
            for counter in counters {
                let listener = Listener::of(&counter.idle);
                poll_fn(|cx| {
                    listener.listen(cx.waker());
                    let before = counter.count.fetch_or(AWAITED, Ordering::AcqRel);
                    if before < REQUEST { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        }
    }

    /// Waits until no request is under way, at most `deadline`; says whether that was reached.
    ///
    /// Needs tokio's clock.
    pub(super) async fn drained(&self, deadline: Duration) -> bool {
        tokio::time::timeout(deadline, self.idle()).await.is_ok()
    }

    /// Counts a request, until the guard is dropped.
    ///
    /// To be called before the state is read: then either the request sees a drain that was begun, or
    /// [`idle`](Self::idle) sees the request. Both change the same word, and whoever comes second
    /// sees all that the first has done before.
    #[inline]
    pub(super) fn begin(&self) -> Guard {
        self.add();
        match &self.0 {
            Kind::One(counter) => Guard::new(Arc::clone(counter) as Arc<dyn OnEnd>),
            Kind::All(counters) => Guard::new(Arc::clone(counters) as Arc<dyn OnEnd>),
        }
    }

    #[inline]
    fn add(&self) {
        match &self.0 {
            Kind::One(counter) => {
                counter.count.fetch_add(REQUEST, Ordering::Acquire);
            }
            Kind::All(counters) => counters.iter().for_each(Self::add),
        }
    }

    fn counters(&self) -> Vec<Arc<Counter>> {
        match &self.0 {
            Kind::One(counter) => vec![Arc::clone(counter)],
            Kind::All(counters) => counters.iter().flat_map(Self::counters).collect(),
        }
    }
}

impl Default for InFlight {
    fn default() -> Self {
        Self::new()
    }
}

impl OnEnd for Counter {
    fn ended(&self) {
        // The bit and the count are one word, so the last request cannot miss who waits for it.
        if self.count.fetch_sub(REQUEST, Ordering::AcqRel) == REQUEST | AWAITED {
            self.idle.ring();
        }
    }
}

impl OnEnd for Vec<InFlight> {
    fn ended(&self) {
        for counter in self {
            match &counter.0 {
                Kind::One(counter) => counter.ended(),
                Kind::All(counters) => counters.ended(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_test::{assert_pending, assert_ready, task::spawn};

    #[test]
    fn idle_is_when_the_last_request_ends() {
        let counter = InFlight::new();
        assert_ready!(spawn(counter.idle()).poll());
        let (first, second) = (counter.begin(), counter.clone().begin());
        let mut idle = spawn(counter.idle());
        assert_pending!(idle.poll());
        drop(first);
        assert!(!idle.is_woken());
        assert_eq!(counter.count(), 1);
        drop(second);
        assert!(idle.is_woken());
        assert_ready!(idle.poll());
        assert_eq!(counter.count(), 0);
    }

    #[test]
    fn a_request_counts_in_all_counters() {
        let (a, b) = (InFlight::new(), InFlight::new());
        let both = InFlight::all([a.clone(), InFlight::all([b.clone()])]);
        let request = both.begin();
        let alone = b.begin();
        assert_eq!((a.count(), b.count(), both.count()), (1, 2, 2));
        let mut idle = spawn(both.idle());
        assert_pending!(idle.poll());
        drop(request);
        assert_eq!((a.count(), b.count(), both.count()), (0, 1, 1));
        assert_pending!(idle.poll());
        drop(alone);
        assert!(idle.is_woken());
        assert_ready!(idle.poll());
    }

    #[test]
    fn the_counter_has_a_cache_line_of_its_own() {
        assert_eq!(align_of::<Counter>(), 128);
    }
}

#[cfg(all(test, tower_inference_loom))]
mod loom_models {
    use super::*;
    use crate::readiness::{State, Wake, state::StateCell};
    use loom::{future::block_on, thread};

    #[test]
    fn loom_idle_does_not_sleep_past_the_last_end() {
        loom::model(|| {
            let counter = InFlight::new();
            let ends = [(); 2].map(|()| {
                let guard = counter.begin();
                thread::spawn(move || drop(guard))
            });
            block_on(counter.idle());
            assert_eq!(counter.count(), 0);
            for end in ends {
                end.join().unwrap();
            }
        });
    }

    #[test]
    fn loom_an_idle_that_is_given_up_takes_nothing_from_another() {
        loom::model(|| {
            let counter = InFlight::new();
            let guard = counter.begin();
            let end = thread::spawn(move || drop(guard));
            let other = counter.clone();
            let given_up = thread::spawn(move || {
                let mut idle = Box::pin(other.idle());
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                let _ = idle.as_mut().poll(&mut cx);
            });
            block_on(counter.idle());
            end.join().unwrap();
            given_up.join().unwrap();
        });
    }

    #[test]
    fn loom_a_request_sees_the_drain_or_is_waited_for() {
        loom::model(|| {
            let cell = Arc::new(StateCell::new(State::Ready, Duration::ZERO));
            let at_work = Arc::new(AtomicUsize::new(0));
            let counter = InFlight::new();
            let request = {
                let (cell, at_work, counter) =
                    (Arc::clone(&cell), Arc::clone(&at_work), counter.clone());
                thread::spawn(move || {
                    let guard = counter.begin();
                    if cell.is_ready(|| Duration::ZERO) {
                        at_work.store(1, Ordering::Relaxed);
                        at_work.store(2, Ordering::Relaxed);
                    }
                    drop(guard);
                })
            };
            cell.report(State::Draining, None, Duration::ZERO);
            Wake::new().wake();
            block_on(counter.idle());
            let seen = at_work.load(Ordering::Relaxed);
            request.join().unwrap();
            assert_eq!(at_work.load(Ordering::Relaxed), seen, "work went on after the drain");
        });
    }
}
