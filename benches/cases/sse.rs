//! Events of a stream that is watched, and of parsers, which do not even judge them. All of them go
//! by events; passing the frames on untouched is what each is compared with.

use super::Work;
use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures::{FutureExt, Stream, StreamExt, stream};
use http::{Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use std::{
    convert::Infallible,
    future::ready,
    hint::black_box,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_inference::ErrorNormalizationLayer;

/// Bytes of an event.
const EVENT: usize = 268;

/// Frames, again and again.
#[derive(Clone)]
struct Frames {
    frames: Arc<[Bytes]>,
    next: usize,
    /// Bytes of an event.
    event: usize,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.frames[self.next].clone();
        self.next = if self.next + 1 < self.frames.len() { self.next + 1 } else { 0 };
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }
}

impl Frames {
    /// The bytes of all these events, cut into frames of `size` bytes.
    fn cut(events: &[String], size: usize) -> Self {
        let event = events[0].len();
        // Again and again, until the last frame is full too.
        let events = events.concat();
        let times = (1..=size).find(|times| (times * events.len()) % size == 0).expect("is `size`");
        let all = Bytes::from(events.repeat(times));
        let frames = (0..all.len() / size).map(|n| all.slice(n * size..(n + 1) * size));
        Self { frames: frames.collect(), next: 0, event }
    }

    fn bytes(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut frames| async {
            let frame = frames.frame().await?.ok()?.into_data().ok()?;
            Some((Ok(frame), frames))
        })
    }
}

/// A chunk of a chat whose delta says this, filled up to this size.
fn chunk(size: usize, before: &str, says: &str) -> String {
    let open = format!(
        "data: {{{before}\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1694268190,\
         \"model\":\"gpt-4o-mini\",\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[{{\"index\":0,\
         \"delta\":{{\"content\":\"{says}"
    );
    let close = "\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
    let fill = size - open.len() - close.len();
    format!("{open}{}{close}", "a".repeat(fill))
}

fn plain(size: usize) -> Vec<String> {
    vec![chunk(size, "", "")]
}

fn error_null() -> Vec<String> {
    vec![chunk(EVENT, "\"error\":null,", "")]
}

/// One of fifty speaks of an error.
fn suspects() -> Vec<String> {
    let mut events = vec![chunk(EVENT, "", ""); 50];
    events[25] = chunk(EVENT, "", "an \\\"error\\\"");
    events
}

/// Polls frames until so many events' worth of bytes have come.
fn frames(body: impl Body<Data = Bytes> + 'static, event: usize) -> Work {
    let mut body = Box::pin(body);
    let (mut wanted, mut came) = (0, 0);
    Box::new(move |times| {
        wanted += times * event;
        while came < wanted {
            let frame = body.frame().now_or_never().flatten().and_then(Result::ok);
            let data = frame.and_then(|frame| frame.into_data().ok()).expect("has no end");
            came += black_box(data).len();
        }
    })
}

/// Polls so many events.
fn events<T>(stream: impl Stream<Item = T> + 'static) -> Work {
    let mut stream = Box::pin(stream);
    Box::new(move |times| {
        for _ in 0..times {
            black_box(stream.next().now_or_never().flatten().expect("has no end"));
        }
    })
}

/// The body of a chat behind the layer.
fn watched(body: Frames) -> impl Body<Data = Bytes> {
    let inner = service_fn(move |_: Request<()>| {
        let answer = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
        ready(answer.body(body.clone()))
    });
    let service = ErrorNormalizationLayer::new().layer(inner);
    let request = Request::post("/v1/chat/completions").body(()).expect("is a request");
    let answer = service.oneshot(request).now_or_never().expect("the first event is there");
    let Ok(answer) = answer;
    answer.into_body()
}

/// The next event of each of so many streams.
fn streams<B: Body<Data = Bytes> + 'static>(count: usize, body: impl Fn(Frames) -> B) -> Work {
    let one = Frames::cut(&plain(EVENT), EVENT);
    let streams = (0..count).map(|_| frames(body(one.clone()), EVENT));
    let mut streams: Vec<_> = streams.collect();
    Box::new(move |times| {
        for _ in 0..times {
            streams.iter_mut().for_each(|stream| stream(1));
        }
    })
}

macro_rules! cases {
    ($($group:ident: $events:expr, $size:expr;)*) => {
        $(pub(crate) mod $group {
            use super::*;

            fn body() -> Frames {
                Frames::cut(&$events, $size)
            }

            pub(crate) fn bare() -> Work {
                frames(body(), body().event)
            }

            pub(crate) fn ours() -> Work {
                frames(watched(body()), body().event)
            }

            pub(crate) fn sse_stream() -> Work {
                events(sse_stream::SseStream::new(body()))
            }

            pub(crate) fn sse_core() -> Work {
                events(sse_core::SseStream::new(body().bytes()))
            }

            pub(crate) fn eventsource_stream() -> Work {
                events(body().bytes().eventsource())
            }
        })*
    };
}

cases! {
    sse_one_event_a_frame: plain(EVENT), EVENT;
    sse_frames_of_16_kib: plain(EVENT), 16 << 10;
    sse_frames_of_97_bytes: plain(EVENT), 97;
    sse_error_null: error_null(), EVENT;
    sse_suspects: suspects(), EVENT;
    sse_event_of_1_kb: plain(4 * EVENT), 4 * EVENT;
    sse_event_of_2_kb: plain(8 * EVENT), 8 * EVENT;
}

pub(crate) mod sse_streams {
    use super::*;

    pub(crate) fn bare() -> Work {
        streams(100, |body| body)
    }

    pub(crate) fn ours_100() -> Work {
        streams(100, watched)
    }

    pub(crate) fn ours_200() -> Work {
        streams(200, watched)
    }
}
