//! Who waits, and behind whom: one line per model, all of them together of limited length.
//!
//! Only the first of each line asks the probe and is woken by it. Whoever leaves the front of a line,
//! for whatever reason, wakes the next, who then finds out by itself whether it is its turn: nothing
//! is handed over that could be lost with its holder.

use crate::sync::{Mutex, lock};
use std::{collections::BTreeMap, sync::Arc, task::Waker};

/// All lines of one gate.
#[derive(Debug)]
pub(super) struct Lines {
    most: usize,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    /// The waker is that of a place which has others before it.
    taken: BTreeMap<Key, Option<Waker>>,
}

/// The model, then the number of the place: those of one line stand side by side.
type Key = (Option<Arc<str>>, u64);

/// A place in a line. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Place {
    lines: Arc<Lines>,
    key: Key,
}

impl Lines {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, places: Mutex::default() })
    }

    /// The last place of the model's line; `None` if all places are taken.
    pub(super) fn join(self: &Arc<Self>, model: Option<&str>) -> Option<Place> {
        let mut places = lock(&self.places);
        if places.taken.len() >= self.most {
            return None;
        }
        let key = (model.map(Arc::from), places.next);
        places.next += 1;
        places.taken.insert(key.clone(), None);
        Some(Place { lines: Arc::clone(self), key })
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        lock(&self.places).taken.len()
    }
}

impl Places {
    /// Whether this is the first place that is still taken in its line.
    fn is_first(&self, (model, number): &Key) -> bool {
        let line = (model.clone(), 0)..(model.clone(), *number);
        self.taken.range(line).next().is_none()
    }
}

impl Place {
    /// Whether nobody stands before this place. If somebody does, this waker, instead of any given
    /// before, is woken once that changes.
    pub(super) fn is_first(&self, waker: &Waker) -> bool {
        let mut places = lock(&self.lines.places);
        let first = places.is_first(&self.key);
        let waker = (!first).then(|| waker.clone());
        let replaced = places.taken.insert(self.key.clone(), waker);
        drop(places);
        drop(replaced);
        first
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = lock(&self.lines.places);
        let was_first = places.is_first(&self.key);
        let own = places.taken.remove(&self.key);
        let mut after = places.taken.range_mut(&self.key..);
        let next = after.next().filter(|((model, _), _)| was_first && *model == self.key.0);
        let waker = next.and_then(|(_, waker)| waker.take());
        drop(places);
        drop(own);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_test::task::spawn;

    /// A task that has asked once whether it is first.
    fn asking(place: &Place) -> tokio_test::task::Spawn<impl Future<Output = ()> + use<'_>> {
        let mut task = spawn(std::future::poll_fn(|cx| {
            if place.is_first(cx.waker()) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        }));
        let _ = task.poll();
        task
    }

    #[test]
    fn whoever_leaves_the_front_wakes_the_next_of_its_line_alone() {
        let lines = Lines::new(9);
        let [a1, b1, a2, a3, b2] =
            ["a", "b", "a", "a", "b"].map(|model| lines.join(Some(model)).unwrap());
        let (second, third, other) = (asking(&a2), asking(&a3), asking(&b2));
        drop(a1);
        assert!(second.is_woken() && !third.is_woken() && !other.is_woken());
        drop(second);
        drop(a2);
        assert!(third.is_woken() && !other.is_woken());
        drop(b1);
        assert!(other.is_woken());
    }

    #[test]
    fn who_leaves_the_middle_wakes_nobody_and_is_not_waited_for() {
        let lines = Lines::new(9);
        let [first, middle, last] = [(); 3].map(|()| lines.join(None).unwrap());
        let waiting = asking(&last);
        drop(middle);
        assert!(!waiting.is_woken());
        drop(first);
        assert!(waiting.is_woken());
    }

    #[test]
    fn the_places_of_all_lines_are_limited_together() {
        let lines = Lines::new(2);
        let (a, b) = (lines.join(Some("a")).unwrap(), lines.join(Some("b")).unwrap());
        assert!(lines.join(Some("c")).is_none());
        drop(a);
        assert!(lines.join(Some("c")).is_some());
        drop(b);
        assert_eq!(lines.taken(), 0);
    }

