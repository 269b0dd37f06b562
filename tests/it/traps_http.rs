//! Heads and bodies of HTTP that are easily got wrong.

use crate::{
    script::{self, CHAT, STOP, Script, Step, TEXT, answer, data, json, stream, take},
    support::{self, stack},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use proptest::prelude::*;
use serde_json::Value;
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_inference::{
    ErrorNormalizationLayer, ReadinessLayer, ReadyFlag, error_normalization::ResponseBody,
};

/// Whole but for its empty line.
const UNENDED: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}";
const ERROR: &str = "data: {\"error\":{\"message\":\"the engine died\"}}\n\n";

fn layer() -> ErrorNormalizationLayer {
    ErrorNormalizationLayer::new()
}

/// What a client gets for `request` when the upstream answers so.
async fn exchange<B>(request: Request<()>, upstream: Response<B>) -> Response<ResponseBody<B>>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    script::exchange(&layer(), request, upstream).await
}

fn asked(method: &Method, path: &str) -> Request<()> {
    Request::builder().method(method).uri(path).body(()).unwrap()
}

fn same_head(one: &response::Parts, other: &response::Parts) -> bool {
    one.status == other.status
        && one.version == other.version
        && one.headers.iter().eq(other.headers.iter())
        && one.extensions.get::<u8>() == other.extensions.get::<u8>()
}

// H2 H3 H18
#[tokio::test]
async fn every_status_and_method_is_framed_as_http_asks() {
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"];
    for status in (100..600).map(|status| StatusCode::from_u16(status).unwrap()) {
        let bodyless = status.is_informational() || matches!(status.as_u16(), 204 | 205 | 304);
        for method in methods.map(|method| Method::from_bytes(method.as_bytes()).unwrap()) {
            let shown = format!("{method} {status}");
            let text = if bodyless || method == Method::HEAD { "" } else { "{\"id\":1}" };
            let upstream = || {
                let answer = Response::builder().status(status).version(Version::HTTP_10);
                let answer = answer.header("set-cookie", "a=1").header("set-cookie", "b=2");
                let answer = answer.header("x-b", "1").header("content-type", "application/json");
                answer.header("etag", "\"1\"").extension(7_u8).body(Full::<Bytes>::from(text))
            };
            let answer = exchange(asked(&method, CHAT), upstream().unwrap()).await;
            let (head, body) = answer.into_parts();
            let exact = body.size_hint().exact();
            let body = body.collect().await.unwrap().to_bytes();
            assert_eq!(exact, Some(body.len() as u64), "{shown}");
            let fails = status.is_client_error() || status.is_server_error();
            if !fails || method == Method::OPTIONS {
                assert!(same_head(&head, &upstream().unwrap().into_parts().0), "{shown}: {head:?}");
                assert_eq!(body, text, "{shown}");
                continue;
            }
            assert!(head.status.is_client_error() || head.status.is_server_error(), "{shown}");
            let declared = head.headers.get("content-length");
            match method.as_str() {
                "HEAD" => {
                    let unread = upstream().unwrap().map(|_| Full::default());
                    let whole = exchange(asked(&Method::GET, CHAT), unread).await.into_body();
                    let length = whole.size_hint().exact().unwrap().to_string();
                    assert_eq!(declared.unwrap(), length.as_str(), "{shown}");
                    assert!(body.is_empty(), "{shown}");
                }
                "CONNECT" => assert!(body.is_empty() && declared.is_none(), "{shown}"),
                _ => {
                    assert!(declared.is_none(), "{shown}");
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    assert!(body["error"]["message"].is_string(), "{shown}");
                }
            }
        }
    }
}

// H2 H3 H5
#[tokio::test]
async fn a_closed_gate_answers_every_method_in_its_own_framing() {
    let ask = |request: Request<()>| async {
        let gate = ReadinessLayer::new(ReadyFlag::new()).layer(support::untouched());
        let (head, body) = gate.oneshot(request).await.unwrap().into_parts();
        let is_end = body.is_end_stream();
        (head, is_end, body.collect().await.unwrap().to_bytes())
    };
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
        let (head, is_end, body) = ask(asked(&method, CHAT)).await;
        assert_eq!((head.status.as_u16(), is_end), (503, false));
        assert!(serde_json::from_slice::<Value>(&body).is_ok());
    }
    for method in [Method::HEAD, Method::CONNECT] {
        let (head, is_end, body) = ask(asked(&method, CHAT)).await;
        assert_eq!((head.status.as_u16(), is_end, body.len()), (503, true, 0), "{method}");
    }
    let mut grpc = asked(&Method::POST, "/inference.GRPCInferenceService/ModelInfer");
    grpc.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let (head, is_end, _) = ask(grpc).await;
    assert!(is_end, "the stream ends with the head");
    assert_eq!((head.status.as_u16(), &head.headers["grpc-status"]), (200, &"14".parse().unwrap()));
}

