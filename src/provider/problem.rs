//! RFC 9457 problem details.

use super::{Failure, Provider};
use crate::error::InferenceError;

/// RFC 9457 problem details.
#[derive(Clone, Copy, Debug)]
pub struct Problem;

impl Provider for Problem {
    fn name(&self) -> &'static str {
        "problem"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let _ = failure;
        None
    }
}
