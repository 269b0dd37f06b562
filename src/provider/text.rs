//! Plain text.

use super::{Failure, Provider};
use crate::error::InferenceError;

/// Plain text.
#[derive(Clone, Copy, Debug)]
pub struct Text;

impl Provider for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let _ = failure;
        None
    }
}