/// Serves one connection, and is its client.
async fn connect<S, B>(service: S) -> TcpStream
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    tokio::spawn(async move {
        let service = TowerToHyperService::new(service);
        let http = hyper::server::conn::http1::Builder::new();
        let _ = http.serve_connection(TokioIo::new(server), service).with_upgrades().await;
    });
    client
}

/// What comes up to `end`.
async fn read_to(client: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(text).unwrap()
}

// H4
#[tokio::test]
async fn an_upgraded_connection_speaks_through_the_layers() {
    async fn echo(
        request: Request<tower_inference::RequestBody<Incoming>>,
    ) -> Result<Response<Full<Bytes>>, BoxError> {
        let mut request = request;
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
            tokio::io::copy(&mut read, &mut write).await.unwrap();
        });
        let answer = Response::builder().status(101).header("connection", "upgrade");
        Ok(answer.header("upgrade", "websocket").body(Full::default())?)
    }
    let flag = ReadyFlag::ready();
    let layers = tower::ServiceBuilder::new()
        .layer(tower_inference::ModelNameLayer::new().unless_closed(flag.clone()))
        .layer(layer())
        .layer(ReadinessLayer::new(flag));
    let mut client = connect(layers.service_fn(echo)).await;
    let request =
        "GET /v1/realtime HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let head = read_to(&mut client, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client.write_all(b"ping").await.unwrap();
    assert_eq!(read_to(&mut client, "ping").await, "ping");
}

// H4
#[tokio::test]
async fn tunnels_keep_their_extensions() {
    let extended = |status: u16| (Method::CONNECT, status);
    for (method, status) in [(Method::GET, 101), (Method::CONNECT, 200), extended(204)] {
        let upstream = Response::builder().status(status).extension(7_u8);
        let upstream = upstream.body(Empty::<Bytes>::new()).unwrap();
        let answer = exchange(asked(&method, CHAT), upstream).await;
        assert_eq!((answer.status().as_u16(), answer.headers().len()), (status, 0));
        assert_eq!(answer.extensions().get::<u8>(), Some(&7));
        assert!(answer.body().is_end_stream());
    }
}

// H5
#[tokio::test]
async fn grpc_is_left_alone_whatever_its_status() {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "13".parse().unwrap());
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc-web+proto"]
    {
        for status in [200, 404, 500, 503] {
            for (asks, path) in [(content_type, "/s/M"), (content_type, CHAT), ("text/plain", CHAT)]
            {
                let upstream = |body: Script| {
                    let answer = Response::builder().status(status).header("grpc-status", "14");
                    answer.header("content-type", content_type).body(body).unwrap()
                };
                let mut request = asked(&Method::POST, path);
                request.headers_mut().insert("content-type", asks.parse().unwrap());
                let body =
                    Script::frames(["\0\0\0\0\u{1}x"]).then(Step::Trailers(trailers.clone()));
                let (head, frames, failed) = take(exchange(request, upstream(body)).await).await;
                let shown = format!("{content_type} {status} {asks} {path}");
                assert!(same_head(&head, &upstream(Script::default()).into_parts().0), "{shown}");
                assert_eq!(frames[0].data_ref().unwrap(), &"\0\0\0\0\u{1}x", "{shown}");
                assert_eq!((frames[1].trailers_ref(), failed), (Some(&trailers), false), "{shown}");
            }
        }
    }
    let upstream = Response::builder().header("content-type", "application/grpc");
    let upstream = upstream.header("grpc-status", "14").body(Empty::<Bytes>::new()).unwrap();
    let answer = exchange(asked(&Method::POST, "/s/M"), upstream).await;
    assert!(answer.body().is_end_stream(), "trailers-only ends with its head");
}

/// Says exactly how much is left, and when it has ended; may be told not to say the former.
#[derive(Clone, Debug)]
struct Honest {
    steps: VecDeque<&'static str>,
    sized: bool,
}

