//! Google's APIs: `{"error":{"code":429,"message","status":"RESOURCE_EXHAUSTED","details":[…]}}`.

use super::{Failure, Provider, said::Said};
use crate::{
    error::{Category, InferenceError},
    framing::json::Json,
};

/// Reads `google.rpc.Status`, as the Gemini API and Vertex AI send it, at times in an array.
///
/// The sentence is the same for a limit per minute, which passes, and one per day, which does not
/// soon: `QuotaFailure.violations[].quotaId` tells them apart.
///
/// Sources: `ai.google.dev/gemini-api/docs/troubleshooting`, `google/rpc/error_details.proto`.
#[derive(Clone, Copy, Debug)]
pub struct Google;

impl Provider for Google {
    fn name(&self) -> &'static str {
        "google"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let error = failure.json().get("error");
        if !is_status(error) {
            return None;
        }
        let mut said = Said::of(error);
        refine(&mut said, error);
        Some(said.error(failure, self))
    }
}

/// Whether this is a `google.rpc.Status`.
fn is_status(error: Json<'_>) -> bool {
    error.get("status").string().is_some() && error.get("code").number().is_some()
}

/// Reads what only Google writes, if `error` is Google's at all.
pub(super) fn refine<'a>(said: &mut Said<'a>, error: Json<'a>) {
    if !is_status(error) {
        return;
    }
    let details = || error.get("details").items();
    let violations = details().flat_map(|detail| detail.get("violations").items());
    let ids: Vec<_> = violations.filter_map(|v| v.get("quotaId").string()).collect();
    if ids.iter().any(|id| id.contains("PerDay")) {
        said.category = Some(Category::QuotaExhausted);
    } else if ids.iter().any(|id| id.contains("PerMinute")) {
        said.category = Some(Category::RateLimited);
    }
    // The number only repeats the status; the reason is the code.
    said.code = details().find_map(|detail| detail.get("reason").string());
    said.kind = error.get("status").string();
}

#[cfg(test)]
mod tests {
    use crate::{Category, provider::answer};

    // U12
    #[test]
    fn details_tell_what_the_sentence_does_not() {
        let sentence = "You exceeded your current quota, please check your plan";
        let table = [
            (429, sentence, "RESOURCE_EXHAUSTED", r#"{"violations":[{"quotaId":"RequestsPerDay-FreeTier"}]}"#, Category::QuotaExhausted),
            (429, sentence, "RESOURCE_EXHAUSTED", r#"{"violations":[{"quotaId":"RequestsPerMinute"}]}"#, Category::RateLimited),
            (400, "m", "INVALID_ARGUMENT", r#"{"reason":"API_KEY_INVALID"}"#, Category::Authentication),
            (429, "m", "RESOURCE_EXHAUSTED", r#"{"reason":"MODEL_CAPACITY_EXHAUSTED"}"#, Category::Overloaded),
            (403, "m", "PERMISSION_DENIED", "{}", Category::Permission),
            (404, "models/x is not found for API version v1", "NOT_FOUND", "{}", Category::ModelNotFound),
            (503, "m", "UNAVAILABLE", "{}", Category::Overloaded),
        ];
        for (code, message, status, detail, expected) in table {
            let body = format!(r#"[{{"error":{{"code":{code},"message":"{message}","status":"{status}","details":[{detail}]}}}}]"#);
            for transport in [code, 0] {
                let error = answer(transport, &[], &body);
                assert_eq!((error.category(), error.provider()), (expected, Some("google")), "{body}");
            }
        }
    }
}
