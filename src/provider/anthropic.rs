//! Anthropic, and the `/v1/messages` routes of others: `{"type":"error","error":{"type","message"}}`.

use super::{Failure, Provider, said::Said};
use crate::error::{Category, InferenceError};

/// Reads answers and `event: error` of the Messages API.
///
/// `invalid_request_error` covers credit, context and filters too, told apart by words;
/// `not_found_error` says `model: NAME` of an unknown model.
///
/// Source: `docs.anthropic.com/en/api/errors`.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let body = failure.json();
        if body.get("type").string()? != "error" {
            return None;
        }
        let error = body.get("error");
        if !error.is_object() {
            return None;
        }
        let mut said = Said::of(error);
        refine(&mut said);
        let read = said.error(failure, self);
        match body.get("request_id").string() {
            Some(id) if read.request_id().is_none() => Some(read.with_request_id(id.into_owned())),
            _ => Some(read),
        }
    }
}

/// Reads what only Anthropic writes.
pub(super) fn refine(said: &mut Said<'_>) {
    let unknown = said.kind.as_deref() == Some("not_found_error");
    if unknown && said.message.starts_with("model:") {
        said.category = Some(Category::ModelNotFound);
    }
}

#[cfg(test)]
mod tests {
    use super::Category;
    use crate::provider::answer;

    #[test]
    fn types_statuses_and_words_decide() {
        let table = [
            (401, "authentication_error", "m", Category::Authentication),
            (403, "permission_error", "m", Category::Permission),
            (400, "invalid_request_error", "m", Category::InvalidRequest),
            (400, "invalid_request_error", "prompt is too long: 9 > 8", Category::ContextLengthExceeded),
            (400, "invalid_request_error", "Your credit balance is too low", Category::QuotaExhausted),
            (413, "request_too_large", "m", Category::RequestTooLarge),
            (404, "not_found_error", "m", Category::NotFound),
            (404, "not_found_error", "model: claude-9", Category::ModelNotFound),
            (429, "rate_limit_error", "m", Category::RateLimited),
            (402, "billing_error", "m", Category::QuotaExhausted),
            (503, "overloaded_error", "m", Category::Overloaded),
            (529, "overloaded_error", "m", Category::Overloaded),
            (503, "overloaded_error", "Model x is not ready to serve requests yet", Category::ModelNotReady),
            (504, "timeout_error", "m", Category::Timeout),
            (409, "conflict_error", "m", Category::Conflict),
            (501, "invalid_request_error", "m", Category::Unsupported),
            (499, "api_error", "m", Category::Cancelled),
            (502, "api_error", "m", Category::UpstreamError),
            (0, "api_error", "m", Category::UpstreamError),
            (0, "overloaded_error", "m", Category::Overloaded),
        ];
        for (status, kind, message, expected) in table {
            let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"r"}}"#);
            let error = answer(status, &[], &body);
            assert_eq!(error.category(), expected, "{status} {body}");
            assert_eq!((error.provider(), error.request_id()), (Some("anthropic"), Some("r")));
        }
    }
}
