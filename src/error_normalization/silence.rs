//! How long an upstream is silent: the time it is waited for, and not the time its client takes.

use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

/// How long the upstream may still be silent after so many events.
#[derive(Debug, Default)]
pub(super) struct Silence {
    events: u64,
    wait: Wait,
}

#[derive(Debug, Default)]
enum Wait {
    #[default]
    Begun,
    /// It is waited for.
    Until(Instant),
    /// The client has something to read.
    Paused(Duration),
}

impl Silence {
    /// When the wait that is under way becomes a stall.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if let Wait::Until(deadline) = self.wait { Some(deadline) } else { None }
    }

    /// Goes on waiting after so many events, which may last `allowed` in all; the deadline of that.
    pub(super) fn wait(
        &mut self,
        events: u64,
        allowed: Duration,
        now: impl FnOnce() -> Instant,
    ) -> Instant {
        let left = match self.wait {
            Wait::Until(deadline) if self.events == events => return deadline,
            Wait::Paused(left) if self.events == events => left,
            _ => allowed,
        };
        let deadline = later(now(), left);
        *self = Self { events, wait: Wait::Until(deadline) };
        deadline
    }

    /// Stops the time while the client has something to read: it may take as long as it likes. After
    /// another event the time begins anew anyway.
    #[inline]
    pub(super) fn pause(&mut self, events: u64, now: impl FnOnce() -> Instant) {
        if self.events == events {
            if let Wait::Until(deadline) = self.wait {
                self.wait = Wait::Paused(deadline.saturating_duration_since(now()));
            }
        }
    }
}

pin_project! {
    /// The timer of a wait. The runtime hears of a later deadline only when the time before it is over,
    /// and of nothing while it would wake the same task: nearly every wait ends sooner.
    #[derive(Debug, Default)]
    pub(super) struct Timer {
        #[pin]
        sleep: Option<Sleep>,
        // Whom it wakes.
        waker: Option<Waker>,
    }
}

impl Timer {
    /// Ready at the deadline.
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let mut this = self.project();
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep_until(deadline)));
        }
        let Some(mut sleep) = this.sleep.as_pin_mut() else { return Poll::Pending };
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        } else if !sleep.is_elapsed()
            && this.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            return Poll::Pending;
        }
        // Without a budget, for lack of which it might be pending and wake nobody.
        while pin!(unconstrained(sleep.as_mut())).poll(cx).is_ready() {
            if deadline <= sleep.deadline() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        *this.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Far enough in the future where the sum would overflow.
pub(super) fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or_else(|| now + Duration::from_secs(86_400 * 365))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::future::poll_fn;
    use tokio_test::task;

    #[test]
    fn only_the_wait_for_the_upstream_counts_and_an_event_begins_anew() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let at = |seconds: u32| start + second * seconds;
        let mut silence = Silence::default();
        assert_eq!(silence.wait(1, 10 * second, || at(0)), at(10));
        assert_eq!(silence.wait(1, 10 * second, || at(3)), at(10), "one wait");
        silence.pause(1, || at(4));
        assert_eq!(silence.deadline(), None);
        assert_eq!(silence.wait(1, 10 * second, || at(50)), at(56), "six seconds are left");
        silence.pause(2, || unreachable!("nobody asks what is left"));
        assert_eq!(silence.wait(2, 10 * second, || at(51)), at(61), "an event came");
        assert_eq!(silence.deadline(), Some(at(61)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_is_ready_at_its_deadline_wherever_that_has_moved() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut timer = pin!(Timer::default());
        for (asked, deadline, reached) in
            [(0, 10, false), (0, 30, false), (20, 40, true), (40, 43, true)]
        {
            tokio::time::sleep_until(start + asked * second).await;
            let deadline = start + deadline * second;
            let mut wait = pin!(poll_fn(|cx| timer.as_mut().poll(cx, deadline)));
            if reached {
                wait.await;
                assert_eq!(Instant::now(), deadline);
            } else {
                assert!(wait.as_mut().now_or_never().is_none());
            }
        }
        // An earlier one.
        let later = start + 100 * second;
        assert!(poll_fn(|cx| timer.as_mut().poll(cx, later)).now_or_never().is_none());
        poll_fn(|cx| timer.as_mut().poll(cx, start + 50 * second)).await;
        assert_eq!(Instant::now(), start + 50 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_wakes_whoever_has_polled_it_last() {
        let (mut first, mut last) = (task::spawn(()), task::spawn(()));
        let mut timer = pin!(Timer::default());
        let deadline = Instant::now() + Duration::from_secs(10);
        for task in [&mut first, &mut last] {
            assert!(task.enter(|cx, _| timer.as_mut().poll(cx, deadline)).is_pending());
            assert!(task.enter(|cx, _| timer.as_mut().poll(cx, deadline)).is_pending());
        }
        tokio::time::sleep_until(deadline).await;
        assert!(last.is_woken());
        assert!(last.enter(|cx, _| timer.as_mut().poll(cx, deadline)).is_ready());
    }

    #[test]
    fn an_absurd_allowance_does_not_overflow() {
        let mut silence = Silence::default();
        assert!(silence.wait(0, Duration::MAX, Instant::now) > Instant::now());
    }
}
