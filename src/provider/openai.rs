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
        let choice = body.get("choices").items().next().unwrap_or(Json::MISSING);
        let places = [body.get("error"), body.get("response").get("error"), choice.get("error")];
        let error = places.into_iter().find(|error| error.is_object())?;
        let mut said = Said::of(error);
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
            None if failure.code() == 404 && said.param.as_deref() == Some("model") => {
                said.category = Some(Category::ModelNotFound);
            }
            _ => {}
        }
        Some(said.error(failure, self))
    }
}
