//! Streams of any bytes: whole events as they came, then at most one last word, whatever the pieces.
#![no_main]

use arbitrary::Arbitrary;
use http::{Request, Response, StatusCode};
use libfuzzer_sys::fuzz_target;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_inference::{
    ErrorNormalizationLayer, InferenceError,
    error_normalization::TerminalMarker,
    framing::{ndjson::Lines, sse::Blocks},
    observe::{Observe, StreamEnd, StreamOutcome},
};
use tower_inference_fuzz::{End, Pieces, Whole, read, run, trailers, within_a_day};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    path: u8,
    seed: u8,
    end: u8,
    options: u8,
    max_event: u8,
    text: &'a [u8],
}

const PATHS: [&str; 11] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/audio/speech",
    "/v1/audio/transcriptions",
    "/v1/messages",
    "/v1beta/models/g:streamGenerateContent?alt=sse",
    "/v2/chat",
    "/generate_stream",
    "/v2/models/m/generate_stream",
    "/api/chat",
];

/// What a client gets, and what the operator hears.
struct Seen {
    status: StatusCode,
    body: Whole,
    heard: Heard,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Heard {
    failures: usize,
    ends: Vec<(StreamOutcome, u64)>,
}

#[derive(Default)]
struct Ear(Mutex<Heard>);

impl Observe for Ear {
    fn failed(&self, _: &InferenceError) {
        self.0.lock().expect("no panic").failures += 1;
    }

    fn stream_ended(&self, end: &StreamEnd<'_>) {
        self.0.lock().expect("no panic").ends.push((end.outcome, end.events));
    }
}

fuzz_target!(|input: Input<'_>| {
    let seen = pass(&input, input.seed);
    let (end, text) = (End::of(input.end), &seen.body.text[..]);
    assert!(!seen.body.is_silent, "every stream ends");
    assert_eq!(seen.heard.ends.len(), 1, "{:?}", seen.heard);
    let (outcome, _) = seen.heard.ends[0];
    let failed = outcome != StreamOutcome::Completed;
    assert_eq!(seen.heard.failures, usize::from(failed), "one failure, one word: {:?}", seen.heard);
    if seen.status == StatusCode::OK {
        if failed {
            assert_eq!(seen.body.trailers, None);
        } else {
            assert_eq!(seen.body.error, None);
            assert_eq!(seen.body.trailers, (end == End::Trailers).then(trailers));
            came_first(text, input.text);
            assert!(text == input.text || !input.text.ends_with(b"\n\n"), "all of it comes");
        }
        if failed && input.max_event == 0 {
            // OpenAI's Responses end with two.
            let words = if input.path() == "/v1/responses" { 2 } else { 1 };
            came_first(without_last(&input, text, words), input.text);
        }
    } else {
        assert!(failed && seen.body.error.is_none());
        assert!(serde_json::from_slice::<serde_json::Value>(text).is_ok());
    }

    if input.max_event == 0 {
        let other = pass(&input, if input.seed == 0 { 1 } else { 0 });
        assert_eq!(seen.status, other.status);
        assert_eq!(seen.heard, other.heard);
        assert_eq!(essence(text), essence(&other.body.text));
    }
});

impl Input<'_> {
    fn path(&self) -> &'static str {
        PATHS[usize::from(self.path) % PATHS.len()]
    }

    fn is_ndjson(&self) -> bool {
        self.path() == "/api/chat"
    }
}

fn pass(input: &Input<'_>, seed: u8) -> Seen {
    let ear = Arc::new(Ear::default());
    let mut layer = ErrorNormalizationLayer::new().observe(Arc::clone(&ear));
    if input.max_event > 0 {
        layer = layer.max_event(input.max_event.into());
    }
    if input.options & 1 != 0 {
        layer = layer.promote_within(Duration::ZERO);
    }
    if input.options & 2 != 0 {
        layer = layer.terminal_marker(TerminalMarker::Lenient);
    }
    let mut body = Pieces::new(input.text, seed, End::of(input.end));
    body.lazy = input.options & 4 != 0;
    let taken = body.taken.clone();
    let media_type = if input.is_ndjson() { "application/x-ndjson" } else { "text/event-stream" };
    let answer = Response::builder().header("content-type", media_type).body(body);
    let mut answer = Some(answer.expect("valid"));
    let service = layer.layer(service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(answer.take().expect("called once")))
    }));
    let request = Request::post(input.path()).body(()).expect("valid");
    let (status, body) = run(async {
        let answer = within_a_day(service.oneshot(request)).await;
        let (head, body) = answer.expect("a head comes").into_parts();
        let opened = taken.get();
        let body = read(body, |sent| {
            // What is held is an unfinished event, the piece that ends it, and what waited for the head.
            let most = usize::from(input.max_event) + usize::from(seed).max(1) + opened;
            assert!(seed == 0 || input.max_event == 0 || taken.get() <= sent + most);
        });
        (head.status, body.await)
    });
    let heard = ear.0.lock().expect("no panic").clone();
    Seen { status, body, heard }
}

/// What came is what was sent, but for the end that completes an event.
#[track_caller]
fn came_first(came: &[u8], sent: &[u8]) {
    assert!(sent.starts_with(came) || sent.starts_with(came.trim_ascii_end()));
}

/// The text without its last events.
fn without_last<'a>(input: &Input<'_>, text: &'a [u8], count: usize) -> &'a [u8] {
    let (mut blocks, mut lines) = (Blocks::new(), Lines::new());
    let (mut at, mut ends) = (0, vec![0]);
    let mut next =
        |rest| if input.is_ndjson() { lines.next_end(rest) } else { blocks.next_end(rest) };
    while let Some(end) = next(&text[at..]) {
        at += end;
        ends.push(at);
    }
    assert_eq!(at, text.len(), "it ends in whole events");
    assert!(ends.len() > count, "there is a last word");
    &text[..ends[ends.len() - 1 - count]]
}

/// What two answers to the same stream share: hints of our own are random, and an empty line in front of an
/// event that is dropped may be dropped with it.
fn essence(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().filter(|c| !c.is_ascii_digit() && !c.is_ascii_whitespace()).collect()
}
