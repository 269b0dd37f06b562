//! Streams that are easily broken by watching them.

use crate::script::{
    CHAT, DONE, STOP, Script, Step, TEXT, answer, bytes_of, data, stream, take, text,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio_test::task::spawn;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_inference::{ErrorNormalizationLayer, error_normalization::ResponseBody, framing::sse};

fn layer() -> ErrorNormalizationLayer {
    ErrorNormalizationLayer::new()
}

/// Yields `text` in pieces of one length, and counts how often it is asked.
struct Pieces {
    text: Bytes,
    length: usize,
    polls: Arc<AtomicUsize>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let length = self.length.min(self.text.len());
        let piece = self.text.split_to(length);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }
}

/// A watched stream, and how often its upstream has been polled.
async fn counted(
    layer: &ErrorNormalizationLayer,
    text: impl Into<Bytes>,
    length: usize,
) -> (ResponseBody<Pieces>, Arc<AtomicUsize>) {
    let polls = Arc::new(AtomicUsize::new(0));
    let body = Pieces { text: text.into(), length, polls: Arc::clone(&polls) };
    let answer = Response::builder().header("content-type", "text/event-stream");
    let mut answer = Some(answer.body(body).unwrap());
    let service = service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, BoxError>(answer.take().unwrap()))
    });
    let request = Request::post(CHAT).body(()).unwrap();
    let answer = layer.layer(service).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    (answer.into_body(), polls)
}

// S8
#[tokio::test]
async fn a_line_of_many_megabytes_takes_linear_work() {
    let megabytes = if cfg!(debug_assertions) { 4 } else { 64 };
    let long = "x".repeat(megabytes << 20);
    let whole =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{long}\"}}}}]}}\n\n{STOP}");
    let whole = Bytes::from(whole);
    for max_event in [1 << 20, 128 << 20] {
        for length in [1, 16 << 10] {
            let (mut body, polls) =
                counted(&layer().max_event(max_event), whole.clone(), length).await;
            let (mut at, mut frames) = (0, 0);
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                assert_eq!(data, whole[at..at + data.len()]);
                at += data.len();
                frames += 1;
            }
            assert_eq!(at, whole.len());
            let pieces = whole.len().div_ceil(length);
            assert_eq!(polls.load(Ordering::Relaxed), pieces + 1, "each piece is asked for once");
            let held = max_event > whole.len();
            assert!(if held { frames <= 3 } else { frames <= pieces }, "{frames} frames");
        }
    }
}

// S8
#[tokio::test]
async fn a_preamble_of_single_bytes_is_released_whole() {
    let whole = ["\n".repeat(60_000).as_str(), TEXT, STOP].concat();
    let (body, polls) = counted(&layer(), whole.clone(), 1).await;
    assert_eq!(polls.load(Ordering::Relaxed), 60_000 + TEXT.len(), "the head waits for meaning");
    assert_eq!(body.collect().await.unwrap().to_bytes(), whole);

    let whole = ["\n".repeat(70_000).as_str(), TEXT, STOP].concat();
    let (body, polls) = counted(&layer(), whole.clone(), 1).await;
    assert_eq!(polls.load(Ordering::Relaxed), (64 << 10) + 1, "it waits for 64 KiB of it");
    assert_eq!(body.collect().await.unwrap().to_bytes(), whole);
}

// S15 S17
#[tokio::test]
async fn the_upstream_is_polled_only_when_the_client_polls_and_no_more_often() {
    let events = 100;
    let whole = TEXT.repeat(events);
    let (mut body, polls) = counted(&layer(), whole, TEXT.len()).await;
    for event in 1..=events {
        // The head has waited for the first one.
        assert_eq!(polls.load(Ordering::Relaxed), event.saturating_sub(1).max(1));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), TEXT);
        assert_eq!(polls.load(Ordering::Relaxed), event, "a whole event leaves in the same poll");
    }
    let word = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(word.starts_with(b"data: {\"error\""));
    assert_eq!(polls.load(Ordering::Relaxed), events + 1, "the end is asked for once");
    assert!(body.frame().await.is_none());
    assert_eq!(polls.load(Ordering::Relaxed), events + 1, "and never again");
}

// S15
#[tokio::test]
async fn an_event_in_halves_leaves_in_the_poll_that_completes_it() {
    let (mut body, polls) = counted(&layer(), TEXT.repeat(3), TEXT.len() / 2).await;
    let mut sent = 0;
    while sent < 3 * TEXT.len() {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        sent += data.len();
        let needed = sent.div_ceil(TEXT.len() / 2);
        assert_eq!(polls.load(Ordering::Relaxed), needed);
    }
}

