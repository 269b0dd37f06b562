//! HTML pages.

use super::{Failure, Provider};
use crate::error::InferenceError;

/// HTML pages.
#[derive(Clone, Copy, Debug)]
pub struct Html;

impl Provider for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let _ = failure;
        None
    }
}
