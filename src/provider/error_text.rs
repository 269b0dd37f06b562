//! Servers whose `error` is a sentence: `{"error":"model 'x' not found"}`.

use super::{Failure, Provider, said::Said};
use crate::error::InferenceError;

/// Reads a string `error`: TGI and TEI (with `error_type`), Ollama, Triton, KServe, TensorFlow
/// Serving, mlx-lm, Hugging Face (with `estimated_time`, the seconds until a model is loaded), xAI
/// (with a `code` that is a sentence too).
#[derive(Clone, Copy, Debug)]
pub struct ErrorText;

impl Provider for ErrorText {
    fn name(&self) -> &'static str {
        "error-text"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        failure.json().get("error").string()?;
        Some(Said::of(failure.json()).error(failure, self))
    }
}
