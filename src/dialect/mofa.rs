//! MoFA's gateway: `{"error":{"message","type","code":null}}`.
//!
//! The type follows from the status alone, the code is always null; mid-stream there is a type and
//! no code. No member of ours is added.

use super::{Dialect, Seen, View, data_event, json};
use serde::Serialize;

/// MoFA's error object; mid-stream `{"error":{"message","type":"stream_error"}}`.
///
/// Source: `mofa-org/mofa`, `crates/mofa-gateway/src/openai_compat/handler.rs`. There a message with
/// a line break or a backslash makes invalid JSON mid-stream; here it does not.
#[derive(Clone, Copy, Debug)]
pub struct Mofa;

impl Dialect for Mofa {
    fn name(&self) -> &'static str {
        "mofa"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        let error = ErrorObject { message: view.message(), r#type: kind(view), code: None };
        json(&Envelope { error })
    }

    fn last_word(&self, view: &View<'_>, _: &Seen<'_>) -> Vec<u8> {
        let error = StreamError { message: view.message(), r#type: "stream_error" };
        data_event(None, &json(&Envelope { error }))
    }
}

#[derive(Serialize)]
struct Envelope<E> {
    error: E,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    message: &'a str,
    r#type: &'static str,
    code: Option<&'static str>,
}

#[derive(Serialize)]
struct StreamError<'a> {
    message: &'a str,
    r#type: &'static str,
}

fn kind(view: &View<'_>) -> &'static str {
    match view.status().as_u16() {
        401 => "authentication_error",
        429 => "rate_limit_error",
        // Nothing worth retrying may say "invalid"; 499 is the client's doing, but no mistake.
        400..=498 if !view.is_retryable() => "invalid_request_error",
        _ => "server_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::tests::{body, full, last_word},
        error::{Category, InferenceError},
    };

    #[test]
    fn the_error_object_is_exact() {
        for (category, kind) in [
            (Category::Overloaded, "server_error"),
            (Category::ModelNotReady, "server_error"),
            (Category::UpstreamError, "server_error"),
            (Category::Cancelled, "server_error"),
            (Category::Authentication, "authentication_error"),
            (Category::RateLimited, "rate_limit_error"),
            (Category::InvalidRequest, "invalid_request_error"),
            (Category::NotFound, "invalid_request_error"),
            (Category::Conflict, "server_error"),
        ] {
            assert_eq!(
                body(&Mofa, &full(category), None),
                format!(r#"{{"error":{{"message":"it broke","type":"{kind}","code":null}}}}"#)
            );
        }
    }

    #[test]
    fn streams_end_with_valid_json_whatever_the_message() {
        let error = InferenceError::new(Category::UpstreamError, "a\"\\\nb");
        assert_eq!(
            last_word(&Mofa, &error, None, &Seen::default()),
            "data: {\"error\":{\"message\":\"a\\\"\\\\\\nb\",\"type\":\"stream_error\"}}\n\n"
        );
    }
}
