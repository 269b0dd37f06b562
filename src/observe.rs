//! What the layers tell the outside: facts, as calls on a trait with default methods.
//!
//! One trait, because a metric, a log line and a passive health check want the same facts. Nothing
//! here is text to be parsed, and nothing is redacted: an observer belongs to the operator.
//!
//! Rules:
//!
//! 1. A method is called once per fact, from the task that handles the request: it must not block.
//! 2. What goes well is a fact too, but only where somebody is set to hear it: without an observer the
//!    hot path calls nobody.
//!
//! # Example: counting failures
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
//! use tower_inference::{ErrorNormalizationLayer, InferenceError, observe::Observe};
//!
//! #[derive(Clone, Default)]
//! struct Failures(Arc<AtomicU64>);
//!
//! impl Observe for Failures {
//!     fn failed(&self, _: &InferenceError) {
//!         self.0.fetch_add(1, Ordering::Relaxed);
//!     }
//! }
//!
//! let layer = ErrorNormalizationLayer::new().observe(Failures::default());
//! # let _ = layer;
//! ```

use crate::{error::InferenceError, readiness::State};
use http::StatusCode;
use std::{sync::Arc, time::Duration};

/// Is told what the layers see.
pub trait Observe: Send + Sync {
    /// A request failed, and this is what its client is told about, unredacted.
    fn failed(&self, error: &InferenceError) {
        let _ = error;
    }

    /// A watched stream ended.
    fn stream_ended(&self, end: &StreamEnd<'_>) {
        let _ = end;
    }

    /// A request for a model's work was answered without an error that a layer recognised: its stream
    /// came to its end, or the head of any other answer has come.
    fn completed(&self, completion: &Completion<'_>) {
        let _ = completion;
    }

    /// A probe of a [`ProbeDriver`](crate::ProbeDriver) is over.
    fn probed(&self, probe: &Probed<'_>) {
        let _ = probe;
    }

    /// A [`ProbeDriver`](crate::ProbeDriver) found that a model, or the process as a whole, is now in
    /// another state.
    fn state_changed(&self, model: Option<&str>, state: State) {
        let _ = (model, state);
    }
}

/// Observes nothing.
impl Observe for () {}

/// All of them are told, in order.
impl<T: Observe> Observe for Vec<T> {
    fn failed(&self, error: &InferenceError) {
        self.iter().for_each(|it| it.failed(error));
    }

    fn stream_ended(&self, end: &StreamEnd<'_>) {
        self.iter().for_each(|it| it.stream_ended(end));
    }

    fn completed(&self, completion: &Completion<'_>) {
        self.iter().for_each(|it| it.completed(completion));
    }

    fn probed(&self, probe: &Probed<'_>) {
        self.iter().for_each(|it| it.probed(probe));
    }

    fn state_changed(&self, model: Option<&str>, state: State) {
        self.iter().for_each(|it| it.state_changed(model, state));
    }
}

impl<T: Observe + ?Sized> Observe for Arc<T> {
    fn failed(&self, error: &InferenceError) {
        (**self).failed(error);
    }

    fn stream_ended(&self, end: &StreamEnd<'_>) {
        (**self).stream_ended(end);
    }

    fn completed(&self, completion: &Completion<'_>) {
        (**self).completed(completion);
    }

    fn probed(&self, probe: &Probed<'_>) {
        (**self).probed(probe);
    }

    fn state_changed(&self, model: Option<&str>, state: State) {
        (**self).state_changed(model, state);
    }
}

/// A request that was answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Completion<'a> {
    /// The model that the request asked for, if that is known.
    pub model: Option<&'a str>,
    /// The status of the answer.
    pub status: StatusCode,
}

impl<'a> Completion<'a> {
    /// An answer with this status.
    #[must_use]
    pub fn new(model: Option<&'a str>, status: StatusCode) -> Self {
        Self { model, status }
    }
}

/// A probe that is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Probed<'a> {
    /// The model whose readiness it was about; `None` for the process as a whole.
    pub model: Option<&'a str>,
    /// Whether it asked for real work.
    pub deep: bool,
    /// What it found: `ready`, `not_ready`, `busy`, `failed`, or `aborted` if traffic had the answer
    /// first.
    pub outcome: &'static str,
    /// How long it took.
    pub took: Duration,
}

/// The end of a watched stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct StreamEnd<'a> {
    /// The model that the request asked for, if that is known.
    pub model: Option<&'a str>,
    /// How it ended.
    pub outcome: StreamOutcome,
    /// How many events came, comments not counted.
    pub events: u64,
    /// How long after the request the first *meaningful* event came; `None` if none did. Clients call
    /// it the time to the first token.
    pub first_event: Option<Duration>,
    /// How long after the request the stream ended.
    pub took: Duration,
}

/// How a watched stream ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum StreamOutcome {
    /// With its terminal marker.
    Completed,
    /// With an error event of the upstream.
    Failed,
    /// Without its terminal marker, or because the transport broke.
    Truncated,
    /// With a pause longer than allowed.
    Stalled,
    /// Because the client went away.
    Cancelled,
}