impl Body for Honest {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.steps.pop_front().map(|step| match step {
            "break" => Err("reset".into()),
            "trailers" => Ok(Frame::trailers(HeaderMap::new())),
            text => Ok(Frame::data(Bytes::from(text))),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let texts = self.steps.iter().filter(|step| !matches!(**step, "break" | "trailers"));
        let length = texts.map(|text| text.len() as u64).sum();
        if self.sized { SizeHint::with_exact(length) } else { SizeHint::default() }
    }
}

/// Polls a body to its end and beyond; every word it said of itself must have been true.
async fn is_honest<B: Body<Data = Bytes, Error = BoxError>>(body: B) {
    let mut body = std::pin::pin!(body);
    let (mut said, mut sent, mut failed) = (Vec::new(), 0, false);
    loop {
        let (hint, is_end) = (body.size_hint(), body.is_end_stream());
        said.push((hint, sent));
        let frame = body.frame().await;
        assert!(!is_end || frame.is_none(), "it said that it had ended: {frame:?}");
        match frame {
            Some(Ok(frame)) => sent += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => failed = true,
            None => break,
        }
        if failed {
            break;
        }
    }
    for (hint, before) in said {
        let left = sent - before;
        assert!(failed || hint.lower() <= left, "{hint:?}, and {left} came");
        assert!(hint.upper().is_none_or(|upper| left <= upper), "{hint:?}, and {left} came");
    }
    for _ in 0..3 {
        assert!(body.frame().await.is_none(), "what has ended stays ended");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    // H6 H7
    #[test]
    fn bodies_say_the_truth_about_themselves_and_stay_ended(
        mut steps in prop::collection::vec(prop::sample::select(vec![
            TEXT, TEXT, UNENDED, STOP, ERROR, "data: [DONE]\n\n", ": note\n\n", "data: {\"choices\":[{\"del", "",
            "{\"id\":1", "}", "{\"error\":\"x\"}", "{\"done\":true}\n", "\n", "<html>",
        ]), 0..6),
        end in prop::sample::select(vec!["", "break", "trailers"]),
        sized: bool,
        (status, media, path, method) in prop_oneof![
            Just((200, "text/event-stream", CHAT, Method::POST)),
            (
                prop::sample::select(vec![200, 200, 204, 304, 429, 500]),
                prop::sample::select(vec!["application/json", "text/event-stream", "application/x-ndjson", "x/y"]),
                prop::sample::select(vec![CHAT, "/v1/messages", "/v1/responses", "/api/chat", "/v2/chat", "/events"]),
                prop::sample::select(vec![Method::POST, Method::HEAD, Method::OPTIONS]),
            ),
        ],
        is_ready: bool,
    ) {
        steps.push(end);
        let body = Honest { steps: steps.into(), sized };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
            let upstream = move || {
                let answer = Response::builder().status(status).header("content-type", media);
                answer.body(body.clone()).unwrap()
            };
            is_honest(exchange(asked(&method, path), upstream()).await.into_body()).await;
            let flag = if is_ready { ReadyFlag::ready() } else { ReadyFlag::new() };
            let inner = service_fn(move |_| std::future::ready(Ok::<_, BoxError>(upstream())));
            let request = asked(&method, path).map(|()| Empty::<Bytes>::new());
            let whole = stack(flag, inner).oneshot(request).await.unwrap();
            is_honest(whole.into_body()).await;
        });
    }
}

// H8
#[tokio::test]
async fn trailers_of_a_body_that_was_replaced_are_dropped() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "1".parse().unwrap());
    let trailed = |frames: &[&str]| Script::frames(frames).then(Step::Trailers(trailers.clone()));
    let mut refused = json(trailed(&["{\"error\":{\"message\":\"no\"}}"]));
    *refused.status_mut() = StatusCode::BAD_REQUEST;
    refused.headers_mut().insert("trailer", "x-checksum".parse().unwrap());
    for upstream in [
        refused,
        json(trailed(&["{\"error\":{\"message\":\"no\"}}"])),
        stream(trailed(&[TEXT])),
        stream(trailed(&[TEXT, ERROR])),
    ] {
        let (head, frames, _) = take(answer(&layer(), CHAT, upstream).await).await;
        assert!(!frames.is_empty() && frames.iter().all(Frame::is_data), "{frames:?}");
        assert!(!head.headers.contains_key("trailer"));
    }
}