// S5 U6
#[tokio::test]
async fn no_character_of_a_message_makes_another_event() {
    let others = [
        "\u{85}",
        "\u{2028}",
        "\u{2029}",
        "\u{202e}",
        "\u{feff}",
        "\r\n\r\ndata: x",
        "\n\nevent: x",
    ];
    let bytes = (0..=255_u8).map(|byte| char::from(byte).to_string());
    for hostile in bytes.chain(others.map(str::to_owned)) {
        let message = format!("a{hostile}b");
        let chat = format!(
            "data: {}\n\n",
            json!({"error": {"message": message, "type": message, "code": message}})
        );
        let claude = format!(
            "event: error\ndata: {}\n\n",
            json!({"type": "error", "error": {"type": message, "message": message}})
        );
        let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
        for (path, begun, error) in [(CHAT, TEXT, &chat), ("/v1/messages", delta, &claude)] {
            let body = Script::frames([begun, error]);
            let (_, out) = text(answer(&layer(), path, stream(body)).await).await;
            let word = out.strip_prefix(begun).unwrap();
            let mut blocks = sse::Blocks::new();
            assert_eq!(blocks.next_end(word.as_bytes()), Some(word.len()), "{hostile:?}: {word:?}");
            let event: Value =
                serde_json::from_slice(&sse::Event::of(word.as_bytes()).data()).unwrap();
            assert!(event["error"]["message"].is_string(), "{hostile:?}");
        }
    }
}

// S6
#[tokio::test]
async fn a_model_that_writes_about_streams_and_errors_is_not_one() {
    for said in [
        "data: [DONE]",
        "[DONE]",
        "{\"error\":{\"message\":\"no\"}}",
        "data: {\"error\":\"x\"}\n\nevent: error\n\n",
        "\"error\": true",
        "HTTP/1.1 500 Internal Server Error",
        "<html><title>502</title></html>",
    ] {
        let delta = |delta: Value| {
            format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]}))
        };
        let content = delta(json!({"content": said}));
        let tool = delta(json!({"tool_calls": [{"function": {"arguments": said}, "error": said}]}));
        let frames = [content.as_str(), &tool, STOP, DONE];
        let (head, out) = text(answer(&layer(), CHAT, stream(Script::frames(frames))).await).await;
        assert_eq!((head.status.as_u16(), out), (200, frames.concat()), "{said}");
    }
}

// S7
#[tokio::test]
async fn an_error_member_counts_by_its_value() {
    for (value, is_error) in [
        ("null", false),
        ("{}", false),
        ("\"\"", false),
        ("false", false),
        ("\"boom\"", true),
        ("{\"message\":\"boom\"}", true),
    ] {
        let event = format!("data: {{\"choices\":[],\"error\":{value}}}\n\n");
        let body = Script::frames([TEXT, &event, STOP]);
        let (_, out) = text(answer(&layer(), CHAT, stream(body)).await).await;
        assert_eq!(!out.ends_with(STOP), is_error, "{value}: {out}");
        assert_eq!(out.contains("\"category\""), is_error, "{value}: {out}");
    }
}

