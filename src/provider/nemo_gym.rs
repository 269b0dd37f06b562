//! NVIDIA NeMo Gym's own classification, for those whose clients depend on it.
//!
//! It goes by status and by words anywhere in the text, so it is wrong where those mislead ("auth" is
//! in "author"). That is why it is never asked unless it is chosen by name: with it, every upstream
//! is read as Gym reads it.

use super::{Failure, Provider};
use crate::{
    error::{Category, InferenceError},
    framing::json::Json,
};
use std::borrow::Cow;

/// Longest message, in characters; a longer one is cut to end with three dots.
const LONGEST: usize = 200;

/// Statuses that are worth retrying, whatever the text says.
const RETRYABLE: [u16; 6] = [429, 500, 502, 503, 504, 520];

/// Reads any failure as NeMo Gym does; chosen with [`Providers::named`](super::Providers::named)
/// `("nemo-gym")` or, configured, with [`Providers::with`](super::Providers::with).
///
/// Its own name of the class is left as the error's [label](InferenceError::label), beside the
/// nearest category; `retryable` follows the status alone. A failure without a status counts as 500.
///
/// | label, the first that applies | when |
/// |---|---|
/// | `authentication` | status 401, 403, or the text has "auth" or "api key" |
/// | `model_not_found` | status 404, or the text has "model" and "not found" |
/// | `rate_limit` | status 429, or the text has "rate limit" |
/// | `request_error` | status 400, 422 |
/// | `transient_upstream_failure` | status 429, 500, 502, 503, 504, 520 |
/// | `provider_error` | all else |
///
/// To reproduce it exactly, render with [`DetailObject`](crate::dialect::DetailObject), the
/// provider's status, the full context, and without redaction.
///
/// Source: `NVIDIA-NeMo/Gym`, pull request 1797, `responses_api_models/inference_provider/app.py`.
#[derive(Clone, Debug)]
pub struct NemoGym {
    model: Cow<'static, str>,
    base_url: Cow<'static, str>,
}

impl NemoGym {
    /// The classification without a configured model or address.
    #[must_use]
    pub const fn new() -> Self {
        Self { model: Cow::Borrowed(""), base_url: Cow::Borrowed("") }
    }

    /// Sets the model that errors name, whatever the client asked for. Default: the client's.
    #[must_use]
    pub fn model(mut self, model: impl Into<Cow<'static, str>>) -> Self {
        self.model = model.into();
        self
    }

    /// Sets the upstream's address, shown as `base_url`. Default: none.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<Cow<'static, str>>) -> Self {
        self.base_url = url.into();
        self
    }
}

impl Default for NemoGym {
    fn default() -> Self {
        Self::new()
    }
}

impl Provider for NemoGym {
    fn name(&self) -> &'static str {
        "nemo-gym"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let status = failure.status().map_or(500, |status| status.as_u16());
        let message = message(failure);
        let label = label(status, &message.to_lowercase());
        let error = failure
            .error(self, category(label, status), &message)
            .with_label(label)
            .with_retryable(RETRYABLE.contains(&status));
        let error = match &*self.model {
            "" => error,
            _ => error.with_model(self.model.clone()),
        };
        Some(match &*self.base_url {
            "" => error,
            _ => error.with_endpoint(self.base_url.clone()),
        })
    }
}

fn label(status: u16, text: &str) -> &'static str {
    let has = |words: &str| text.contains(words);
    match status {
        401 | 403 => "authentication",
        _ if has("api key") || has("auth") => "authentication",
        404 => "model_not_found",
        _ if has("model") && has("not found") => "model_not_found",
        429 => "rate_limit",
        _ if has("rate limit") => "rate_limit",
        400 | 422 => "request_error",
        _ if RETRYABLE.contains(&status) => "transient_upstream_failure",
        _ => "provider_error",
    }
}

