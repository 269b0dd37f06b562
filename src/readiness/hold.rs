//! Keeps a request waiting while its model starts.
//!
//! A client that is refused comes back seconds later at best, and with all the others; one that is
//! held goes on as soon as the model can serve.
//!
//! 1. Only a model (or process) that is starting is waited for. Any other answer of the probe is the
//!    request's answer at once, also when it changes while the request waits.
//! 2. First come, first served, per model. Requests that come once the model is ready pass at once.
//! 3. Those held are released one by one, each waking the next, at most so many per second, that a
//!    model which has just started is not run over.
//! 4. A request that has waited long enough passes if its model is ready, and else gets its answer.

use super::{
    InFlight, ReadinessProbe, State, Verdict, Wake,
    line::{Lines, Place},
    wake::Listener,
};
use crate::{
    body::Guard,
    head::RequestHead,
    sync::{Mutex, lock},
};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// How often a request asks a probe that has no bell.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How far the release may lag behind its rate and then catch up: timers are no finer than 1 ms.
const SLACK: Duration = Duration::from_millis(10);
/// Longer than any request waits, and short enough to be added to any clock.
const FOREVER: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the held requests of one layer share.
pub(super) struct Hold {
    probe: Box<dyn ReadinessProbe + Send + Sync>,
    wake: Option<Wake>,
    in_flight: Option<InFlight>,
    max_wait: Duration,
    lines: Arc<Lines>,
    pace: Mutex<Pace>,
}

impl Hold {
    pub(super) fn new(
        probe: impl ReadinessProbe + Send + Sync + 'static,
        max_wait: Duration,
        max_waiting: usize,
    ) -> Self {
        Self {
            wake: probe.watch(),
            in_flight: probe.in_flight(),
            probe: Box::new(probe),
            max_wait: max_wait.min(FOREVER),
            lines: Lines::new(max_waiting),
            pace: Mutex::default(),
        }
    }

    /// How many requests are held.
    pub(super) fn waiting(&self) -> usize {
        self.lines.taken()
    }

    /// A turn for this request, if it may wait and a place is free.
    pub(super) fn join(
        self: &Arc<Self>,
        verdict: &Verdict,
        head: RequestHead<'_>,
        release_every: Duration,
    ) -> Option<Turn> {
        if !is_starting(verdict) || self.max_wait.is_zero() {
            return None;
        }
        Some(Turn {
            place: self.lines.join(head.model())?,
            listener: self.wake.clone().map(Listener::new),
            deadline: Instant::now() + self.max_wait,
            alarm: None,
            release_every,
            hold: Arc::clone(self),
        })
    }

    fn judge(&self, head: RequestHead<'_>) -> Result<Option<Guard>, Verdict> {
        let guard = self.in_flight.as_ref().map(InFlight::begin);
        match self.probe.check(head) {
            Verdict::Ready => Ok(guard),
            verdict => Err(verdict),
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("max_wait", &self.max_wait)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

fn is_starting(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::NotReady(not_ready) => matches!(not_ready.state(), State::Starting { .. }),
        Verdict::Ready | Verdict::UnknownModel => false,
    }
}

pin_project! {
    /// Waits until a request may pass, or has its answer. Dropping it gives up its place.
    pub(super) struct Turn {
        place: Place,
        listener: Option<Listener>,
        deadline: Instant,
        #[pin]
        alarm: Option<Sleep>,
        release_every: Duration,
        hold: Arc<Hold>,
    }
}

impl Turn {
    /// `Ok` if the request passes. To be polled with the head of the same request, and dropped as
    /// soon as it is ready, for the sake of the next in line.
    pub(super) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        head: RequestHead<'_>,
    ) -> Poll<Result<Option<Guard>, Verdict>> {
        let mut this = self.project();
        loop {
            let now = Instant::now();
            let is_late = now >= *this.deadline;
            let mut alarm = *this.deadline;
            if this.place.is_first(cx.waker()) || is_late {
                match this.listener {
                    // Before the probe is asked, or a flip could go unheard.
                    Some(listener) => listener.listen(cx.waker()),
                    None => alarm = alarm.min(now + ASK_EVERY),
                }
                match this.hold.judge(head) {
                    Ok(guard) => {
                        let release = lock(&this.hold.pace).release(now, *this.release_every);
                        match release {
                            Err(later) if !is_late => alarm = alarm.min(later),
                            _ => return Poll::Ready(Ok(guard)),
                        }
                    }
                    Err(verdict) if is_late || !is_starting(&verdict) => {
                        return Poll::Ready(Err(verdict));
                    }
                    Err(_) => {}
                }
            }
            match this.alarm.as_mut().as_pin_mut() {
                None => this.alarm.set(Some(sleep_until(alarm))),
                Some(sleep) if sleep.deadline() != alarm => sleep.reset(alarm),
                Some(_) => {}
            }
            let sleep = this.alarm.as_mut().as_pin_mut().expect("it was set above");
            ready!(sleep.poll(cx));
        }
    }
}

/// When the next request may be released.
#[derive(Debug, Default)]
struct Pace {
    next: Option<Instant>,
}

impl Pace {
    /// Releases one now, or says when.
    fn release(&mut self, now: Instant, every: Duration) -> Result<(), Instant> {
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let due = self.next.map_or(now, |next| next.max(earliest));
        if now < due {
            return Err(due);
        }
        self.next = Some(due + every);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn released(pace: &mut Pace, now: Instant, every: Duration) -> usize {
        std::iter::from_fn(|| pace.release(now, every).ok()).count()
    }

    #[test]
    fn a_waiting_request_costs_less_than_a_kibibyte() {
        let place = 2 * size_of::<(Option<Arc<str>>, u64, Option<std::task::Waker>)>();
        let waker = 2 * size_of::<(u64, std::task::Waker)>();
        assert!(size_of::<Turn>() + place + waker < 1024 / 2, "{}", size_of::<Turn>());
    }

    #[test]
    fn the_pace_is_kept_by_coarse_timers_too() {
        let (begin, every) = (Instant::now(), MS / 10);
        let mut pace = Pace::default();
        let all: Vec<_> = (0..100).map(|n| released(&mut pace, begin + n * MS, every)).collect();
        assert_eq!(all[0], 1, "the first release has nothing to catch up with");
        assert_eq!(all.iter().sum::<usize>(), 991);
        assert!(all.iter().all(|at_once| *at_once <= 10), "{all:?}");
    }

    #[test]
    fn a_rest_is_made_up_for_by_the_slack_alone() {
        let (begin, every) = (Instant::now(), MS / 10);
        let mut pace = Pace::default();
        released(&mut pace, begin, every);
        assert_eq!(released(&mut pace, begin + 1000 * MS, every), 101);
        assert_eq!(pace.release(begin + 1000 * MS, every), Err(begin + 1000 * MS + every));
    }
}
