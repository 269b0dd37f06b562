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

#[cfg(test)]
mod tests {
    use crate::{Category, provider::answer};

    #[test]
    fn sentences_are_read_with_their_status() {
        let table = [
            (429, r#"{"error":"x","error_type":"overloaded"}"#, Category::Overloaded),
            (422, r#"{"error":"`inputs` must have less than 5 tokens","error_type":"validation"}"#, Category::ContextLengthExceeded),
            (404, r#"{"error":"model 'x' not found"}"#, Category::ModelNotFound),
            (503, r#"{"error":"Model with name x is not ready."}"#, Category::ModelNotReady),
            (400, r#"{"error":"Request for unknown model: 'x' has no available versions"}"#, Category::ModelNotReady),
            (400, r#"{"code":"c","error":"Incorrect API key provided"}"#, Category::Authentication),
            (500, r#"[{"error":"Model x is currently loading","estimated_time":20.0}]"#, Category::ModelNotReady),
        ];
        for (status, body, expected) in table {
            let error = answer(status, &[], body);
            assert_eq!(error.category(), expected, "{body}");
        }
    }

    #[test]
    fn a_sentence_in_a_success_decides_only_with_the_words_of_a_limit() {
        let table = [
            ("too many requests, please try again in 20s", Category::RateLimited),
            ("you've reached your hourly usage limit, please wait or upgrade", Category::RateLimited),
            ("Too Many Requests", Category::RateLimited),
            ("Rate limit exceeded", Category::RateLimited),
            ("Unauthorized", Category::Authentication),
            ("service unavailable", Category::Overloaded),
            ("model 'x' not found", Category::ModelNotFound),
            ("the rate of requests and its limit are printed below", Category::UpstreamError),
            ("cannot read limits.json: too many values", Category::UpstreamError),
            ("llama runner process has terminated: exit status 2", Category::UpstreamError),
            ("unauthorized use of the word quota", Category::UpstreamError),
        ];
        for (sentence, expected) in table {
            let body = serde_json::json!({ "error": sentence }).to_string();
            for status in [0, 200] {
                assert_eq!(answer(status, &[], &body).category(), expected, "{sentence}");
            }
        }
        let error = answer(200, &[], r#"{"error":"too many requests, try again in 20s"}"#);
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(20));
    }
}
