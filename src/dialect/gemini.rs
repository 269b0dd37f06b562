//! Google Gemini: `{"error":{"code","message","status","details"}}`.
//!
//! Its clients are strict: mid-stream `error` must be the first key, `code` an integer between 400
//! and 599, and no line but `data: ` may come along. Source: google-genai 3.4 (Python) and 2.32
//! (Node), `_api_client.py` and `throwIfStreamErrorChunk`.

use super::{Dialect, Extensions, View, json};
use crate::error::Category;
use serde::Serialize;
use serde_json::{Value, json};

/// The error object of `google.rpc`, with the wait as a `RetryInfo`.
#[derive(Clone, Copy, Debug)]
pub struct Gemini;

impl Dialect for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&Envelope {
            error: ErrorObject {
                code: view.status().as_u16(),
                message: view.message(),
                status: status(view.category()),
                details: details(view),
                extensions: view.extensions(),
            },
        })
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Value>,
    #[serde(flatten)]
    extensions: Extensions<'a>,
}

/// No header says when to come back: its clients look here.
fn details(view: &View<'_>) -> Vec<Value> {
    let retry_info = |seconds| {
        json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s") })
    };
    view.retry_after().map(retry_info).into_iter().collect()
}

fn status(category: Category) -> &'static str {
    match category {
        Category::Authentication => "UNAUTHENTICATED",
        Category::Permission => "PERMISSION_DENIED",
        Category::InvalidRequest
        | Category::ContextLengthExceeded
        | Category::ContentFilter
        | Category::RequestTooLarge => "INVALID_ARGUMENT",
        Category::ModelNotFound | Category::NotFound => "NOT_FOUND",
        Category::RateLimited | Category::QuotaExhausted => "RESOURCE_EXHAUSTED",
        Category::Overloaded | Category::ModelNotReady => "UNAVAILABLE",
        Category::Timeout => "DEADLINE_EXCEEDED",
        Category::Conflict => "ABORTED",
        Category::Unsupported => "UNIMPLEMENTED",
        Category::Cancelled => "CANCELLED",
        Category::UpstreamError => "INTERNAL",
        Category::Unknown => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::{
            Operation, Seen,
            tests::{body, full, last_word},
        },
        error::InferenceError,
    };
    use std::time::Duration;

    #[test]
    fn the_code_is_the_status_and_an_integer() {
        for category in Category::ALL {
            let text = body(&Gemini, &full(category), Some(Operation::GeminiGenerate));
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!((400..600).contains(&value["error"]["code"].as_u64().unwrap()), "{text}");
            assert!(value["error"]["status"].is_string(), "{text}");
        }
    }

    #[test]
    fn mid_stream_the_error_comes_first_and_alone() {
        let error = InferenceError::new(Category::Overloaded, "busy");
        let event = last_word(&Gemini, &error, Some(Operation::GeminiStream), &Seen::default());
        assert!(event.starts_with("data: {\"error\":{\"code\":503,\"message\":\"busy\""), "{event}");
        assert!(event.ends_with("}}\n\n") && event.lines().count() == 2, "{event}");
    }

    #[test]
    fn the_wait_is_a_retry_info() {
        let error = InferenceError::new(Category::RateLimited, "").with_retry_after(Duration::from_secs(7));
        let text = body(&Gemini, &error, None);
        assert!(text.contains(r#""retryDelay":"7s""#), "{text}");
        assert!(!body(&Gemini, &InferenceError::new(Category::Timeout, ""), None).contains("details"));
    }
}
