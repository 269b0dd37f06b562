//! Errors inside of an answer that began as a success: in a 200, or in the middle of a stream.
//!
//! Rules:
//!
//! 1. Only top-level keys count: model text and tool arguments may talk about errors.
//! 2. `"error": null`, `{}`, `""` and `false` say that there was no error.
//! 3. Ends that say "error" without an error object are errors; `length`, `content_filter`,
//!    `refusal` and the like are normal outcomes of a model.
//!
//! | shape | seen at |
//! |---|---|
//! | `{"error": …}` | nearly everybody |
//! | `{"type":"error", …}`, `event: error` | Anthropic, OpenAI Responses |
//! | `{"object":"error", …}` | vLLM to 0.9, SGLang, TensorRT-LLM, LMDeploy |
//! | `{"type":"response.failed","response":{"error": …}}` | OpenAI Responses |
//! | `{"finish_reason":"ERROR"}`, in a stream under `message-end` and `delta` | Cohere |
//! | `{"error_code": …}` | LMDeploy's proxy |
//! | `base_resp` with a `status_code` that is not 0 | MiniMax |
//! | `{"Response":{"Error": …}}` | Tencent Cloud |
//! | `choices[].error` | OpenRouter |
//! | `finish_reason` `error`, `network_error`, `timeout_error`, `insufficient_system_resource` | OpenRouter, Zhipu, Tenstorrent, DeepSeek |
//! | `error: …` as a field of the stream | llama.cpp to 2025 |
//! | `event: error` with only a comment | Dynamo |
//! | a JSON line without `data:` | LMDeploy's proxy, Gemini |

use super::minimax;
use crate::framing::{
    json::{Json, Rest},
    sse::Event,
};
use std::borrow::Cow;

/// How a choice ends that failed.
const FAILED_CHOICE: [&str; 4] =
    ["error", "network_error", "timeout_error", "insufficient_system_resource"];

/// The error that the data of an event, or a body with a success status, holds; `None` if it is
/// healthy.
pub(crate) fn error_in(data: &[u8]) -> Option<Cow<'_, [u8]>> {
    let json = Json::begun(data);
    let mut flat = Flat::default();
    let mut members = Rest::inside(json, b'{');
    while let Some(key) = members.name() {
        if *key == *b"choices" {
            if let Some(error) = error_in_choices(&mut members) {
                return Some(error);
            }
            flat.healthy = true;
            continue;
        }
        let value = members.value().unwrap_or(Json::MISSING);
        match &*key {
            b"error" if value.is_truthy() => return Some(Cow::Borrowed(data)),
            b"type" | b"object" if value.is_string("error") => return Some(Cow::Borrowed(data)),
            b"base_resp" if minimax::failure_code(value).is_some() => {
                return Some(Cow::Borrowed(data));
            }
            b"Response" if value.get("Error").is_truthy() => return Some(Cow::Borrowed(data)),
            b"finish_reason" => {
                if let Some(error) = error_in_end(json, json) {
                    return Some(error);
                }
            }
            b"type" if value.is_string("message-end") => {
                if let Some(error) = error_in_end(json, json.get("delta")) {
                    return Some(error);
                }
                flat.healthy = true;
            }
            b"type" if value.is_string("response.failed") => {
                let error = json.get("response").get("error");
                return Some(wrapped(error.raw()));
            }
            // Answers and events of every API name themselves.
            b"id" | b"object" | b"data" | b"output" | b"usage" | b"content" => {
                flat.healthy |= !value.is_missing();
            }
            b"message" | b"msg" | b"text" | b"error_msg" => {
                flat.message |= value.raw().starts_with(b"\"");
            }
            b"code" | b"error_code" | b"status" | b"statusCode" => {
                flat.code |= matches!(value.raw(), [b'"' | b'-' | b'0'..=b'9', ..]);
            }
            _ => {}
        }
    }
    flat.is_error().then_some(Cow::Borrowed(data))
}

