//! Asks a server again and again whether it is ready.

mod attempt;
mod handle;

pub use self::handle::ProbeHandle;

use self::{
    attempt::{attempt, caught},
    handle::{Guard, Shared},
};
use super::{
    Outcome, Preset, Reporter,
    monitor::{Limits, Tier, Trial},
};
use crate::observe::{Observe, Probed};
use bytes::Bytes;
use futures::future::select;
use http::{Request, Response};
use http_body::Body;
use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};
use tower::Service;

/// How often a probe that is running asks whether it still has to.
const TICK: Duration = Duration::from_secs(1);

/// The shortest period.
const SHORTEST: Duration = Duration::from_millis(10);

/// The longest period: far enough, and far from where the clock overflows.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Probes an upstream, and opens and closes a gate by what it finds.
///
/// [`run`](Self::run) returns a future that you spawn. **However that future ends — it returns,
/// panics, is dropped or aborted, or its runtime shuts down — the gate closes**, and so it does when
/// the driver is dropped without having run. If it starves, the gate closes by itself after three
/// periods and a timeout. It ends when nobody is left to read what it reports.
///
/// The service is the bare upstream: a client, or whatever puts an address in front of the path. A
/// clone of it is made for every probe.
///
/// # Rules
///
/// | phase | event | phase then | gate |
/// |---|---|---|---|
/// | starting | `success_threshold` successes | healthy | opens |
/// | starting | the server says that it is loading | starting, for another `grace` | starting |
/// | starting | failures within `grace` | starting: they do not count | starting |
/// | starting | `failure_threshold` failures after it | dead | failed |
/// | healthy | a probe begins | probing | open |
/// | probing | success, busy | healthy | open |
/// | probing | failure, or a request of a client fails | suspect | open |
/// | probing, suspect | a request of a client completes | healthy; the probe is aborted | open |
/// | suspect | success of the kind that failed | healthy | open |
/// | suspect | `failure_threshold` consecutive failures | dead | starting for `grace`, then failed |
/// | suspect | the server has said so often that it is not ready | starting | starting |
/// | dead | one probe at a time, of the kind it died of: `success_threshold` successes | healthy | opens |
///
/// 1. A probe fails if it is not answered within `timeout`, panics, or is answered by an error. Nothing
///    that a [busy](Outcome::Busy) server does is a failure: 429 says that it is alive, and as long as
///    requests complete, silence is no miss. So a hung server closes the gate within
///    `failure_threshold × period + timeout`, and a busy one never does.
/// 2. Shallow and deep probes have counts of their own, and a shallow success does not clear deep
///    misses. Requests that fail count like deep probes.
/// 3. If requests closed the gate and there are no deep probes, it opens half: the first request that
///    fails before one completes closes it again.
/// 4. It opens at most three times in twelve periods, so that a server that comes and goes is down.
/// 5. One probe at a time. Periods are jittered by a fifth, downwards, and the first is cut short at
///    random, so that many drivers do not ask in step.
/// 6. [`Observe::state_changed`] is called outside of any lock.
///
/// # Example: a gate driven by probes, and by real requests
///
/// ```
/// use tower_inference::{
///     ErrorNormalizationLayer, ProbeDriver, ReadinessLayer, ReadyFlag, readiness::Preset,
/// };
///
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// # let upstream = tower::service_fn(async |_: Request<Full<Bytes>>| {
/// #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
/// # });
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let flag = ReadyFlag::new();
/// let driver = ProbeDriver::new(upstream, Preset::vllm().model("llama-3"), flag.reporter())
///     .deep_every(6);
/// let layers = tower::ServiceBuilder::new()
///     .layer(ErrorNormalizationLayer::new().observe(driver.handle()))
///     .layer(ReadinessLayer::new(flag.clone()));
/// tokio::spawn(driver.run());
/// # let _ = layers;
/// # while !flag.state().is_ready() { tokio::task::yield_now().await }
/// # });
/// ```
pub struct ProbeDriver<S> {
    service: S,
    preset: Preset,
    timeout: Duration,
    deep_timeout: Duration,
    staleness: bool,
    guard: Guard,
}

impl<S> ProbeDriver<S> {
    /// Probes `service` as `preset` says, and reports to `reporter`.
    #[must_use]
    pub fn new(service: S, preset: Preset, reporter: Reporter) -> Self {
        let limits = Limits {
            period: Duration::from_secs(5),
            grace: Duration::from_secs(30),
            failure_threshold: 3,
            success_threshold: 1,
            deep_every: 0,
        };
        Self {
            service,
            preset,
            timeout: Duration::from_secs(3),
            deep_timeout: Duration::from_secs(60),
            staleness: true,
            guard: Guard(Arc::new(Shared::new(reporter, limits))),
        }
    }

    /// How long from one probe to the next, at least 10 ms and at most 30 days. Default: 5 s.
    #[must_use]
    pub fn period(self, period: Duration) -> Self {
        self.edit(|limits| limits.period = period.clamp(SHORTEST, LONGEST))
    }

    /// How long a shallow probe may take; no longer than the period. Default: 3 s.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How many consecutive failures close the gate. Default: 3; 0 counts as 1.
    #[must_use]
    pub fn failure_threshold(self, threshold: u32) -> Self {
        self.edit(|limits| limits.failure_threshold = threshold.max(1))
    }

