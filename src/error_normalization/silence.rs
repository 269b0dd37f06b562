//! How long an upstream is silent: the time it is waited for, and not the time its client takes.

use std::time::Duration;
use tokio::time::Instant;

/// How long the upstream may still be silent after an event, and since when it is waited for.
#[derive(Debug, Default)]
pub(super) struct Silence(Option<Stall>);

#[derive(Debug)]
struct Stall {
    events: u64,
    left: Duration,
    since: Option<Instant>,
}

impl Silence {
    /// When the wait that is under way becomes a stall.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let stall = self.0.as_ref()?;
        Some(later(stall.since?, stall.left))
    }

    /// Goes on waiting after so many events, which may last `allowed` in all; the deadline of that.
    pub(super) fn wait(&mut self, events: u64, allowed: Duration, now: Instant) -> Instant {
        let stall = self.0.take().filter(|stall| stall.events == events);
        let stall = self.0.insert(stall.unwrap_or(Stall { events, left: allowed, since: None }));
        later(*stall.since.get_or_insert(now), stall.left)
    }

    /// Stops the time while the client has something to read: it may take as long as it likes.
    #[inline]
    pub(super) fn pause(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(stall) = &mut self.0 {
            if let Some(since) = stall.since.take() {
                stall.left = stall.left.saturating_sub(now().duration_since(since));
            }
        }
    }
}

/// Far enough in the future where the sum would overflow.
pub(super) fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or_else(|| now + Duration::from_secs(86_400 * 365))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wait_for_the_upstream_counts_and_an_event_begins_anew() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let at = |seconds: u32| start + second * seconds;
        let mut silence = Silence::default();
        assert_eq!(silence.wait(1, 10 * second, at(0)), at(10));
        assert_eq!(silence.wait(1, 10 * second, at(3)), at(10), "one wait");
        silence.pause(|| at(4));
        assert_eq!(silence.deadline(), None);
        assert_eq!(silence.wait(1, 10 * second, at(50)), at(56), "six seconds are left");
        assert_eq!(silence.wait(2, 10 * second, at(51)), at(61), "an event came");
        assert_eq!(silence.deadline(), Some(at(61)));
    }

    #[test]
    fn an_absurd_allowance_does_not_overflow() {
        let mut silence = Silence::default();
        assert!(silence.wait(0, Duration::MAX, Instant::now()) > Instant::now());
    }
}
