//! How many requests are under way, counted to the end of their bodies.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A counter of the requests that have passed a gate and whose answers have not ended.
///
/// Cheap to clone; all clones are one counter.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    /// A counter at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The requests under way at this moment.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}
