//! Anthropic.

use super::{Failure, Provider};
use crate::error::InferenceError;

/// Anthropic.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let _ = failure;
        None
    }
}
