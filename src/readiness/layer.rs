//! The layer, which is its own builder.

use super::Readiness;
use crate::dialect::{Dialect, Disclosure};
use std::sync::Arc;
use tower_layer::Layer;

/// Last segments of paths that answer while the gate is closed.
const EXEMPT: [&str; 8] =
    ["health", "healthz", "live", "livez", "ready", "readyz", "metrics", "tt-liveness"];

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
    exempt: Vec<Box<str>>,
}

impl<P> ReadinessLayer<P> {
    /// A gate that opens and closes as `probe` says.
    #[must_use]
    pub fn new(probe: P) -> Self {
        let exempt = EXEMPT.map(Box::from).into();
        let config = Config { dialect: None, disclosure: Disclosure::default(), exempt };
        Self { probe, config: Arc::new(config) }
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
        let last = path.rsplit('/').next().unwrap_or_default();
        self.exempt.iter().any(|segment| **segment == *last)
    }
}

impl<S, P: Clone> Layer<S> for ReadinessLayer<P> {
    type Service = Readiness<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Readiness::new(inner, self.probe.clone(), Arc::clone(&self.config))
    }
}
