//! The layer, which is its own builder.

use super::{
    ErrorNormalization,
    config::{Config, TerminalMarker, Unrecognised},
    credentials::Credentials,
};
use crate::{
    dialect::{Dialect, Disclosure},
    error::InferenceError,
    observe::Observe,
    provider::Providers,
};
use std::{error::Error, sync::Arc, time::Duration};
use tower_layer::Layer;

/// Applies [`ErrorNormalization`] to a service; see the [module docs](super) for an example.
///
/// A layer is its own builder: every option has a default that is safe to keep.
#[derive(Clone, Debug, Default)]
pub struct ErrorNormalizationLayer {
    config: Arc<Config>,
}

impl ErrorNormalizationLayer {
    /// A layer with the defaults: any provider, the dialect of each request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets who the upstream may be. Default: [`Providers::auto`].
    #[must_use]
    pub fn providers(self, providers: Providers) -> Self {
        self.edit(|config| config.providers = providers)
    }

    /// Answers every request in this dialect. Default: the dialect each request speaks.
    #[must_use]
    pub fn dialect(self, dialect: impl Dialect + 'static) -> Self {
        self.edit(|config| config.dialect = Some(Arc::new(dialect)))
    }

    /// Sets what clients may see of an error. Default: [`Disclosure::default`], which redacts.
    #[must_use]
    pub fn disclosure(self, disclosure: Disclosure) -> Self {
        self.edit(|config| config.disclosure = disclosure)
    }

    /// Sets whose credentials the upstream sees. Default: [`Credentials::Client`].
    ///
    /// With [`Credentials::Gateway`], refusals of them (authentication, permission, quota) reach
    /// clients as 502, not to be retried, without the provider's status and words, and without
    /// `www-authenticate`, cookies and organisation headers; the observer hears all of it.
    #[must_use]
    pub fn credentials(self, credentials: Credentials) -> Self {
        self.edit(|config| config.credentials = credentials)
    }

    /// Sets what happens to error statuses on paths that no dialect claims. Default:
    /// [`Unrecognised::Normalize`]. Streams on such paths are never touched.
    #[must_use]
    pub fn unrecognised(self, unrecognised: Unrecognised) -> Self {
        self.edit(|config| config.unrecognised = unrecognised)
    }

    /// Sets whether a stream may end without its terminal marker. Default:
    /// [`TerminalMarker::Required`].
    #[must_use]
    pub fn terminal_marker(self, marker: TerminalMarker) -> Self {
        self.edit(|config| config.terminal_marker = marker)
    }

    /// Sets how many bytes of an error body are read; the rest is dropped. Default: 64 KiB.
    #[must_use]
    pub fn max_error_body(self, bytes: usize) -> Self {
        self.edit(|config| config.max_error_body = bytes)
    }

    /// Sets how long an error body is waited for; what has come by then is read. Default: 5 s.
    #[must_use]
    pub fn error_body_timeout(self, timeout: Duration) -> Self {
        self.edit(|config| config.error_body_timeout = timeout)
    }

    /// Sets how many bytes of an unfinished event are held back. Default: 16 MiB.
    ///
    /// A larger event passes as it comes; a break inside of it fails the body, since no client can
    /// be told anything after half an event.
    #[must_use]
    pub fn max_event(self, bytes: usize) -> Self {
        self.edit(|config| config.max_event = bytes)
    }

    /// Sets how long a stream may take to its first event. Default: 10 min, since a long prompt is
    /// read before the first token comes.
    #[must_use]
    pub fn first_event_timeout(self, timeout: Duration) -> Self {
        self.edit(|config| config.first_event_timeout = timeout)
    }

    /// Sets how long a stream may pause between events. Default: 300 s. Comments are no events, and
    /// a slow client is no pause.
    #[must_use]
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.edit(|config| config.idle_timeout = timeout)
    }

    /// Sets how long the head of a stream waits for the first meaningful event, so that an error
    /// before it becomes a real status. Default: 10 s in all, and 2 s after the first preamble
    /// event; zero switches it off.
    ///
    /// What it costs: a client sees the status only with the first token, though no later than that.
    #[must_use]
    pub fn promote_within(self, wait: Duration) -> Self {
        self.edit(|config| config.promote_within = wait)
    }

    /// Sends a comment whenever a client of a watched stream has heard nothing for so long, counted
    /// from the release of the head, so that proxies in between do not cut an idle connection. Default:
    /// never.
    ///
    /// Only clients that survive comments get them: those of OpenAI and Anthropic, never Gemini's
    /// (google-genai raises on any, or loses the next event).
    #[must_use]
    pub fn keep_alive(self, every: Duration) -> Self {
        self.edit(|config| config.keep_alive = Some(every).filter(|every| !every.is_zero()))
    }

    /// Tells `observer` of every failure and of the end of every watched stream. Default: nobody.
    #[must_use]
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        self.edit(|config| config.observer = Some(Arc::new(observer)))
    }

    /// Asks `read` first what an error of the inner service means; `None` leaves it to the layer.
    ///
    /// ```
    /// use tower_inference::{Category, ErrorNormalizationLayer, InferenceError};
    ///
    /// #[derive(Debug)]
    /// struct OutOfSlots;
    /// # impl std::fmt::Display for OutOfSlots {
    /// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("full") }
    /// # }
    /// # impl std::error::Error for OutOfSlots {}
    ///
    /// let layer = ErrorNormalizationLayer::new().map_error(|error| {
    ///     error.is::<OutOfSlots>().then(|| InferenceError::new(Category::Overloaded, "no slot is free"))
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn map_error<F>(self, read: F) -> Self
    where
        F: Fn(&(dyn Error + 'static)) -> Option<InferenceError> + Send + Sync + 'static,
    {
        self.edit(|config| config.map_error = Some(Arc::new(read)))
    }

    fn edit(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S> Layer<S> for ErrorNormalizationLayer {
    type Service = ErrorNormalization<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ErrorNormalization::new(inner, Arc::clone(&self.config))
    }
}
