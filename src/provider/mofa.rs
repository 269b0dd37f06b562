//! MoFA's gateway, which says in a header what its orchestrator refused.

use super::{Failure, Provider, said};
use crate::error::{Category, InferenceError};

/// Reads `x-mofa-backend: rejected(reason)`, which marks a refusal whatever the status: before its
/// commit ac7dd98a the gateway answered 200 with the reason as the model's words.
///
/// Its other errors are OpenAI's.
#[derive(Clone, Copy, Debug)]
pub struct Mofa;

impl Provider for Mofa {
    fn name(&self) -> &'static str {
        "mofa"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let reason = failure.header("x-mofa-backend")?.strip_prefix("rejected(")?;
        let message = said::message(failure.json().get("error"));
        let message = message.as_deref().unwrap_or(reason.trim_end_matches(')'));
        Some(failure.error(self, Category::Overloaded, message))
    }
}