fn category(label: &str, status: u16) -> Category {
    match label {
        "authentication" => Category::Authentication,
        "model_not_found" => Category::ModelNotFound,
        "rate_limit" => Category::RateLimited,
        "request_error" => Category::InvalidRequest,
        "transient_upstream_failure" => super::fallback::category(status),
        _ => Category::Unknown,
    }
}

/// The sentence: of an object `error.message`, `message` or `detail`, else the text as it is; in one
/// line of at most 200 characters.
fn message(failure: &Failure<'_>) -> String {
    let body = failure.text();
    let object = Json::of(failure.body());
    let said = [object.get("error").get("message"), object.get("message"), object.get("detail")];
    let said = said.into_iter().find(|value| object.is_object() && value.is_truthy());
    let text = match said {
        Some(value) => value.string().unwrap_or_else(|| String::from_utf8_lossy(value.raw())),
        None => body,
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    if line.is_empty() {
        return "Provider request failed".to_owned();
    }
    match line.char_indices().nth(LONGEST) {
        Some(_) => line.chars().take(LONGEST - 3).chain("...".chars()).collect(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    fn read(status: u16, body: &str) -> InferenceError {
        let headers = HeaderMap::new();
        let status = StatusCode::from_u16(status).unwrap();
        NemoGym::new().read(&Failure::of_answer(status, &headers, body.as_bytes())).unwrap()
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let table = [
            (401, "{\"error\":{\"message\":\"Invalid API key\"}}", "authentication", false),
            (400, "missing field messages", "request_error", false),
            (500, "", "transient_upstream_failure", true),
            (418, "short and stout", "provider_error", false),
            (404, "nothing here", "model_not_found", false),
            (429, "slow down", "rate_limit", true),
            (503, "busy", "transient_upstream_failure", true),
            (
                502,
                "gateway timeout while reading upstream response",
                "transient_upstream_failure",
                true,
            ),
            (418, "auth token expired", "authentication", false),
            (418, "requested model was not found", "model_not_found", false),
            (418, "rate limit exceeded upstream", "rate_limit", false),
            (503, "the author is away", "authentication", true),
            (408, "late", "provider_error", false),
            (529, "busy", "provider_error", false),
            (520, "strange", "transient_upstream_failure", true),
        ];
        for (status, body, label, retryable) in table {
            let error = read(status, body);
            assert_eq!(
                (error.label(), error.is_retryable()),
                (Some(label), retryable),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn messages_are_found_and_cut_as_gym_does() {
        let table = [
            ("{\"error\":{\"message\":\"a\"},\"message\":\"b\"}", "a"),
            ("{\"error\":{\"message\":\"\"},\"message\":\"b\",\"detail\":\"c\"}", "b"),
            ("{\"error\":\"plain\",\"detail\":\"c\"}", "c"),
            ("{\"detail\":[{\"msg\":\"x\"}]}", "[{\"msg\":\"x\"}]"),
            ("{\"error\":\"plain\"}", "{\"error\":\"plain\"}"),
            ("{\"unexpected\":\"payload\"}", "{\"unexpected\":\"payload\"}"),
            ("[1,\n 2]", "[1, 2]"),
            ("  a \n\t b  ", "a b"),
            ("", "Provider request failed"),
            ("  ", "Provider request failed"),
        ];
        for (body, expected) in table {
            assert_eq!(read(418, body).message(), expected, "{body}");
        }
        let long = read(418, &"é".repeat(300));
        assert_eq!(long.message(), format!("{}...", "é".repeat(197)));
        assert_eq!(read(418, &"é".repeat(200)).message(), "é".repeat(200));
    }

    #[test]
    fn what_is_configured_is_named() {
        let gym = NemoGym::new().model("policy").base_url("http://upstream/v1");
        let error = gym.read(&Failure::of_event(b"it broke")).unwrap();
        assert_eq!((error.model(), error.endpoint()), (Some("policy"), Some("http://upstream/v1")));
        assert_eq!(error.label(), Some("transient_upstream_failure"), "no status counts as 500");
    }
}
