//! Tells those who wait that a state has changed.

use crate::sync::{AtomicUsize, Mutex, full_fence, lock};
use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc,
        atomic::{self, Ordering},
    },
    task::Waker,
};

/// A bell that a probe rings whenever its answer may have changed, so that held requests ask again.
///
/// Cheap to clone; all clones are one bell. Nobody misses a ring: who waits first listens, then asks
/// once more, so a probe of your own stores its new state first, then rings.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
/// use tower_inference::{ReadinessProbe, RequestHead, readiness::{Verdict, Wake}};
///
/// #[derive(Clone, Default)]
/// struct Loaded(Arc<AtomicBool>, Wake);
///
/// impl Loaded {
///     fn set(&self) {
///         self.0.store(true, Ordering::Release);
///         self.1.wake();
///     }
/// }
///
/// impl ReadinessProbe for Loaded {
///     fn check(&self, head: RequestHead<'_>) -> Verdict {
///         self.0.check(head)
///     }
///
///     fn watch(&self) -> Option<Wake> {
///         Some(self.1.clone())
///     }
/// }
/// # Loaded::default().set();
/// ```
#[derive(Clone, Debug)]
pub struct Wake(Vec<Arc<Bell>>);

impl Wake {
    /// A bell nobody waits for yet.
    #[must_use]
    pub fn new() -> Self {
        Self(vec![Arc::default()])
    }

    /// Rings whenever one of these does: for a probe that asks several others.
    #[must_use]
    pub fn any(wakes: impl IntoIterator<Item = Self>) -> Self {
        Self(wakes.into_iter().flat_map(|wake| wake.0).collect())
    }

    /// Everybody who waits asks again. One atomic load if nobody does.
    pub fn wake(&self) {
        self.0.iter().for_each(|bell| bell.ring());
    }
}

impl Default for Wake {
    fn default() -> Self {
        Self::new()
    }
}

/// Who is to be woken, by the number of the listener.
#[derive(Debug, Default)]
pub(super) struct Bell {
    listening: AtomicUsize,
    wakers: Mutex<BTreeMap<u64, Waker>>,
}

impl Bell {
    pub(super) fn ring(&self) {
        // The caller's state was stored before; a listener's number is, before it asks for the state.
        full_fence();
        if self.listening.load(Ordering::Relaxed) == 0 {
            return;
        }
        let wakers = {
            let mut wakers = lock(&self.wakers);
            self.listening.store(0, Ordering::Relaxed);
            mem::take(&mut *wakers)
        };
        // Outside the lock: a waker is anybody's code.
        wakers.into_values().for_each(Waker::wake);
    }

    fn edit(&self, change: impl FnOnce(&mut BTreeMap<u64, Waker>) -> Option<Waker>) {
        let replaced = {
            let mut wakers = lock(&self.wakers);
            let replaced = change(&mut wakers);
            self.listening.store(wakers.len(), Ordering::Relaxed);
            replaced
        };
        drop(replaced);
    }
}

/// One who waits for a bell. Dropping it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Listener {
    wake: Wake,
    number: u64,
}

