//! NVIDIA Dynamo: `{"message","type","code"}` without an `error` around it.
//!
//! Three shapes, for clients and tests that rely on them: the flat body with the reason phrase as its
//! type; in streams an error object with a type of its own; for Anthropic's clients Anthropic's
//! object. The code is the status, a number. No member of ours is added.

use super::{Dialect, Operation, Seen, View, anthropic, data_event, json, openai, reason};
use serde::Serialize;

/// Dynamo's flat body; mid-stream `{"error":{"message","type","code"}}`.
///
/// Source: `ai-dynamo/dynamo`, `lib/llm/src/http/service/openai.rs` and `error.rs`.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiFlat;

impl Dialect for OpenAiFlat {
    fn name(&self) -> &'static str {
        "openai-flat"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        if asks_for_messages(view) {
            return anthropic::bare_body(view);
        }
        json(&ErrorObject::of(view, reason(view.status())))
    }

    fn last_word(&self, view: &View<'_>, _: &Seen<'_>) -> Vec<u8> {
        if asks_for_messages(view) {
            return data_event(Some("error"), &anthropic::bare_body(view));
        }
        data_event(None, &json(&Frame { error: ErrorObject::of(view, slug(view)) }))
    }
}

#[derive(Serialize)]
struct Frame<'a> {
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    message: &'a str,
    r#type: &'a str,
    code: u16,
}

impl<'a> ErrorObject<'a> {
    fn of(view: &'a View<'_>, kind: &'a str) -> Self {
        Self { message: view.message(), r#type: kind, code: view.status().as_u16() }
    }
}

fn asks_for_messages(view: &View<'_>) -> bool {
    matches!(view.operation(), Some(Operation::Messages | Operation::MessageTools))
}

/// The type in streams. Dynamo has three; what else the client did wrong has OpenAI's.
fn slug<'a>(view: &View<'a>) -> &'a str {
    match view.status().as_u16() {
        499 => "request_cancelled",
        503 | 529 => "service_unavailable",
        500.. => "internal_server_error",
        _ => openai::kind(view),
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
    fn the_body_is_flat_and_its_code_a_number() {
        for (category, kind, code) in [
            (Category::ModelNotReady, "Service Unavailable", 503),
            (Category::ModelNotFound, "Not Found", 404),
            (Category::Cancelled, "Client Closed Request", 499),
        ] {
            assert_eq!(
                body(&OpenAiFlat, &full(category), Some(Operation::Chat)),
                format!(r#"{{"message":"it broke","type":"{kind}","code":{code}}}"#)
            );
        }
        let overloaded = full(Category::Overloaded)
            .with_provider_status(http::StatusCode::from_u16(529).unwrap());
        assert_eq!(
            body(&OpenAiFlat, &overloaded, None),
            r#"{"message":"it broke","type":"Overloaded","code":529}"#
        );
    }

    #[test]
    fn frames_in_streams_are_nested_and_have_slugs() {
        for (category, kind, code) in [
            (Category::ModelNotReady, "service_unavailable", 503),
            (Category::Cancelled, "request_cancelled", 499),
            (Category::UpstreamError, "internal_server_error", 502),
            (Category::InvalidRequest, "invalid_request_error", 400),
            (Category::RateLimited, "rate_limit_error", 429),
        ] {
            assert_eq!(
                last_word(&OpenAiFlat, &full(category), Some(Operation::Chat), &Seen::default()),
                format!(
                    "data: {{\"error\":{{\"message\":\"it broke\",\"type\":\"{kind}\",\"code\":{code}}}}}\n\n"
                )
            );
        }
    }

    #[test]
    fn clients_of_anthropic_get_their_own_object() {
        let error = InferenceError::new(Category::ModelNotReady, "wait").with_request_id("req_1");
        let object = r#"{"type":"error","error":{"type":"overloaded_error","message":"wait"}}"#;
        let operation = Some(Operation::Messages);
        assert_eq!(body(&OpenAiFlat, &error, operation), object);
        assert_eq!(
            last_word(&OpenAiFlat, &error, operation, &Seen::default()),
            format!("event: error\ndata: {object}\n\n")
        );
    }
}
