//! The OpenAI family: `{"error":{"message","type","param","code"}}`.
use super::{Failure, Provider};
use crate::error::{Category, InferenceError};

/// stub
#[derive(Clone, Copy, Debug)]
pub struct OpenAi;

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let error = failure.json().get("error");
        let message = error.get("message").string()?;
        Some(failure.error(self, Category::UpstreamError, &message))
    }
}
