//! Streams through the error normalization layer: what is watched, promoted, rescued.

use crate::script::{
    CHAT, DONE, STOP, Script, Step, TEXT, answer, bytes_of, data, exchange, stream, take, text,
};
use http::{HeaderMap, Response, StatusCode};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tower_inference::{
    Category, ErrorNormalizationLayer, InferenceError, RequestedModel,
    error_normalization::TerminalMarker,
    observe::{Observe, StreamEnd},
};

const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";

const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"the engine died\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";

fn layer() -> ErrorNormalizationLayer {
    ErrorNormalizationLayer::new()
}

/// The error object of the last event of an OpenAI stream, and what stood before that event.
fn last_error(text: &str) -> (&str, Value) {
    let body = text.strip_suffix("\n\n").expect("the last event is whole");
    let start = body.rfind("\n\n").map_or(0, |at| at + 2);
    let data = body[start..].lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    assert!(event["error"]["category"].is_string(), "{event}");
    (&text[..start], event["error"].clone())
}

// H8 H9
#[tokio::test]
async fn a_healthy_stream_is_the_same_frames_with_its_trailers() {
    let frames = [ROLE, TEXT, ": note\n\n", TEXT, STOP, DONE];
    let mut trailers = HeaderMap::new();
    trailers.insert("x-usage", "3".parse().unwrap());
    let body = Script::frames(frames).then(Step::Trailers(trailers.clone()));
    let upstream = Response::builder()
        .header("content-type", "text/event-stream")
        .header("content-length", "1")
        .header("etag", "\"x\"")
        .header("x-request-id", "req_1")
        .body(body)
        .unwrap();
    let (head, out, failed) = take(answer(&layer(), CHAT, upstream).await).await;
    assert!(!failed);
    let texts: Vec<_> = out.iter().filter_map(|frame| frame.data_ref()).collect();
    assert_eq!(texts, frames, "frame by frame");
    assert_eq!(out.last().unwrap().trailers_ref(), Some(&trailers));
    let mut names: Vec<_> = head.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "x-request-id"]);
    assert!(head.extensions.get::<InferenceError>().is_none());
}

#[tokio::test]
async fn an_error_before_the_first_meaningful_event_becomes_a_real_status() {
    let (head, body) =
        text(answer(&layer(), CHAT, stream(Script::frames([ROLE, ERROR]))).await).await;
    assert!(head.status.is_server_error(), "{}", head.status);
    assert_eq!(head.headers["content-type"], "application/json");
    assert!(head.extensions.get::<InferenceError>().is_some());
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["error"]["message"], "the engine died");
}