// H9
#[tokio::test]
async fn nothing_that_described_the_old_body_is_left() {
    const ALL: [&str; 14] = [
        "etag",
        "digest",
        "content-digest",
        "content-md5",
        "repr-digest",
        "last-modified",
        "accept-ranges",
        "content-range",
        "signature",
        "signature-input",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "cache-control",
    ];
    let described = |mut upstream: Response<Script>| {
        for name in ALL {
            upstream.headers_mut().insert(name, "1".parse().unwrap());
        }
        upstream
    };
    let mut refused = described(json(Script::frames(["{\"error\":{\"message\":\"no\"}}"])));
    *refused.status_mut() = StatusCode::BAD_REQUEST;
    let (head, _, _) = take(answer(&layer(), CHAT, refused).await).await;
    for name in ALL.into_iter().filter(|name| *name != "cache-control") {
        assert!(!head.headers.contains_key(name), "{name}");
    }
    assert_eq!(head.headers["cache-control"], "no-store");

    // A stream may end in words of ours, but is the same representation until then.
    let mut watched = described(stream(Script::frames([TEXT, STOP])));
    watched.headers_mut().remove("content-encoding");
    let (head, _, _) = take(answer(&layer(), CHAT, watched).await).await;
    for name in ALL {
        let stays = ["last-modified", "cache-control", "transfer-encoding"].contains(&name);
        assert_eq!(head.headers.contains_key(name), stays, "{name}");
    }
}

/// Yields `piece` again and again, each after `pause`; counts them, and whether it is still there.
struct Drip {
    piece: Bytes,
    pause: Duration,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    yielded: Arc<AtomicUsize>,
}

impl Drip {
    fn new(piece: Vec<u8>, pause: Duration) -> (Self, Arc<AtomicUsize>) {
        let yielded = Arc::new(AtomicUsize::new(0));
        let drip = Self { piece: piece.into(), pause, sleep: None, yielded: yielded.clone() };
        (drip, yielded)
    }
}

impl Body for Drip {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.pause.is_zero() {
            let pause = self.pause;
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            std::task::ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        self.yielded.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

fn refused(body: Drip) -> Response<Drip> {
    let answer = Response::builder().status(429).header("content-type", "application/json");
    answer.header("content-length", "10000000000").body(body).unwrap()
}

// H13
#[tokio::test(start_paused = true)]
async fn an_error_that_comes_byte_by_byte_is_waited_for_only_so_long() {
    let (body, yielded) = Drip::new(b"{".to_vec(), Duration::from_secs(1));
    let start = tokio::time::Instant::now();
    let answer = exchange(asked(&Method::POST, CHAT), refused(body)).await;
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(answer.status(), 429);
    assert!(yielded.load(Ordering::Relaxed) <= 5);
    assert_eq!(Arc::strong_count(&yielded), 1, "the upstream is let go of");
}

// H14
#[tokio::test]
async fn an_endless_error_is_read_no_further_than_its_limit() {
    let (body, yielded) = Drip::new(vec![b'x'; 4096], Duration::ZERO);
    let answer = exchange(asked(&Method::POST, CHAT), refused(body)).await;
    assert_eq!(answer.status(), 429);
    assert!(!answer.headers().contains_key("content-length"), "which was a lie");
    assert_eq!(yielded.load(Ordering::Relaxed) * 4096, 64 << 10);
    assert_eq!(Arc::strong_count(&yielded), 1, "the upstream is let go of");
    assert!(answer.into_body().collect().await.unwrap().to_bytes().len() < 8192);
}

async fn unasked(
    _: Request<tower_inference::RequestBody<Incoming>>,
) -> Result<Response<Full<Bytes>>, BoxError> {
    panic!("the inner service is called")
}

// H15
#[tokio::test]
async fn an_upload_that_waits_for_leave_is_refused_without_it() {
    let flag = ReadyFlag::new();
    let layers = tower::ServiceBuilder::new()
        .layer(tower_inference::ModelNameLayer::new().unless_closed(flag.clone()))
        .layer(layer())
        .layer(ReadinessLayer::new(flag));
    let mut client = connect(layers.service_fn(unasked)).await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        1 << 30
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "no 100 before it: {answer}");
    assert!(answer.contains("\"model_not_ready\""), "{answer}");
}

// H17
#[tokio::test]
async fn a_rescue_does_not_need_the_connection_to_fail() {
    let mut upstream = stream(Script::new([data(TEXT), Step::Error("reset")]));
    upstream.headers_mut().insert("connection", "close".parse().unwrap());
    let (_, frames, failed) = take(answer(&layer(), CHAT, upstream).await).await;
    let last = frames.last().unwrap().data_ref().unwrap();
    assert!(!failed && last.starts_with(b"data: {\"error\":"), "{last:?}");
}