impl Listener {
    pub(super) fn new(wake: Wake) -> Self {
        static NEXT: atomic::AtomicU64 = atomic::AtomicU64::new(0);
        Self { wake, number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    pub(super) fn of(bell: &Arc<Bell>) -> Self {
        Self::new(Wake(vec![Arc::clone(bell)]))
    }

    /// The next ring wakes this waker, instead of the one given before. Whatever is waited for must
    /// be asked for after this.
    pub(super) fn listen(&self, waker: &Waker) {
        for bell in &self.wake.0 {
            bell.edit(|wakers| wakers.insert(self.number, waker.clone()));
        }
        full_fence();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        for bell in &self.wake.0 {
            bell.edit(|wakers| wakers.remove(&self.number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Context;
    use tokio_test::task::spawn;

    /// A task that has listened once, by now.
    fn listening(
        listener: &Listener,
    ) -> tokio_test::task::Spawn<impl Future<Output = ()> + use<'_>> {
        let mut task = spawn(std::future::poll_fn(move |cx: &mut Context<'_>| {
            listener.listen(cx.waker());
            std::task::Poll::Pending
        }));
        let _: std::task::Poll<()> = task.poll();
        task
    }

    fn waiting(wake: &Wake) -> usize {
        wake.0.iter().map(|bell| lock(&bell.wakers).len()).sum()
    }

    #[test]
    fn the_last_waker_is_the_one_woken() {
        let wake = Wake::new();
        let listener = Listener::new(wake.clone());
        let (first, second) = (listening(&listener), listening(&listener));
        wake.wake();
        assert!(second.is_woken());
        assert!(!first.is_woken());
    }

    #[test]
    fn every_listener_is_woken_once() {
        let wake = Wake::new();
        let listeners = [Listener::new(wake.clone()), Listener::new(wake.clone())];
        let tasks = listeners.each_ref().map(listening);
        wake.clone().wake();
        assert!(tasks.iter().all(tokio_test::task::Spawn::is_woken));
        assert_eq!(waiting(&wake), 0);
    }

    #[test]
    fn one_of_several_bells_is_enough() {
        let (a, b) = (Wake::new(), Wake::new());
        let listener = Listener::new(Wake::any([a.clone(), b.clone()]));
        for bell in [&a, &b] {
            let task = listening(&listener);
            bell.wake();
            assert!(task.is_woken());
        }
        drop(listener);
        assert_eq!((waiting(&a), waiting(&b)), (0, 0));
    }

    #[test]
    fn who_left_is_not_woken() {
        let wake = Wake::new();
        let listener = Listener::new(wake.clone());
        drop(listening(&listener));
        drop(listener);
        assert_eq!(waiting(&wake), 0);
        wake.wake();
    }
}

#[cfg(all(test, tower_inference_loom))]
mod loom_models {
    use super::*;
    use crate::readiness::{State, state::StateCell};
    use loom::{future::block_on, thread};
    use std::{future::poll_fn, task::Poll, time::Duration};

    #[test]
    fn loom_nobody_sleeps_past_a_flip() {
        loom::model(|| {
            let wake = Wake::new();
            let cell = Arc::new(StateCell::new(State::starting(), Duration::ZERO));
            let writer = {
                let (wake, cell) = (wake.clone(), Arc::clone(&cell));
                thread::spawn(move || {
                    cell.report(State::Ready, None, Duration::ZERO);
                    wake.wake();
                })
            };
            let listener = Listener::new(wake);
            block_on(poll_fn(|cx| {
                listener.listen(cx.waker());
                if cell.is_ready(|| Duration::ZERO) { Poll::Ready(()) } else { Poll::Pending }
            }));
            writer.join().unwrap();
        });
    }

    #[test]
    fn loom_a_listener_that_leaves_takes_no_wake_from_another() {
        loom::model(|| {
            let wake = Wake::new();
            let cell = Arc::new(StateCell::new(State::starting(), Duration::ZERO));
            let leaves = {
                let wake = wake.clone();
                thread::spawn(move || {
                    let listener = Listener::new(wake);
                    listener.listen(Waker::noop());
                })
            };
            let writer = {
                let (wake, cell) = (wake.clone(), Arc::clone(&cell));
                thread::spawn(move || {
                    cell.report(State::Ready, None, Duration::ZERO);
                    wake.wake();
                })
            };
            let listener = Listener::new(wake.clone());
            block_on(poll_fn(|cx| {
                listener.listen(cx.waker());
                if cell.is_ready(|| Duration::ZERO) { Poll::Ready(()) } else { Poll::Pending }
            }));
            drop(listener);
            leaves.join().unwrap();
            writer.join().unwrap();
            assert!(lock(&wake.0[0].wakers).is_empty());
        });
    }
}