    /// How many consecutive successes open the gate. Default: 1.
    #[must_use]
    pub fn success_threshold(self, threshold: u32) -> Self {
        self.edit(|limits| limits.success_threshold = threshold)
    }

    /// For how long failures do not count at the start, and for how long a server that broke may be
    /// restarting. Default: 30 s.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        self.edit(|limits| limits.grace = grace)
    }

    /// Makes every `n`th probe a deep one, while the gate is open, if the preset has any. Default: 0,
    /// none.
    #[must_use]
    pub fn deep_every(self, n: u32) -> Self {
        self.edit(|limits| limits.deep_every = n)
    }

    /// How long a deep probe may take. No other probe is made in the meantime, so that a hung server is
    /// noticed later by as much. Default: 60 s.
    #[must_use]
    pub fn deep_timeout(self, timeout: Duration) -> Self {
        Self { deep_timeout: timeout, ..self }
    }

    /// Whether the gate closes by itself when this driver does not confirm that it is ready for three
    /// periods and a timeout. Requests then read the clock. Default: on.
    #[must_use]
    pub fn staleness(self, staleness: bool) -> Self {
        Self { staleness, ..self }
    }

    /// Tells `observer` of every probe and every change of state. If it panics, the driver ends.
    /// Default: nobody.
    #[must_use]
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        self.guard.0.lock().observer = Some(Arc::new(observer));
        self
    }

    /// What real requests are reported to; it is an [`Observe`].
    #[must_use]
    pub fn handle(&self) -> ProbeHandle {
        ProbeHandle(Arc::clone(&self.guard.0))
    }

    fn edit(self, change: impl FnOnce(&mut Limits)) -> Self {
        let mut inner = self.guard.0.lock();
        change(&mut inner.monitor.limits);
        drop(inner);
        self
    }

    /// Probes until nobody is left to read what it reports.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future at any point closes the gate.
    pub async fn run<ReqB, ResB>(self)
    where
        S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
        ReqB: From<Bytes>,
        ResB: Body<Data = Bytes>,
    {
        let shared = &self.guard.0;
        let period = self.start();
        let mut pause = period.mul_f64(fraction());
        while !shared.reporter.is_orphaned() {
            let begun = Instant::now();
            self.probe().await;
            // Drawn in time, not after the probe: the period is from begin to begin.
            let next = pin!(sleep_until(begun + pause));
            select(next, pin!(shared.closed.notified())).await;
            pause = period.mul_f64(1.0 - fraction() / 5.0);
        }
    }

    /// Puts the options into effect; returns the period.
    fn start(&self) -> Duration {
        let mut inner = self.guard.0.lock();
        let limits = &mut inner.monitor.limits;
        if self.preset.deep_request().is_none() {
            limits.deep_every = 0;
        }
        let period = limits.period;
        let valid_for = period.saturating_mul(3).saturating_add(self.timeout.min(period));
        inner.valid_for = self.staleness.then_some(valid_for);
        period
    }

    async fn probe<ReqB, ResB>(&self)
    where
        S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
        ReqB: From<Bytes>,
        ResB: Body<Data = Bytes>,
    {
        let shared = &self.guard.0;
        let begun = Instant::now();
        let trial = shared.begin();
        let outcome = self.outcome(trial).await;
        shared.finish(trial, outcome.unwrap_or(Outcome::Busy));
        shared.probed(&Probed {
            model: shared.reporter.model_name(),
            deep: trial.tier == Tier::Deep,
            outcome: outcome.map_or("aborted", Outcome::as_str),
            took: begun.elapsed(),
        });
    }

    /// What a probe finds. `None` if a request was completed in the meantime: then a probe is not
    /// waited for, and its failure is none.
    async fn outcome<ReqB, ResB>(&self, trial: Trial) -> Option<Outcome>
    where
        S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
        ReqB: From<Bytes>,
        ResB: Body<Data = Bytes>,
    {
        let period = self.guard.0.lock().monitor.limits.period;
        let (limit, deep) = match trial.tier {
            Tier::Shallow => (self.timeout.min(period), None),
            Tier::Deep => (self.deep_timeout, self.preset.deep_request()),
        };
        let probe = caught(async {
            match deep {
                Some(request) => {
                    attempt(self.service.clone(), request, |it| self.preset.read_deep(it)).await
                }
                None => {
                    let request = self.preset.request();
                    attempt(self.service.clone(), request, |it| self.preset.read(it)).await
                }
            }
        });
        let mut probe = pin!(timeout(limit, probe));
        let outcome = loop {
            match timeout(TICK.min(period), probe.as_mut()).await {
                Ok(outcome) => break outcome.unwrap_or(Outcome::Failed),
                Err(_) if self.guard.0.is_awaited(trial) => {}
                Err(_) => return None,
            }
        };
        (outcome != Outcome::Failed || self.guard.0.is_awaited(trial)).then_some(outcome)
    }
}

impl<S> fmt::Debug for ProbeDriver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeDriver")
            .field("preset", &self.preset)
            .field("handle", &self.handle())
            .finish_non_exhaustive()
    }
}

/// A random number from 0 to 1. Each `RandomState` has other keys, so the hash of nothing will do.
fn fraction() -> f64 {
    let thousandths = u16::try_from(RandomState::new().hash_one(()) % 1001).unwrap_or_default();
    f64::from(thousandths) / 1000.0
}
