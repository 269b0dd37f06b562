//! OpenAI, and everybody who writes `{"error":{"message","type","param","code"}}`: Azure, vLLM,
//! llama.cpp, Groq, Together, DeepSeek, OpenRouter, LiteLLM, MoFA and many more.

use super::{Failure, Provider, said::Said};
use crate::{
    error::{Category, InferenceError},
    framing::json::Json,
};

/// Reads an `error` object, wherever the OpenAI APIs put it: at the top, in the `response` of a
/// `response.failed` event, in the first choice of an answer that broke off (OpenRouter).
///
/// Sources: `platform.openai.com/docs/guides/error-codes`,
/// `learn.microsoft.com/azure/ai-services/openai/concepts/content-filter`,
/// `openrouter.ai/docs/api-reference/errors`, `console.groq.com/docs/errors`.
#[derive(Clone, Copy, Debug)]
pub struct OpenAi;

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let body = failure.json();
        let is_object = |error: &Json<'_>| error.is_object();
        let error = Some(body.get("error")).filter(is_object).or_else(|| {
            let choice = body.get("choices").items().next().unwrap_or(Json::MISSING);
            let places = [
                body.get("response").get("error"),
                choice.get("error"),
                body.get("Response").get("Error"), // Tencent Cloud
            ];
            places.into_iter().find(is_object)
        })?;
        let mut said = Said::of(error);
        refine(&mut said, error);
        let no_model = said.code.is_none() && said.param.as_deref() == Some("model");
        if no_model && failure.code() == 404 {
            said.category = Some(Category::ModelNotFound);
        }
        Some(said.error(failure, self))
    }
}

/// Reads the peculiarities of those who write OpenAI's shape.
pub(super) fn refine<'a>(said: &mut Said<'a>, error: Json<'a>) {
    let metadata = error.get("metadata");
    if ["patterns", "flagged_input"].iter().any(|key| metadata.get(key).is_truthy()) {
        said.category = Some(Category::ContentFilter); // OpenRouter's moderation
    }
    match said.code.as_deref() {
        // Groq: what the model wrote was no valid call; it may be the next time.
        Some("tool_use_failed" | "json_validate_failed") => said.retryable = Some(true),
        // DashScope calls a limit per minute so, and blames a parameter of that name.
        Some("insufficient_quota") if said.param.as_deref() == Some("insufficient_quota") => {
            said.category = Some(Category::RateLimited);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::Category;
    use crate::provider::answer;

    /// What the dialect of this name writes for each category; only `unknown` says too little.
    #[test]
    fn the_dialects_table_is_read_backwards() {
        let table = [
            (401, "authentication_error", "invalid_api_key", Category::Authentication),
            (403, "permission_error", "permission_denied", Category::Permission),
            (422, "invalid_request_error", "some_code", Category::InvalidRequest),
            (400, "invalid_request_error", "context_length_exceeded", Category::ContextLengthExceeded),
            (400, "invalid_request_error", "content_filter", Category::ContentFilter),
            (413, "invalid_request_error", "request_too_large", Category::RequestTooLarge),
            (404, "invalid_request_error", "model_not_found", Category::ModelNotFound),
            (404, "invalid_request_error", "not_found", Category::NotFound),
            (429, "rate_limit_error", "rate_limit_exceeded", Category::RateLimited),
            (429, "insufficient_quota", "insufficient_quota", Category::QuotaExhausted),
            (503, "service_unavailable", "overloaded", Category::Overloaded),
            (503, "service_unavailable", "model_not_ready", Category::ModelNotReady),
            (504, "timeout_error", "timeout", Category::Timeout),
            (409, "conflict_error", "conflict", Category::Conflict),
            (501, "invalid_request_error", "unsupported", Category::Unsupported),
            (499, "server_error", "cancelled", Category::Cancelled),
            (502, "server_error", "upstream_error", Category::UpstreamError),
        ];
        for (status, kind, code, expected) in table {
            let body = format!(r#"{{"error":{{"message":"m","type":"{kind}","param":null,"code":"{code}"}}}}"#);
            for status in [status, 0] {
                let error = answer(status, &[], &body);
                assert_eq!(error.category(), expected, "{status} {body}");
                assert_eq!((error.provider(), error.code()), (Some("openai"), Some(code)));
            }
        }
    }

    #[test]
    fn peculiar_members_decide() {
        let table = [
            (400, r#"{"error":{"message":"m","code":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#, Category::ContentFilter),
            (403, r#"{"error":{"message":"m","code":403,"metadata":{"flagged_input":"x"}}}"#, Category::ContentFilter),
            (429, r#"{"error":{"message":"m","code":"insufficient_quota","param":"insufficient_quota"}}"#, Category::RateLimited),
            (404, r#"{"error":{"message":"m","code":null,"param":"model"}}"#, Category::ModelNotFound),
            (200, r#"{"Response":{"Error":{"Code":"AuthFailure.SignatureFailure","Message":"m"}}}"#, Category::Authentication),
            (200, r#"{"choices":[{"error":{"code":429,"message":"m"}}]}"#, Category::RateLimited),
        ];
        for (status, body, expected) in table {
            assert_eq!(answer(status, &[], body).category(), expected, "{body}");
        }
    }

    #[test]
    fn a_call_that_the_model_got_wrong_may_be_right_the_next_time() {
        let error = answer(400, &[], r#"{"error":{"message":"m","code":"tool_use_failed"}}"#);
        assert_eq!((error.category(), error.is_retryable()), (Category::InvalidRequest, true));
    }
}