#[tokio::test]
async fn a_stream_that_ends_or_breaks_before_it_begins_becomes_a_real_status() {
    for body in [
        Script::default(),
        Script::frames([DONE]),
        Script::frames([": only comments\n\n"]),
        Script::frames([ROLE]),
        Script::frames([ROLE]).then(Step::Error("reset")),
        Script::frames(["<html><title>502 Bad Gateway</title></html>\n"]),
        Script::frames(["{\"error\":{\"message\":\"bare\"}}\n"]),
    ] {
        let (head, body) = text(answer(&layer(), CHAT, stream(body)).await).await;
        assert_eq!(head.status, StatusCode::BAD_GATEWAY, "{body}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["error"]["type"].is_string());
    }
}

// S4
#[tokio::test]
async fn an_error_after_text_ends_the_stream_with_one_error_event() {
    let body = Script::frames([ROLE, TEXT, TEXT, ERROR, TEXT, DONE]);
    let (head, body) = text(answer(&layer(), CHAT, stream(body)).await).await;
    assert_eq!(head.status, 200);
    let (before, error) = last_error(&body);
    assert_eq!(before, [ROLE, TEXT, TEXT].concat());
    assert_eq!(error["message"], "the engine died");
    assert_eq!(error["origin"], "upstream");
}

// S1 S2
#[tokio::test]
async fn cuts_and_truncations_are_rescued_without_half_an_event() {
    let begun = || Script::frames([ROLE, TEXT, TEXT]);
    for broken in [
        begun(),
        begun().then(Step::Error("reset")),
        begun().then(data("data: {\"choices\":[{\"index\":0,\"del")),
        begun().then(data("data: {\"choices\":[{\"index\":0,\"del")).then(Step::Error("reset")),
    ] {
        let (_, body) = text(answer(&layer(), CHAT, stream(broken)).await).await;
        let (before, error) = last_error(&body);
        assert_eq!(before, [ROLE, TEXT, TEXT].concat());
        assert_eq!(
            (&error["category"], &error["origin"]),
            (&"upstream_error".into(), &"stream".into())
        );
        assert_eq!(error["retryable"], true);
    }
}

// S3
#[tokio::test]
async fn a_marker_before_a_break_is_a_success() {
    for end in [STOP, DONE] {
        let body = Script::frames([TEXT, end]).then(Step::Error("reset"));
        let (_, body) = text(answer(&layer(), CHAT, stream(body)).await).await;
        assert_eq!(body, [TEXT, end].concat());
    }
}

#[tokio::test]
async fn each_dialect_has_its_own_last_word() {
    let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
    let (_, body) = text(answer(&layer(), MESSAGES, stream(Script::frames([delta]))).await).await;
    assert!(body.contains("\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{"), "{body}");

    let created = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\"}}\n\n";
    let delta = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"a\"}\n\n";
    let body = stream(Script::frames([created, delta]));
    let (_, body) = text(answer(&layer(), RESPONSES, body).await).await;
    let events: Vec<Value> = body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(events.len(), 4);
    assert_eq!((&events[2]["type"], &events[2]["sequence_number"]), (&"error".into(), &2.into()));
    assert_eq!(
        (&events[3]["type"], &events[3]["sequence_number"]),
        (&"response.failed".into(), &3.into())
    );
    assert_eq!(events[3]["response"]["id"], "resp_1");
    assert_eq!(events[3]["response"]["status"], "failed");
}

#[tokio::test]
async fn the_other_apis_end_in_their_own_words_too() {
    const GEMINI: &str = "/v1beta/models/g:streamGenerateContent?alt=sse";
    let text = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}]}\r\n\r\n";
    for error in [
        "data: {\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n",
        "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"busy\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n",
    ] {
        let body = stream(Script::frames([text, error]));
        let (_, body) = crate::script::text(answer(&layer(), GEMINI, body).await).await;
        let word = body.strip_prefix(text).unwrap();
        assert!(word.starts_with("data: {\"error\":{\"code\":503,\"message\":\"busy\""), "{word}");
    }

    let line = "{\"model\":\"m\",\"response\":\"He\",\"done\":false}\n";
    let mut upstream = stream(Script::frames([line, "{\"model\":"]));
    upstream.headers_mut().insert("content-type", "application/x-ndjson".parse().unwrap());
    let (_, body) = crate::script::text(answer(&layer(), "/api/generate", upstream).await).await;
    let word: Value = serde_json::from_str(body.strip_prefix(line).unwrap()).unwrap();
    assert_eq!((word["error"].is_string(), &word["origin"]), (true, &"stream".into()));

    let start = "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0}\n\n";
    let end = "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\"}}\n\n";
    let body = stream(Script::frames([start, end]));
    let (_, frames, failed) = take(answer(&layer(), "/v2/chat", body).await).await;
    let body = String::from_utf8(bytes_of(&frames)).unwrap();
    assert!(failed, "no event makes its clients raise, so the body fails");
    let word = body.strip_prefix(start).unwrap();
    assert!(
        word.starts_with("event: message-end\n")
            && word.contains("\"category\":\"upstream_error\"")
    );
}

#[tokio::test(start_paused = true)]
async fn silence_longer_than_allowed_is_a_stall() {
    let layer = layer().idle_timeout(Duration::from_secs(30));
    let body = Script::frames([TEXT]).then(Step::Silence);
    let start = tokio::time::Instant::now();
    let (_, body) = text(answer(&layer, CHAT, stream(body)).await).await;
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    let (before, error) = last_error(&body);
    assert_eq!((before, &error["category"]), (TEXT, &"timeout".into()));
}

// S9
#[tokio::test(start_paused = true)]
async fn comments_are_no_events_for_the_stall_timer() {
    let layer = layer().idle_timeout(Duration::from_secs(30));
    let note = || [Step::Wait(Duration::from_secs(10)), data(": ping\n\n")];
    let body = Script::new([data(TEXT)].into_iter().chain(note()).chain(note()).chain(note()))
        .then(Step::Silence);
    let start = tokio::time::Instant::now();
    let (_, body) = text(answer(&layer, CHAT, stream(body)).await).await;
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    assert_eq!(last_error(&body).1["category"], "timeout");
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_are_sent_only_to_clients_that_survive_them() {
    let layer = layer().keep_alive(Duration::from_secs(10)).idle_timeout(Duration::from_secs(60));
    let wait = |seconds| Step::Wait(Duration::from_secs(seconds));
    let body = || Script::new([data(TEXT), wait(9), data(TEXT), wait(25), data(STOP)]);
    let (_, out) = text(answer(&layer, CHAT, stream(body())).await).await;
    let beat = ": keep-alive\n";
    assert_eq!(out, [TEXT, TEXT, beat, beat, STOP].concat());

    let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}\n\n";
    let body = Script::new([data(gemini), wait(25)]);
    let path = "/v1beta/models/g:streamGenerateContent?alt=sse";
    assert_eq!(text(answer(&layer, path, stream(body)).await).await.1, gemini);

    let silent = Script::frames([TEXT]).then(Step::Silence);
    let (_, out) = text(answer(&layer, CHAT, stream(silent)).await).await;
    let (_, error) = last_error(&out);
    assert_eq!(out.matches(beat).count(), 5, "a comment of ours is no event of the upstream's");
    assert_eq!(error["category"], "timeout");
}

