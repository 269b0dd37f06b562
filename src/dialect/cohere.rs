//! Cohere v2: `{"message": "<sentence>"}`; a stream can only end with a reason.
//!
//! No shape of event makes its client (cohere 7.3) raise: the best there is is `message-end` with the
//! reason `ERROR`, which careful callers check, and then a body that fails, which the others notice.

use super::{Dialect, Extensions, Seen, View, data_event, json};
use serde::Serialize;

/// A sentence as `message`. Source: cohere 7.3.1, `core/api_error.py` and its stream events.
#[derive(Clone, Copy, Debug)]
pub struct Cohere;

impl Dialect for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&Body { message: view.message(), extensions: view.extensions() })
    }

    fn last_word(&self, view: &View<'_>, _: &Seen<'_>) -> Vec<u8> {
        let end = End {
            r#type: "message-end",
            delta: Delta { finish_reason: "ERROR", error: view.message() },
            extensions: view.extensions(),
        };
        data_event(Some("message-end"), &json(&end))
    }

    fn fails_after_last_word(&self) -> bool {
        true
    }
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    #[serde(flatten)]
    extensions: Extensions<'a>,
}

#[derive(Serialize)]
struct End<'a> {
    r#type: &'static str,
    delta: Delta<'a>,
    #[serde(flatten)]
    extensions: Extensions<'a>,
}

#[derive(Serialize)]
struct Delta<'a> {
    finish_reason: &'static str,
    error: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::tests::{body, last_word},
        error::{Category, InferenceError},
    };

    #[test]
    fn the_message_stands_at_the_top() {
        let error = InferenceError::new(Category::RateLimited, "slow down");
        let text = body(&Cohere, &error, None);
        assert!(text.starts_with(r#"{"message":"slow down","category":"rate_limited""#), "{text}");
    }

    #[test]
    fn a_stream_ends_with_the_reason_error() {
        let error = InferenceError::new(Category::UpstreamError, "it broke");
        let event = last_word(&Cohere, &error, None, &Seen::default());
        let start = "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"it broke\"}";
        assert!(event.starts_with(start), "{event}");
        assert!(Cohere.fails_after_last_word());
    }
}
