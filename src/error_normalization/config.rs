//! What a layer was told, shared by all its services.

use super::credentials::Credentials;
use crate::{
    dialect::{Dialect, Disclosure},
    error::InferenceError,
    observe::Observe,
    provider::Providers,
};
use std::{error::Error, fmt, sync::Arc, time::Duration};

/// A user's reading of service errors, asked first.
pub(super) type ErrorMapper =
    dyn Fn(&(dyn Error + 'static)) -> Option<InferenceError> + Send + Sync;

#[derive(Clone)]
pub(super) struct Config {
    pub(super) providers: Providers,
    pub(super) dialect: Option<Arc<dyn Dialect>>,
    pub(super) disclosure: Disclosure,
    pub(super) credentials: Credentials,
    pub(super) unrecognised: Unrecognised,
    pub(super) terminal_marker: TerminalMarker,
    pub(super) max_error_body: usize,
    pub(super) error_body_timeout: Duration,
    pub(super) max_event: usize,
    pub(super) first_event_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) promote_within: Duration,
    pub(super) keep_alive: Option<Duration>,
    pub(super) observer: Option<Arc<dyn Observe>>,
    pub(super) map_error: Option<Arc<ErrorMapper>>,
}

/// How long the head of this request's stream waits for the first meaningful event, as an extension of
/// the request: what [`promote_within`](super::ErrorNormalizationLayer::promote_within) says for all
/// of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PromoteWithin(pub Duration);

/// What happens to error statuses on paths that no dialect claims.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unrecognised {
    /// They are answered in the layer's dialect, or OpenAI's.
    #[default]
    Normalize,
    /// They pass untouched.
    Pass,
}

/// Whether a stream may end without its operation's terminal marker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum TerminalMarker {
    /// A clean end without it is a truncation.
    #[default]
    Required,
    /// A clean end is accepted once something meaningful came: some proxies leave the marker out.
    Lenient,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            providers: Providers::auto(),
            dialect: None,
            disclosure: Disclosure::default(),
            credentials: Credentials::default(),
            unrecognised: Unrecognised::default(),
            terminal_marker: TerminalMarker::default(),
            max_error_body: 64 << 10,
            error_body_timeout: Duration::from_secs(5),
            max_event: 16 << 20,
            first_event_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(300),
            promote_within: Duration::from_secs(10),
            keep_alive: None,
            observer: None,
            map_error: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("providers", &self.providers)
            .field("dialect", &self.dialect)
            .field("disclosure", &self.disclosure)
            .field("credentials", &self.credentials)
            .field("unrecognised", &self.unrecognised)
            .field("terminal_marker", &self.terminal_marker)
            .field("max_error_body", &self.max_error_body)
            .field("error_body_timeout", &self.error_body_timeout)
            .field("max_event", &self.max_event)
            .field("first_event_timeout", &self.first_event_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("promote_within", &self.promote_within)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}