/// The error that an event of a stream holds; `None` if it is healthy.
pub(crate) fn error_event<'a>(event: Event<'a>, data: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    if event.name() == Some(b"error") {
        let comment = || event.fields().find(|(name, _)| name.is_empty()).map(|(_, text)| text);
        let text = if data.is_empty() { comment().unwrap_or_default() } else { data };
        return Some(Cow::Borrowed(text));
    }
    if let Some((_, text)) = event.fields().find(|(name, _)| *name == b"error") {
        return Some(Cow::Borrowed(text));
    }
    if data.is_empty() && event.raw().trim_ascii_start().starts_with(b"{") {
        return error_in(event.raw());
    }
    error_in(data)
}

/// A body that is a message and a code and nothing that an answer would have.
#[derive(Default)]
struct Flat {
    message: bool,
    code: bool,
    healthy: bool,
}

impl Flat {
    fn is_error(&self) -> bool {
        self.message && self.code && !self.healthy
    }
}

/// The error of the first choice that failed, of those that come next.
fn error_in_choices<'a>(rest: &mut Rest<'a>) -> Option<Cow<'a, [u8]>> {
    if !rest.enter(b'[') {
        rest.value();
        return None;
    }
    loop {
        if rest.enter(b'{') {
            let error = error_in_choice(rest);
            if error.is_some() {
                return error;
            }
            rest.leave();
        } else if rest.value().is_none() {
            rest.leave();
            return None;
        }
    }
}

/// The error of the choice whose members are left.
fn error_in_choice<'a>(members: &mut Rest<'a>) -> Option<Cow<'a, [u8]>> {
    let mut reason = Json::MISSING;
    while let Some(key) = members.name() {
        let value = members.value().unwrap_or(Json::MISSING);
        match &*key {
            b"error" if value.is_truthy() => return Some(wrapped(value.raw())),
            b"finish_reason" if reason.is_missing() => reason = value,
            _ => {}
        }
    }
    let reason = FAILED_CHOICE.into_iter().find(|failed| reason.is_string(failed))?;
    let message = format!("the model stopped with finish_reason {reason}");
    let error = serde_json::json!({ "message": message, "code": reason });
    Some(wrapped(error.to_string().as_bytes()))
}

/// How Cohere ends an answer, whole or streamed, that failed. What a gateway has added to it stays
/// beside the error.
fn error_in_end<'a>(end: Json<'a>, delta: Json<'a>) -> Option<Cow<'a, [u8]>> {
    let reason = delta.get("finish_reason").string()?;
    let known = ["ERROR", "TIMEOUT", "ERROR_LIMIT", "ERROR_TOXIC"];
    known.contains(&&*reason).then(|| {
        let said = delta.get("error").string().filter(|said| !said.is_empty());
        let message =
            said.unwrap_or_else(|| format!("the model stopped with finish_reason {reason}").into());
        let error = serde_json::json!({ "message": message, "code": reason });
        let mut body = format!("{{\"error\":{error},\"finish_reason\":\"{reason}\"").into_bytes();
        let known = ["type", "delta", "error", "finish_reason", "message"];
        for (key, value) in end.members().filter(|(key, _)| !known.contains(&&**key)) {
            body.extend(format!(",{}:", serde_json::json!(key)).into_bytes());
            body.extend(value.raw());
        }
        body.push(b'}');
        body.into()
    })
}

