//! Flat OpenAI-like bodies.

use super::{Failure, Provider};
use crate::error::InferenceError;

/// Flat OpenAI-like bodies.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiFlat;

impl Provider for OpenAiFlat {
    fn name(&self) -> &'static str {
        "openai-flat"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let _ = failure;
        None
    }
}