#[tokio::test(start_paused = true)]
async fn a_slow_but_steady_stream_is_no_stall() {
    let layer = layer().idle_timeout(Duration::from_secs(30));
    let slow = |text| [Step::Wait(Duration::from_secs(29)), data(text)];
    let body = Script::new([TEXT, TEXT, TEXT, STOP].into_iter().flat_map(slow));
    let (_, body) = text(answer(&layer, CHAT, stream(body)).await).await;
    assert_eq!(body, [TEXT, TEXT, TEXT, STOP].concat());
}

// S11
#[tokio::test(start_paused = true)]
async fn the_first_event_may_take_longer_than_the_others() {
    let layer = layer().idle_timeout(Duration::from_secs(30));
    let late =
        |seconds| Script::new([Step::Wait(Duration::from_secs(seconds)), data(TEXT), data(STOP)]);
    let (_, body) = text(answer(&layer, CHAT, stream(late(599))).await).await;
    assert_eq!(body, [TEXT, STOP].concat());
    let (_, body) = text(answer(&layer, CHAT, stream(late(601))).await).await;
    assert_eq!(last_error(&body).1["category"], "timeout");
}

#[tokio::test(start_paused = true)]
async fn a_stall_while_the_head_waits_becomes_a_real_status() {
    let layer = layer().first_event_timeout(Duration::from_secs(1));
    let start = tokio::time::Instant::now();
    let (head, _) = text(answer(&layer, CHAT, stream(Script::new([Step::Silence]))).await).await;
    assert_eq!((start.elapsed(), head.status.as_u16()), (Duration::from_secs(1), 504));
}

