//! OpenAI Responses: whole answers as in chat, two events at the end of a broken stream.
//!
//! OpenAI's SDKs yield the documented `error` event and `response.failed` like any other event: code
//! that looks for text only sees a success. What they raise is a top-level member `error`. So the
//! first event is both, flat and nested; the second is for clients that know only the documented end.

use super::{Dialect, OpenAi, Seen, View, data_event, json, openai::ErrorObject};
use crate::framing::json::Json;
use serde::Serialize;
use serde_json::{Map, Value};

/// The error object of the OpenAI API; mid-stream `error`, then `response.failed`.
///
/// The events go on counting in `sequence_number`. The response that failed is the one that the
/// stream began with, as far as it can be read.
///
/// Source: openai-python 3.52, openai-node 6.49, @ai-sdk/openai 3.0.
#[derive(Clone, Copy, Debug)]
pub struct Responses;

impl Dialect for Responses {
    fn name(&self) -> &'static str {
        "responses"
    }

    fn survives_comments(&self) -> bool {
        true
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        OpenAi.body(view)
    }

    fn last_word(&self, view: &View<'_>, seen: &Seen<'_>) -> Vec<u8> {
        let error = ErrorObject::of(view);
        let failed = FailedEvent {
            r#type: "response.failed",
            sequence_number: seen.next_sequence.saturating_add(1),
            response: failed_response(view, &error, seen.response.unwrap_or_default()),
        };
        let error = ErrorEvent {
            r#type: "error",
            code: error.code(),
            message: view.message(),
            param: error.param(),
            sequence_number: seen.next_sequence,
            error: &error,
        };
        let mut events = data_event(Some(error.r#type), &json(&error));
        events.extend(data_event(Some(failed.r#type), &json(&failed)));
        events
    }
}

#[derive(Serialize)]
struct ErrorEvent<'a> {
    r#type: &'static str,
    code: Option<&'a str>,
    message: &'a str,
    param: Option<&'a str>,
    sequence_number: u64,
    error: &'a ErrorObject<'a>,
}

#[derive(Serialize)]
struct FailedEvent {
    r#type: &'static str,
    sequence_number: u64,
    response: Map<String, Value>,
}

/// The response the stream began with, now failed: those of its members that are valid JSON, and
/// the ones every response has.
fn failed_response(view: &View<'_>, error: &ErrorObject<'_>, begun: &[u8]) -> Map<String, Value> {
    let mut response = Map::new();
    for (key, value) in Json::of(begun).members() {
        if let Ok(value) = serde_json::from_slice(value.raw()) {
            response.entry(key).or_insert(value);
        }
    }
    let defaults = [
        ("id", Value::from("")),
        ("object", "response".into()),
        ("created_at", 0.into()),
        ("model", view.model().unwrap_or_default().into()),
        ("output", Value::Array(Vec::new())),
    ];
    for (key, value) in defaults {
        response.entry(key).or_insert(value);
    }
    // Here the code is never null: clients match on it.
    let code = error.code().unwrap_or(error.kind());
    response.insert("status".to_owned(), "failed".into());
    response.insert(
        "error".to_owned(),
        serde_json::json!({ "code": code, "message": view.message() }),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::tests::{FULL_EXTENSIONS, body, events, full, last_word},
        error::{Category, InferenceError},
    };
    use serde_json::json;

    fn word(response: Option<&[u8]>, next_sequence: u64) -> String {
        let error = full(Category::Overloaded);
        last_word(&Responses, &error, None, &Seen { next_sequence, response })
    }

    #[test]
    fn a_whole_answer_is_the_one_of_chat() {
        let error = full(Category::RateLimited);
        assert_eq!(body(&Responses, &error, None), body(&OpenAi, &error, None));
    }

    #[test]
    fn the_first_event_is_flat_and_nested() {
        let event = format!(
            concat!(
                "event: error\n",
                r#"data: {{"type":"error","code":"its_code","message":"it broke","param":"max_tokens","#,
                r#""sequence_number":4,"error":{{"message":"it broke","type":"service_unavailable","#,
                r#""param":"max_tokens","code":"its_code","category":"overloaded","retryable":true,{}}}}}"#,
                "\n\nevent: response.failed\n",
                r#"data: {{"type":"response.failed","sequence_number":5,"response":{{"#
            ),
            FULL_EXTENSIONS
        );
        let word = word(None, 4);
        assert!(word.starts_with(&event), "{word}");
    }

    #[test]
    fn the_second_event_is_the_response_that_was_begun() {
        let begun = br#"{"id":"resp_1", "status":"in_progress","error":null,
            "model":"gpt","created_at":9,"tools":[{"a":{}}],"output":[]}"#;
        let events = events(&word(Some(begun), 0));
        assert_eq!(
            events[1].1["response"],
            json!({
                "id": "resp_1", "object": "response", "created_at": 9, "model": "gpt",
                "tools": [{ "a": {} }], "output": [], "status": "failed",
                "error": { "code": "its_code", "message": "it broke" }
            })
        );
    }

    #[test]
    fn without_a_response_a_minimal_one_fails() {
        let events = events(&word(None, 0));
        assert_eq!(
            events[1].1["response"],
            json!({
                "id": "", "object": "response", "created_at": 0, "model": "llama-3", "output": [],
                "status": "failed", "error": { "code": "its_code", "message": "it broke" }
            })
        );
    }

    #[test]
    fn the_code_of_a_failed_response_is_never_null() {
        let error = InferenceError::new(Category::InvalidRequest, "no");
        let events = events(&last_word(&Responses, &error, None, &Seen::default()));
        assert_eq!(events[0].1["code"], Value::Null);
        assert_eq!(events[1].1["response"]["error"]["code"], "invalid_request_error");
    }

    #[test]
    fn a_hostile_response_still_gives_two_events() {
        let long = format!(r#"{{"id":"resp_1","instructions":"{}"}}"#, "x\u{2028}".repeat(1 << 18));
        let deep = format!(r#"{{"id":"resp_1","a":{}"#, "[{\"a\":".repeat(200_000));
        let table: [(&[u8], &str); 13] = [
            (b"", ""),
            (b"null", ""),
            (b"garbage\n\ndata: x\n\n", ""),
            (b"[{\"id\":\"resp_1\"}]", ""),
            (b"\"{}\"", ""),
            (b"{\"id\":", ""),
            (b"{\"id\":\"resp_1\",\"id\":\"resp_2\"}", "resp_1"),
            (b"{\"id\":\"resp_1\",\"a\":\"\\ud800\",\"b\":1e999}", "resp_1"),
            (b"{\"id\":\"resp_1\",\r\n\r\n\"a\": [1,\n\n2]}", "resp_1"),
            (b"{\"id\":\"resp_1\",\"a\":\"\xff\"}", "resp_1"),
            (b"{\"id\":\"resp_1\",\"a\":[1,", "resp_1"),
            (long.as_bytes(), "resp_1"),
            (deep.as_bytes(), "resp_1"),
        ];
        for (begun, id) in table {
            let word = word(Some(begun), u64::MAX);
            let start = String::from_utf8_lossy(&begun[..begun.len().min(40)]);
            assert_eq!(word.lines().count(), 6, "{start}");
            let events = events(&word);
            assert_eq!(events.len(), 2, "{start}");
            assert_eq!(events[1].1["type"], "response.failed", "{start}");
            assert_eq!(events[1].1["response"]["id"], id, "{start}");
            assert_eq!(events[1].1["response"]["status"], "failed", "{start}");
        }
    }
}
