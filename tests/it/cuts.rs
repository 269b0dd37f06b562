//! Streams cut anywhere: whole events, then exactly one last word.

use crate::{
    script::{Script, Step, answer, bytes_of, take},
    shared,
};
use http::Response;
use serde_json::Value;
use tower_inference::{
    ErrorNormalizationLayer, InferenceError,
    framing::{
        ndjson::Lines,
        sse::{Blocks, Event},
    },
};

/// Where each dialect's streams are asked for, and one that is healthy.
pub(crate) const HEALTHY: [(&str, &str); 6] = [
    (
        "/v1/chat/completions",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi é\"}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    ),
    (
        "/v1/responses",
        "event: response.created\r\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\"}}\r\n\r\n\
         event: response.output_text.delta\r\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"Hi\"}\r\n\r\n\
         event: response.completed\r\ndata: {\"type\":\"response.completed\",\"sequence_number\":2}\r\n\r\n",
    ),
    (
        "/v1/messages",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n: note\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"Hi\"}}\n\n\
         event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
    (
        "/v1beta/models/g:streamGenerateContent?alt=sse",
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}]}\r\n\r\n\
         data: {\"candidates\":[{\"content\":{\"parts\":[]},\"finishReason\":\"STOP\"}]}\r\n\r\n",
    ),
    (
        "/api/chat",
        "{\"message\":{\"content\":\"Hi\"},\"done\":false}\n{\"message\":{\"content\":\"\"},\"done\":true}\n",
    ),
    (
        "/v2/chat",
        "event: message-start\ndata: {\"type\":\"message-start\"}\n\n\
         event: content-delta\ndata: {\"type\":\"content-delta\",\"delta\":{}}\n\n\
         event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\"}}\n\n",
    ),
];

pub(crate) fn is_ndjson(path: &str) -> bool {
    path.starts_with("/api/")
}

/// The JSON of each event, which must be whole; `[DONE]` is none.
fn events(path: &str, text: &[u8]) -> Vec<Value> {
    let (mut blocks, mut lines, mut rest, mut events) = (Blocks::new(), Lines::new(), text, vec![]);
    loop {
        let end = if is_ndjson(path) { lines.next_end(rest) } else { blocks.next_end(rest) };
        let Some(end) = end else { break };
        let data =
            if is_ndjson(path) { rest[..end].into() } else { Event::of(&rest[..end]).data() };
        if !data.is_empty() && &data[..] != b"[DONE]" {
            let shown = String::from_utf8_lossy(&data).into_owned();
            events.push(serde_json::from_slice(&data).unwrap_or_else(|e| panic!("{e}: {shown}")));
        }
        rest = &rest[end..];
    }
    assert!(rest.iter().all(u8::is_ascii_whitespace), "half an event: {rest:?}");
    events
}

/// Whether this is a last word of ours: it has our members somewhere.
fn is_ours(event: &Value) -> bool {
    [event, &event["error"]].iter().any(|it| it["category"].is_string())
        || event["type"] == "response.failed"
}

/// What a client was given of a stream that was cut.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// A real status, with an error of ours.
    Promoted(u16),
    /// Some whole events, then one last word.
    Rescued,
    /// Whole events and no word of an error.
    Untold,
    /// The same, and all of them.
    Whole,
}

/// Judges what came of `stream`; anything but whole events and at most one last word fails.
pub(crate) fn judge(
    path: &str,
    stream: &[u8],
    status: u16,
    out: &[u8],
    failed: bool,
    shown: impl Fn() -> String,
) -> Verdict {
    if status != 200 {
        let error = serde_json::from_slice(out).unwrap_or_else(|e| panic!("{e}: {}", shown()));
        assert!(is_ours(&error) && !failed, "{}", shown());
        return Verdict::Promoted(status);
    }
    let events = events(path, out);
    let ours = events.iter().filter(|event| is_ours(event)).count();
    let healthy = &events[..events.len() - ours];
    let all = self::events(path, &[stream, b"\n\n"].concat());
    assert_eq!(healthy, &all[..healthy.len()], "{}", shown());
    if ours == 0 {
        assert!(!failed, "{}", shown());
        return if healthy.len() == all.len() { Verdict::Whole } else { Verdict::Untold };
    }
    assert_eq!(ours, if path.ends_with("responses") { 2 } else { 1 }, "{}", shown());
    assert!(is_ours(events.last().unwrap()), "{}", shown());
    assert_eq!(failed, path == "/v2/chat", "{}", shown());
    Verdict::Rescued
}

/// Cuts a stream at every byte, cleanly and not, and judges what a client gets.
async fn cut_everywhere(path: &str, stream: &[u8]) -> usize {
    let layer = ErrorNormalizationLayer::new();
    let content_type = if is_ndjson(path) { "application/x-ndjson" } else { "text/event-stream" };
    let mut cuts = 0;
    for at in 0..stream.len() {
        for reset in [false, true] {
            let mut body = Script::frames([&stream[..at]]);
            if reset {
                body = body.then(Step::Error("reset"));
            }
            let upstream =
                Response::builder().header("content-type", content_type).body(body).unwrap();
            let (head, frames, failed) = take(answer(&layer, path, upstream).await).await;
            let out = bytes_of(&frames);
            cuts += 1;
            let shown =
                || format!("{path} cut at {at}, reset {reset}: {}", String::from_utf8_lossy(&out));
            if head.status != 200 {
                assert!(head.extensions.get::<InferenceError>().is_some(), "{}", shown());
            }
            judge(path, stream, head.status.as_u16(), &out, failed, shown);
        }
    }
    cuts
}

// S1 S2 S4
#[tokio::test]
async fn a_cut_at_any_byte_ends_in_whole_events_and_one_last_word() {
    for (path, stream) in HEALTHY {
        cut_everywhere(path, stream.as_bytes()).await;
    }
}

// S1 S2 S4
#[tokio::test]
async fn every_recorded_stream_survives_a_cut_at_any_byte() {
    let Some(streams) = shared::lines("streams.jsonl") else { return };
    let (mut count, mut cuts) = (0, 0);
    for stream in &streams {
        // Healthy ones only: an error event in the middle is another test's.
        let protocol = stream["protocol"].as_str().unwrap();
        if !stream["expect"].is_null() || !matches!(protocol, "sse" | "ndjson") {
            continue;
        }
        let text = stream["stream"].as_str().unwrap();
        let path = HEALTHY.iter().map(|(path, _)| *path).find(|path| match *path {
            "/v1/responses" => text.contains("\"response."),
            "/v1/messages" => text.contains("message_start"),
            "/api/chat" => protocol == "ndjson",
            "/v2/chat" => text.contains("message-end"),
            path if path.contains("alt=sse") => {
                text.contains("candidates") || text.contains("promptFeedback")
            }
            _ => false,
        });
        count += 1;
        cuts += cut_everywhere(path.unwrap_or("/v1/chat/completions"), text.as_bytes()).await;
    }
    println!("{count} streams, {cuts} cuts");
}