#[tokio::test(start_paused = true)]
async fn the_head_waits_for_meaning_only_so_long() {
    let waits = |body: Script| async {
        let start = tokio::time::Instant::now();
        let answer = answer(&layer(), CHAT, stream(body)).await;
        assert_eq!(answer.status(), 200);
        start.elapsed().as_secs()
    };
    assert_eq!(waits(Script::frames([TEXT]).then(Step::Silence)).await, 0);
    assert_eq!(waits(Script::frames([ROLE]).then(Step::Silence)).await, 2);
    assert_eq!(waits(Script::new([Step::Silence])).await, 10);
    let off = layer().promote_within(Duration::ZERO);
    let answer = answer(&off, CHAT, stream(Script::frames([ROLE, ERROR]))).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn unrecognised_streams_are_never_touched() {
    let frames = ["data: {\"error\":", "{\"message\":\"x\"}}\n\n", "data: half"];
    for path in ["/events", "/v1/embeddings", "/mcp"] {
        let answer = answer(&layer(), path, stream(Script::frames(frames))).await;
        let (_, out, failed) = take(answer).await;
        assert_eq!((bytes_of(&out), failed), (frames.concat().into_bytes(), false), "{path}");
    }
}

// S2
#[tokio::test]
async fn a_missing_marker_can_be_accepted() {
    let lenient = layer().terminal_marker(TerminalMarker::Lenient);
    let (_, body) = text(answer(&lenient, CHAT, stream(Script::frames([TEXT]))).await).await;
    assert_eq!(body, TEXT);
    let (head, _) = text(answer(&lenient, CHAT, stream(Script::frames([ROLE]))).await).await;
    assert_eq!(head.status, 502, "nothing meaningful came");
}

// S8
#[tokio::test]
async fn an_event_beyond_the_limit_that_breaks_fails_the_body() {
    let layer = layer().max_event(64);
    let long = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}", "x".repeat(200));
    let body = Script::frames([TEXT, &long]).then(Step::Error("reset"));
    let (_, out, failed) = take(answer(&layer, CHAT, stream(body)).await).await;
    assert!(failed);
    assert_eq!(bytes_of(&out), [TEXT, &long].concat().into_bytes(), "nothing is appended");

    let body = Script::frames([TEXT, STOP, &long]).then(Step::Error("reset"));
    let (_, _, failed) = take(answer(&layer, CHAT, stream(body)).await).await;
    assert!(failed, "behind the marker too");
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Observe for Heard {
    fn failed(&self, error: &InferenceError) {
        self.0.lock().unwrap().push(error.category().to_string());
    }

    fn stream_ended(&self, end: &StreamEnd<'_>) {
        self.0.lock().unwrap().push(format!("{:?}", end.outcome));
    }
}

#[tokio::test(start_paused = true)]
async fn the_observer_hears_each_end_once() {
    let run = |body: Script, polls: usize| async move {
        let heard = Heard::default();
        let layer = layer().observe(heard.clone()).idle_timeout(Duration::from_secs(1));
        let answer = answer(&layer, CHAT, stream(body)).await;
        let mut body = Box::pin(answer.into_body());
        for _ in 0..polls {
            let _ = http_body_util::BodyExt::frame(&mut body.as_mut()).await;
        }
        drop(body);
        heard.0.lock().unwrap().clone()
    };
    assert_eq!(run(Script::frames([TEXT, STOP, DONE]), 9).await, ["Completed"]);
    assert_eq!(run(Script::frames([TEXT, ERROR]), 9).await, ["upstream_error", "Failed"]);
    assert_eq!(run(Script::frames([TEXT]), 9).await, ["upstream_error", "Truncated"]);
    assert_eq!(run(Script::frames([TEXT]).then(Step::Silence), 9).await, ["timeout", "Stalled"]);
    assert_eq!(run(Script::frames([ERROR]), 0).await, ["Failed", "upstream_error"]);
}

/// Events, time to the first one, time to the end, model.
type End = (u64, Option<Duration>, Duration, Option<String>);

#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<End>>>);

impl Observe for Ends {
    fn stream_ended(&self, end: &StreamEnd<'_>) {
        let model = end.model.map(str::to_owned);
        self.0.lock().unwrap().push((end.events, end.first_event, end.took, model));
    }
}

#[tokio::test(start_paused = true)]
async fn the_observer_hears_how_long_the_first_event_took() {
    let wait = |seconds| Step::Wait(Duration::from_secs(seconds));
    let run = async |steps: Vec<Step>| {
        let ends = Ends::default();
        let mut request = http::Request::post(CHAT).body(()).unwrap();
        request.extensions_mut().insert(RequestedModel::new("m"));
        let layer = layer().observe(ends.clone());
        take(exchange(&layer, request, stream(Script::new(steps))).await).await;
        ends.0.lock().unwrap().pop().unwrap()
    };
    let seconds = Duration::from_secs;
    let model = || Some("m".to_owned());
    let whole = vec![wait(3), data(ROLE), wait(1), data(TEXT), wait(2), data(STOP), data(DONE)];
    assert_eq!(run(whole).await, (4, Some(seconds(4)), seconds(6), model()));
    assert_eq!(run(vec![wait(3), data(ROLE)]).await, (1, None, seconds(3), model()));
    let tail = DONE.trim_end();
    let last = vec![data(TEXT.trim_end()), wait(1), data("\n\n"), data(tail)];
    assert_eq!(run(last).await, (2, Some(seconds(1)), seconds(1), model()));
}

#[tokio::test]
async fn a_client_that_leaves_is_heard_of() {
    let heard = Heard::default();
    let layer = layer().observe(heard.clone());
    drop(answer(&layer, CHAT, stream(Script::frames([TEXT]).then(Step::Silence))).await);
    assert_eq!(*heard.0.lock().unwrap(), ["Cancelled"]);
}

#[tokio::test]
async fn a_client_that_leaves_after_the_marker_has_got_everything() {
    let heard = Heard::default();
    let layer = layer().observe(heard.clone());
    let body = Script::frames([TEXT, STOP, DONE]).then(Step::Silence);
    let mut body = answer(&layer, CHAT, stream(body)).await.into_body();
    for _ in 0..3 {
        http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap();
    }
    drop(body);
    assert_eq!(*heard.0.lock().unwrap(), ["Completed"]);
}

#[tokio::test]
async fn in_band_categories_survive() {
    let overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let answer = answer(&layer(), MESSAGES, stream(Script::frames([overloaded]))).await;
    let error = answer.extensions().get::<InferenceError>().unwrap();
    assert_eq!((error.category(), answer.status().as_u16()), (Category::Overloaded, 503));
}