/// `{"error": …}`, as the providers know it.
fn wrapped(error: &[u8]) -> Cow<'static, [u8]> {
    let error = if error.is_empty() { b"null" } else { error };
    [&b"{\"error\":"[..], error, b"}"].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // S7
    #[test]
    fn errors_are_found_in_every_shape() {
        for data in [
            r#"{"error":{"message":"x"}}"#,
            r#"{"id":"c","choices":[],"error":"x"}"#,
            r#"{"\u0065rror":{"message":"x"}}"#,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#,
            r#"{"type":"error","code":"x","message":"m","sequence_number":3}"#,
            r#"{"object":"error","message":"x","code":500}"#,
            r#"{"message":"x","type":null,"code":500,"object":"error"}"#,
            r#"{"message":"x","code":500}"#,
            r#"{"message":"x","type":"Service Unavailable","code":503}"#,
            r#"{"type":"response.failed","response":{"status":"failed","error":{"message":"x"}}}"#,
            r#"{"choices":[{"error":{"message":"x"},"finish_reason":"error"}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"network_error"}]}"#,
            r#"{"type":"message-end","delta":{"finish_reason":"ERROR","usage":{}}}"#,
            r#"{"id":"c1","finish_reason":"ERROR","message":{"role":"assistant","content":[]}}"#,
            r#"{"id":"x","choices":null,"base_resp":{"status_code":1004,"status_msg":"no"}}"#,
            r#"{"Response":{"Error":{"Code":"x","Message":"m"},"RequestId":"r"}}"#,
            r#"{"error_code":17,"error_msg":"Open api daily request limit reached"}"#,
            r#"{"error_code":10402,"text":"Failed to get response after a period of time"}"#,
        ] {
            assert!(error_in(data.as_bytes()).is_some(), "{data}");
        }
    }

    // S6 S7
    #[test]
    fn healthy_events_are_left_alone() {
        for data in [
            "[DONE]",
            "",
            "plain text about an error",
            r#"{"error":null,"choices":[{"delta":{"content":"error"}}]}"#,
            r#"{"error":{},"choices":[]}"#,
            r#"{"choices":[{"delta":{"content":"{\"error\":{\"message\":\"x\"}}"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\"error\":1}"}}]}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#,
            r#"{"type":"response.incomplete","response":{"error":null}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"refusal"}}"#,
            r#"{"id":"x","message":"hello","status":"ok"}"#,
            r#"{"Response":{"RequestId":"r","Choices":[]}}"#,
            r#"{"id":"x","choices":[],"base_resp":{"status_code":0,"status_msg":""}}"#,
            r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#,
            r#"{"id":"c1","finish_reason":"COMPLETE","message":{"content":[]}}"#,
        ] {
            assert_eq!(error_in(data.as_bytes()), None, "{data}");
        }
    }

    #[test]
    fn events_that_are_no_json_data_can_be_errors() {
        let find = |block: &'static str| {
            let event = Event::of(block.as_bytes());
            let data = event.data();
            error_event(event, &data).map(|error| String::from_utf8(error.into_owned()).unwrap())
        };
        assert_eq!(find("event: error\ndata: boom\n\n").as_deref(), Some("boom"));
        assert_eq!(find("event: error\n: disconnected\n\n").as_deref(), Some("disconnected"));
        assert_eq!(find("error: {\"code\":500}\n\n").as_deref(), Some("{\"code\":500}"));
        assert!(find("{\"error_code\":10402,\"message\":\"x\"}\n\n").is_some());
        assert_eq!(find(": error\n\n"), None);
        assert_eq!(find("event: errors\ndata: {}\n\n"), None);
    }

    proptest! {
        #[test]
        fn what_is_read_in_one_pass_is_what_its_parts_say(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", "\"choices\":", "\"choices\":[{", "\"error\":", "\"\\u0065rror\":",
                    "\"finish_reason\":", "\"error\"", "\"x\":", ",", "\"", "\\", "1", "null", " ", ":", "\u{e9}",
                ]),
                0..40,
            ),
        ) {
            let failed = |choice: Json<'_>| {
                choice.members().any(|(key, value)| key == "error" && value.is_truthy())
                    || FAILED_CHOICE.iter().any(|failed| choice.get("finish_reason").is_string(failed))
            };
            for open in ["{", "{\"choices\":[{"] {
                let text = format!("{open}{}", pieces.concat());
                let parts = Json::of(text.as_bytes()).members().any(|(key, value)| match &*key {
                    "error" => value.is_truthy(),
                    "choices" => value.items().any(failed),
                    _ => false,
                });
                prop_assert_eq!(error_in(text.as_bytes()).is_some(), parts, "{}", text);
            }
        }
    }

    #[test]
    fn a_failed_response_hands_on_its_error() {
        let data = br#"{"type":"response.failed","response":{"error":{"code":"x","message":"m"}}}"#;
        assert_eq!(error_in(data).unwrap().as_ref(), br#"{"error":{"code":"x","message":"m"}}"#);
    }
}
