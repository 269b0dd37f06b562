//! The layer, which is its own builder.

use super::{InFlight, Readiness, ReadinessProbe, hold::Hold};
use crate::dialect::{Dialect, Disclosure};
use std::{sync::Arc, time::Duration};
use tower_layer::Layer;

/// Last segments of paths that answer while the gate is closed.
const EXEMPT: [&str; 8] =
    ["health", "healthz", "live", "livez", "ready", "readyz", "metrics", "tt-liveness"];

/// 10,000 held requests take a second, in portions of a hundred at most.
const RELEASE_EVERY: Duration = Duration::from_micros(100);

/// Applies [`Readiness`] to a service; see the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct ReadinessLayer<P> {
    probe: P,
    config: Arc<Config>,
}

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) dialect: Option<Arc<dyn Dialect>>,
    pub(super) disclosure: Disclosure,
    pub(super) in_flight: Option<InFlight>,
    pub(super) hold: Option<Arc<Hold>>,
    pub(super) release_every: Duration,
    exempt: Vec<Box<str>>,
}

impl<P: ReadinessProbe> ReadinessLayer<P> {
    /// A gate that opens and closes as `probe` says.
    #[must_use]
    pub fn new(probe: P) -> Self {
        let config = Config {
            dialect: None,
            disclosure: Disclosure::default(),
            in_flight: probe.in_flight(),
            hold: None,
            release_every: RELEASE_EVERY,
            exempt: EXEMPT.map(Box::from).into(),
        };
        Self { probe, config: Arc::new(config) }
    }

    /// Lets a request whose model is [starting](super::State::Starting) wait up to `max_wait` for it, at
    /// most `max_waiting` of them at a time, instead of refusing it at once. Default: none waits.
    ///
    /// The limit counts for all clones of this layer and all their services together. First come,
    /// first served, per model; whoever comes once the model is ready passes at once. One request too
    /// many, one that has waited in vain and one whose model fails, drains or is removed meanwhile
    /// gets the answer it would have got without waiting. A waiting request reserves nothing of the
    /// inner service, so a cold model starves no warm one. It keeps itself, its body and a clone of
    /// the inner service, and beside them less than 1 KiB. Dropping its future leaves nothing behind.
    ///
    /// Needs tokio's clock. A probe without [`watch`](ReadinessProbe::watch) is asked every 100 ms. A
    /// request whose name [`unless_closed`](crate::ModelNameLayer::unless_closed) left unread has no
    /// model when it is released: leave that out where the process itself is waited for.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_inference::{ModelRegistry, ReadinessLayer};
    /// let models = ModelRegistry::new();
    /// let layer = ReadinessLayer::new(models.clone()).hold(Duration::from_secs(30), 1_000);
    /// assert_eq!(layer.waiting(), 0);
    /// ```
    #[must_use]
    pub fn hold(self, max_wait: Duration, max_waiting: usize) -> Self
    where
        P: Clone + Send + Sync + 'static,
    {
        let hold = Arc::new(Hold::new(self.probe.clone(), max_wait, max_waiting));
        self.edit(|config| config.hold = Some(hold))
    }
}

impl<P> ReadinessLayer<P> {
    /// Releases at most so many held requests per second, and after a pause of the timers at most a
    /// hundredth of that at once. Default: 10,000.
    #[must_use]
    pub fn release_rate(self, per_second: u32) -> Self {
        let every = Duration::from_secs(1) / per_second.max(1);
        self.edit(|config| config.release_every = every)
    }

    /// How many requests are [held](Self::hold) at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.config.hold.as_ref().map_or(0, |hold| hold.waiting())
    }

    /// Answers every refused request in this dialect. Default: the dialect each request speaks.
    #[must_use]
    pub fn dialect(self, dialect: impl Dialect + 'static) -> Self {
        self.edit(|config| config.dialect = Some(Arc::new(dialect)))
    }

    /// Sets what clients may see of a refusal. Default: [`Disclosure::default`].
    #[must_use]
    pub fn disclosure(self, disclosure: Disclosure) -> Self {
        self.edit(|config| config.disclosure = disclosure)
    }

    /// Lets requests through whose path ends with one of these segments, exactly, whatever the probe
    /// says. Default: `health`, `healthz`, `live`, `livez`, `ready`, `readyz`, `metrics`,
    /// `tt-liveness`.
    #[must_use]
    pub fn exempt<T: Into<Box<str>>>(self, segments: impl IntoIterator<Item = T>) -> Self {
        self.edit(|config| config.exempt = segments.into_iter().map(Into::into).collect())
    }

    fn edit(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl Config {
    pub(super) fn is_exempt(&self, path: &str) -> bool {
        let last = path.bytes().rposition(|b| b == b'/').map_or(path, |slash| &path[slash + 1..]);
        self.exempt.iter().any(|segment| **segment == *last)
    }
}

impl<S, P: Clone> Layer<S> for ReadinessLayer<P> {
    type Service = Readiness<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Readiness::new(inner, self.probe.clone(), Arc::clone(&self.config))
    }
}
