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

#[cfg(test)]
mod tests {
    use super::Category;
    use crate::provider::answer;

    #[test]
    fn a_refusal_is_one_even_as_the_words_of_a_model() {
        let body = r#"{"choices":[{"message":{"content":"[rejected] no memory"}}]}"#;
        let error = answer(200, &[("x-mofa-backend", "rejected(no memory)")], body);
        assert_eq!((error.category(), error.message()), (Category::Overloaded, "no memory"));
        let error = answer(400, &[("x-mofa-backend", "local(x)")], r#"{"error":{"message":"m"}}"#);
        assert_eq!(error.provider(), Some("openai"));
    }
}