// S10
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_no_stall_of_the_upstream() {
    let layer = layer().idle_timeout(Duration::from_secs(30));
    let pause = || Step::Wait(Duration::from_secs(20));
    let steps = [data(TEXT), pause(), data(TEXT), pause(), data(TEXT), pause(), data(STOP)];
    let answer = answer(&layer, CHAT, stream(Script::new(steps))).await;
    let (mut body, mut out) = (answer.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        out.extend_from_slice(frame.unwrap().data_ref().unwrap());
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    assert_eq!(out, [TEXT, TEXT, TEXT, STOP].concat().into_bytes());
}

// S9 S10
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_comments_slowly_is_no_stall_either() {
    let layer = layer().idle_timeout(Duration::from_secs(30)).keep_alive(Duration::from_secs(8));
    let wait = |seconds| Step::Wait(Duration::from_secs(seconds));
    let ping = ": ping\n\n";
    let steps = [data(TEXT), wait(10), data(ping), wait(19), data(TEXT), data(STOP)];
    let answer = answer(&layer, CHAT, stream(Script::new(steps))).await;
    let (mut body, mut out) = (answer.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        out.extend_from_slice(frame.unwrap().data_ref().unwrap());
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    let out = String::from_utf8(out).unwrap().replace(": keep-alive\n", "");
    assert_eq!(out, [TEXT, ping, TEXT, STOP].concat());

    // What it was waited for before the client took its time counts on.
    let steps = [data(TEXT), wait(20), data(ping), wait(11), data(TEXT), data(STOP)];
    let answer = crate::script::answer(&layer, CHAT, stream(Script::new(steps))).await;
    let (_, out) = text(answer).await;
    assert!(out.contains("\"category\":\"timeout\""), "{out}");
}

// S3
#[tokio::test(start_paused = true)]
async fn a_marker_before_a_silence_is_a_success() {
    const MESSAGES: &str = "/v1/messages";
    let layer = layer().idle_timeout(Duration::from_secs(30));
    let said = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    for (path, events) in [(CHAT, [TEXT, DONE]), (CHAT, [TEXT, STOP]), (MESSAGES, [said, stop])] {
        let body = Script::frames(events).then(Step::Silence);
        assert_eq!(text(answer(&layer, path, stream(body)).await).await.1, events.concat());
        // The same with the last line end missing.
        let open = events.concat();
        let body = Script::frames([&open[..open.len() - 1]]).then(Step::Silence);
        assert_eq!(text(answer(&layer, path, stream(body)).await).await.1, open);
    }
    // An error that is whole but for its last line end says more than a time-out.
    let body = Script::frames([TEXT, "data: {\"error\":{\"message\":\"boom\"}}\n"]);
    let (_, out) = text(answer(&layer, CHAT, stream(body.then(Step::Silence))).await).await;
    assert!(out.contains("boom") && !out.contains("timeout"), "{out}");
}

// S12 S13
#[tokio::test]
async fn bytes_that_no_client_expects_pass_as_they_came() {
    let invalid: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\xfe\xc3\"}}]}\n\n";
    for frames in [
        [invalid, invalid, STOP.as_bytes()],
        [b": \xff\xfe\n\n", TEXT.as_bytes(), STOP.as_bytes()],
        [b"\xef\xbb\xbf", TEXT.as_bytes(), STOP.as_bytes()],
        [b"id: 1\nretry: 5\n", TEXT.as_bytes(), STOP.as_bytes()],
        [
            b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\r",
            b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n",
            STOP.as_bytes(),
        ],
    ] {
        let (head, out, failed) =
            take(answer(&layer(), CHAT, stream(Script::frames(frames))).await).await;
        assert_eq!((head.status.as_u16(), failed), (200, false));
        assert_eq!(
            bytes_of(&out),
            frames.concat(),
            "{}",
            String::from_utf8_lossy(&frames.concat())
        );
    }
}

// S14
#[tokio::test]
async fn lines_of_json_are_lines_whatever_ends_them() {
    let lines = |text: &str| {
        let mut upstream = stream(Script::frames([text]));
        upstream.headers_mut().insert("content-type", "application/x-ndjson".parse().unwrap());
        upstream
    };
    let line = "{\"message\":{\"content\":\"Hi\"},\"done\":false}";
    let last = "{\"message\":{\"content\":\"\"},\"done\":true}";
    for (sent, got) in [
        (format!("{line}\r\n{last}\r\n"), format!("{line}\r\n{last}\r\n")),
        (format!("{line}\n\n\r\n{last}\n"), format!("{line}\n\n\r\n{last}\n")),
        (format!("{line}\n{last}"), format!("{line}\n{last}\n")),
    ] {
        assert_eq!(text(answer(&layer(), "/api/chat", lines(&sent)).await).await.1, got);
    }
    let (_, out) =
        text(answer(&layer(), "/api/chat", lines(&format!("{line}\n{{\"mess"))).await).await;
    let word: Value =
        serde_json::from_str(out.strip_prefix(&format!("{line}\n")).unwrap()).unwrap();
    assert_eq!(word["origin"], "stream");

    let array =
        "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}]}\n,\r\n{\"error\":{}}";
    let path = "/v1beta/models/g:streamGenerateContent";
    let upstream = crate::script::json(Script::frames([array]));
    assert_eq!(text(answer(&layer(), path, upstream).await).await.1, array, "arrays pass");
}

// S16
#[tokio::test]
async fn a_compressed_stream_passes_untouched() {
    let frames: [&[u8]; 3] = [b"\x1f\x8b\x08\0", b"\n\ndata: {\"error\":1}\n\n", b"\xff\0"];
    for encoding in ["gzip", "br", "zstd", "gzip, br", "unheard-of"] {
        let mut upstream = stream(Script::frames(frames));
        upstream.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        upstream.headers_mut().insert("etag", "\"1\"".parse().unwrap());
        let (head, out, failed) = take(answer(&layer(), CHAT, upstream).await).await;
        let out: Vec<_> = out.iter().map(|frame| &frame.data_ref().unwrap()[..]).collect();
        assert_eq!((&out[..], failed), (&frames[..], false), "{encoding}");
        assert_eq!((head.headers["etag"].as_bytes(), head.headers.len()), (&b"\"1\""[..], 3));
    }
}

#[tokio::test]
async fn empty_frames_let_others_have_their_turn() {
    let frames = [TEXT].into_iter().chain([""; 50]).chain([STOP, DONE]);
    let answer = answer(&layer(), CHAT, stream(Script::frames(frames))).await;
    let mut body = spawn(answer.into_body());
    let (mut out, mut turns) = (Vec::new(), 0);
    loop {
        match body.enter(|cx, body| body.poll_frame(cx)) {
            Poll::Ready(Some(frame)) => out.extend(frame.unwrap().into_data().unwrap()),
            Poll::Ready(None) => break,
            Poll::Pending => {
                assert!(body.is_woken());
                turns += 1;
            }
        }
    }
    assert_eq!(out, [TEXT, STOP, DONE].concat().into_bytes());
    assert_eq!(turns, 50);
}