    #[test]
    fn the_last_waker_of_a_place_is_the_one_woken() {
        let lines = Lines::new(2);
        let (before, place) = (lines.join(None).unwrap(), lines.join(None).unwrap());
        let (old, new) = (asking(&place), asking(&place));
        drop(before);
        assert!(new.is_woken() && !old.is_woken());
    }
}

#[cfg(all(test, tower_inference_loom))]
mod loom_models {
    use super::*;
    use crate::readiness::{State, Wake, state::StateCell, wake::Listener};
    use loom::{future::block_on, thread};
    use std::{future::poll_fn, task::Poll, time::Duration};

    #[derive(Clone)]
    struct Gate {
        lines: Arc<Lines>,
        wake: Wake,
        cell: Arc<StateCell>,
    }

    impl Gate {
        fn starting() -> Self {
            let cell = Arc::new(StateCell::new(State::starting(), Duration::ZERO));
            Self { lines: Lines::new(4), wake: Wake::new(), cell }
        }

        fn open(&self) {
            self.cell.report(State::Ready, None, Duration::ZERO);
            self.wake.wake();
        }

        fn place(&self) -> Place {
            self.lines.join(None).unwrap()
        }

        /// What a held request does each time it is polled, without its clock.
        fn poll(&self, place: &Place, listener: &Listener, waker: &Waker) -> Poll<()> {
            if place.is_first(waker) {
                listener.listen(waker);
                if self.cell.is_ready(|| Duration::ZERO) {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        }

        /// Waits for the turn of this place, then gives it up.
        fn wait(&self, place: Place) {
            let listener = Listener::new(self.wake.clone());
            block_on(poll_fn(|cx| self.poll(&place, &listener, cx.waker())));
            drop(place);
        }

        /// Is polled once, then cancelled.
        fn cancel(&self, place: Place) {
            let listener = Listener::new(self.wake.clone());
            let _ = self.poll(&place, &listener, Waker::noop());
            drop(listener);
            drop(place);
        }
    }

    #[test]
    fn loom_a_flip_reaches_a_request_that_is_joining() {
        loom::model(|| {
            let gate = Gate::starting();
            let other = gate.clone();
            let flip = thread::spawn(move || other.open());
            gate.wait(gate.place());
            flip.join().unwrap();
            assert_eq!(gate.lines.taken(), 0);
        });
    }

    #[test]
    fn loom_the_first_wakes_the_second_when_it_passes() {
        loom::model(|| {
            let gate = Gate::starting();
            let (first, second) = (gate.place(), gate.place());
            let (one, two) = (gate.clone(), gate.clone());
            let flip = thread::spawn(move || one.open());
            let passes = thread::spawn(move || two.wait(first));
            gate.wait(second);
            flip.join().unwrap();
            passes.join().unwrap();
            assert_eq!(gate.lines.taken(), 0);
        });
    }

    #[test]
    fn loom_the_first_wakes_the_second_when_it_is_cancelled() {
        loom::model(|| {
            let gate = Gate::starting();
            let (first, second) = (gate.place(), gate.place());
            let (one, two) = (gate.clone(), gate.clone());
            let flip = thread::spawn(move || one.open());
            let leaves = thread::spawn(move || two.cancel(first));
            gate.wait(second);
            flip.join().unwrap();
            leaves.join().unwrap();
            assert_eq!(gate.lines.taken(), 0);
        });
    }

    #[test]
    fn loom_a_place_in_the_middle_may_be_given_up_while_the_first_passes() {
        loom::model(|| {
            let gate = Gate::starting();
            gate.open();
            let (first, middle, last) = (gate.place(), gate.place(), gate.place());
            let (one, two) = (gate.clone(), gate.clone());
            let passes = thread::spawn(move || one.wait(first));
            let leaves = thread::spawn(move || two.cancel(middle));
            gate.wait(last);
            passes.join().unwrap();
            leaves.join().unwrap();
            assert_eq!(gate.lines.taken(), 0);
        });
    }

    #[test]
    fn loom_the_last_place_is_taken_once() {
        loom::model(|| {
            let lines = Lines::new(1);
            let other = Arc::clone(&lines);
            let rival = thread::spawn(move || other.join(Some("b")));
            let place = lines.join(Some("a"));
            let rival = rival.join().unwrap();
            assert_eq!(usize::from(place.is_some()) + usize::from(rival.is_some()), 1);
            drop((place, rival));
            assert_eq!(lines.taken(), 0);
        });
    }
}
