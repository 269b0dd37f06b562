//! The layer, which is its own builder.

use super::ModelName;
use http::HeaderName;
use std::{sync::Arc, time::Duration};
use tower_layer::Layer;

/// Applies [`ModelName`] to a service; see the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct ModelNameLayer<P = ()> {
    /// The probe whose process gate is asked before a body is read.
    gate: P,
    config: Arc<Config>,
}

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) header: Option<HeaderName>,
    pub(super) max_look_ahead: usize,
    pub(super) look_ahead_timeout: Duration,
}

impl ModelNameLayer {
    /// A layer that looks at the path and the body, and reads bodies whether a gate is closed or not.
    #[must_use]
    pub fn new() -> Self {
        let config = Config {
            header: None,
            max_look_ahead: 1 << 20,
            look_ahead_timeout: Duration::from_secs(10),
        };
        Self { gate: (), config: Arc::new(config) }
    }
}

impl<P> ModelNameLayer<P> {
    /// Looks at this header before the body. Default: none, since a client could name one model to
    /// the gateway and another to the upstream.
    #[must_use]
    pub fn header(self, name: HeaderName) -> Self {
        self.edit(|config| config.header = Some(name))
    }

    /// Sets how many bytes of a body are read ahead. Default: 1 MiB.
    #[must_use]
    pub fn max_look_ahead(self, bytes: usize) -> Self {
        self.edit(|config| config.max_look_ahead = bytes)
    }

    /// Sets how long a body is waited for. Default: 10 s.
    #[must_use]
    pub fn look_ahead_timeout(self, timeout: Duration) -> Self {
        self.edit(|config| config.look_ahead_timeout = timeout)
    }

    /// Reads no body while the process gate of `probe` is closed: the request is about to be refused.
    /// Give it the probe of the [`ReadinessLayer`](crate::ReadinessLayer) inside.
    #[must_use]
    pub fn unless_closed<Q>(self, probe: Q) -> ModelNameLayer<Q> {
        ModelNameLayer { gate: probe, config: self.config }
    }

    fn edit(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl Default for ModelNameLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, P: Clone> Layer<S> for ModelNameLayer<P> {
    type Service = ModelName<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        ModelName::new(inner, self.gate.clone(), Arc::clone(&self.config))
    }
}
