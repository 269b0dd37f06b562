//! What the layers tell the outside: facts, as calls on a trait with default methods.
//!
//! One trait, because a metric, a log line and a passive health check want the same facts. Nothing
//! here is text to be parsed, and nothing is redacted: an observer belongs to the operator.
//!
//! Rules:
//!
//! 1. A method is called once per fact, from the task that handles the request: it must not block.
//! 2. A healthy answer that is no stream is no fact: the hot path calls nobody.
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

use crate::error::InferenceError;

/// Is told what the layers see.
pub trait Observe: Send + Sync {
    /// A request failed, and this is what its client is told about, unredacted.
    fn failed(&self, error: &InferenceError) {
        let _ = error;
    }

    /// A watched stream ended.
    fn stream_ended(&self, outcome: StreamOutcome) {
        let _ = outcome;
    }
}

/// Observes nothing.
impl Observe for () {}

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
