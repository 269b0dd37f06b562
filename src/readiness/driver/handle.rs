//! What a driver and its handles share: the monitor, and whom it reports to.

use super::super::{
    Outcome, Phase, Reporter,
    monitor::{Limits, Monitor, Trial},
};
use crate::{
    error::{Category, InferenceError, Origin},
    observe::{Completion, Observe, Probed},
};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Feeds the outcomes of real requests to a [`ProbeDriver`](super::ProbeDriver): give it to
/// [`ErrorNormalizationLayer::observe`](crate::ErrorNormalizationLayer::observe).
///
/// | outcome of a request | counts as |
/// |---|---|
/// | an answer to a model's work, a stream that came to its end | success: clears the misses, excuses a probe that is running |
/// | no connection, a broken or stalled stream, a timeout, 5xx | failure |
/// | 429, 503 | busy: neither |
/// | other 4xx | neither: the client's fault |
/// | the client went away; a refusal of our own gate | neither |
///
/// A success is one relaxed store, a failure takes a lock for a moment. The handle of a model's driver
/// counts only what is known to concern that model, for which [`ModelNameLayer`](crate::ModelNameLayer)
/// sees to; the others count everything. Several are an observer too, as a `Vec`.
///
/// Cheap to clone; does not keep the driver going.
#[derive(Clone)]
pub struct ProbeHandle(pub(super) Arc<Shared>);

impl ProbeHandle {
    /// Where the monitor stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.lock().monitor.phase()
    }

    fn is_ours(&self, model: Option<&str>) -> bool {
        let ours = self.0.reporter.model_name();
        ours.is_none() || ours == model
    }
}

impl Observe for ProbeHandle {
    fn failed(&self, error: &InferenceError) {
        let answered = error.provider_status().map_or(0, |status| status.as_u16());
        let broken = matches!(error.category(), Category::UpstreamError | Category::Timeout)
            && error.origin() != Origin::Readiness
            && !matches!(answered, 400..=499 | 503);
        if broken && self.is_ours(error.model()) {
            self.0.request_failed();
        }
    }

    fn completed(&self, completion: &Completion<'_>) {
        if self.is_ours(completion.model) {
            match completion.status.as_u16() {
                200..=299 => self.0.completed.store(true, Ordering::Relaxed),
                503 => {}
                500..=599 => self.0.request_failed(),
                _ => {}
            }
        }
    }
}

impl fmt::Debug for ProbeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeHandle")
            .field("phase", &self.phase())
            .field("reporter", &self.0.reporter)
            .finish_non_exhaustive()
    }
}

pub(super) struct Shared {
    origin: Instant,
    pub(super) reporter: Reporter,
    /// Whether a request was completed since the monitor was last asked anything.
    completed: AtomicBool,
    /// Rung when a request's failure closed the gate: the trial need not wait for the period.
    pub(super) closed: Notify,
    inner: Mutex<Inner>,
}

pub(super) struct Inner {
    pub(super) monitor: Monitor,
    pub(super) observer: Option<Arc<dyn Observe>>,
    /// How long a report of ready counts.
    pub(super) valid_for: Option<Duration>,
}

impl Shared {
    pub(super) fn new(reporter: Reporter, limits: Limits) -> Self {
        Self {
            origin: Instant::now(),
            reporter,
            completed: AtomicBool::new(false),
            closed: Notify::new(),
            inner: Mutex::new(Inner {
                monitor: Monitor::new(limits, Duration::ZERO),
                observer: None,
                valid_for: None,
            }),
        }
    }

    /// A panic elsewhere leaves nothing half done in here.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self) -> Trial {
        self.update(|monitor, _| monitor.begin())
    }

    /// Whether the probe still has to be waited for. Confirms that somebody watches.
    pub(super) fn is_awaited(&self, trial: Trial) -> bool {
        self.update(|monitor, _| !monitor.is_excused(trial))
    }

    pub(super) fn finish(&self, trial: Trial, outcome: Outcome) {
        self.update(|monitor, now| monitor.finish(now, trial, outcome));
    }

    pub(super) fn end(&self) {
        self.update(|monitor, _| monitor.end());
    }

    pub(super) fn probed(&self, probe: &Probed<'_>) {
        let observer = self.lock().observer.clone();
        if let Some(observer) = observer {
            observer.probed(probe);
        }
    }

    fn request_failed(&self) {
        let closed = self.act(false, |monitor, now| {
            monitor.failed(now);
            !monitor.state(now).is_ready()
        });
        if closed {
            self.closed.notify_one();
        }
    }

    fn update<T>(&self, act: impl FnOnce(&mut Monitor, Duration) -> T) -> T {
        self.act(true, act)
    }

    /// Tells the monitor something and reports its state: always for the driver, which thereby
    /// confirms it; only a change for others, who do not know whether the driver still runs.
    fn act<T>(&self, confirm: bool, act: impl FnOnce(&mut Monitor, Duration) -> T) -> T {
        let mut inner = self.lock();
        let now = self.origin.elapsed();
        if self.completed.swap(false, Ordering::Relaxed) {
            inner.monitor.completed();
        }
        let result = act(&mut inner.monitor, now);
        let change = inner.monitor.change(now);
        if confirm || change.is_some() {
            // Under the lock, so that reports keep the order of events.
            self.reporter.report(inner.monitor.state(now), inner.valid_for);
        }
        let told = change.zip(inner.observer.clone());
        drop(inner);
        if let Some((state, observer)) = told {
            observer.state_changed(self.reporter.model_name(), state);
        }
        result
    }
}

/// Closes the gate, however the driver ends.
pub(super) struct Guard(pub(super) Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        // By the time an observer hears of it, and may panic, the gate is closed; but a second panic
        // in a task that is panicking would end the process.
        let _ = catch_unwind(AssertUnwindSafe(|| self.0.end()));
    }
}
