//! Upstreams that fail over real connections: what their clients get through the whole stack.

mod upstream;

use self::upstream::{Answer, Fault, Framing};
use crate::{
    cuts::{HEALTHY, Verdict, is_ndjson, judge},
    transport::serve,
};
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{net::SocketAddr, time::Duration};
use tower::{ServiceBuilder, service_fn};
use tower_inference::{
    ErrorNormalizationLayer, ModelNameLayer, ModelRegistry, ReadinessLayer, RequestBody,
};

/// What a client got: the status, 0 if there was no answer at all, the body, and whether it failed.
type Got = (u16, Vec<u8>, bool);

/// A client of a gateway, and the gateway's address.
#[derive(Clone)]
struct Gateway {
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

fn client<B>(version: Version) -> Client<HttpConnector, B>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    Client::builder(TokioExecutor::new()).http2_only(version == Version::HTTP_2).build_http()
}

impl Gateway {
    /// The whole stack before the upstream that `x-upstream` names, with HTTP/2 if `x-version` says
    /// so. Its client speaks `version`.
    async fn start(version: Version, layer: ErrorNormalizationLayer) -> Self {
        let [http1, http2] =
            [Version::HTTP_11, Version::HTTP_2].map(client::<RequestBody<Incoming>>);
        let proxy = service_fn(move |mut request: Request<RequestBody<Incoming>>| {
            let named = |name| request.headers()[name].to_str().unwrap().to_owned();
            let client = if named("x-version") == "2" { http2.clone() } else { http1.clone() };
            let uri = format!("http://{}{}", named("x-upstream"), request.uri().path());
            *request.uri_mut() = uri.parse().unwrap();
            *request.version_mut() = Version::HTTP_11;
            async move { client.request(request).await }
        });
        let models = ModelRegistry::new();
        let stack = ServiceBuilder::new()
            .layer(ModelNameLayer::new().unless_closed(models.clone()))
            .layer(layer)
            .layer(ReadinessLayer::new(models))
            .service(proxy);
        Self { address: serve(stack).await, client: client(version) }
    }

    /// Asks for `path`; the upstream answers so.
    async fn ask(&self, path: &str, framing: Framing, upstream: Answer) -> Got {
        let got = self.get(path, framing, upstream);
        tokio::time::timeout(Duration::from_secs(20), got).await.expect("an answer, and its end")
    }

    async fn get(&self, path: &str, framing: Framing, upstream: Answer) -> Got {
        let request = Request::post(format!("http://{}{path}", self.address))
            .header("x-upstream", upstream.serve().await.to_string())
            .header("x-version", if framing == Framing::Http2 { "2" } else { "1" })
            .body(Full::from("{\"model\":\"m\"}"))
            .unwrap();
        let Ok(answer) = self.client.request(request).await else { return (0, Vec::new(), true) };
        let (head, mut body) = answer.into_parts();
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => text.extend_from_slice(frame.data_ref().unwrap()),
                Err(_) => return (head.status.as_u16(), text, true),
            }
        }
        (head.status.as_u16(), text, false)
    }
}

fn media_type(path: &str) -> &'static str {
    if is_ndjson(path) { "application/x-ndjson" } else { "text/event-stream" }
}

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

const CHAT: &str = "/v1/chat/completions";

/// How many exchanges are under way at once.
const AT_ONCE: usize = 16;

// S1 S2 S3 S4 H1
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_at_any_byte_of_the_wire_is_an_error_to_its_client() {
    for version in VERSIONS {
        let gateway = Gateway::start(version, ErrorNormalizationLayer::new()).await;
        let mut cases = Vec::new();
        for (path, stream) in HEALTHY {
            for (framing, fault) in [
                (Framing::Chunked, Fault::Close),
                (Framing::Chunked, Fault::Reset),
                (Framing::Length(9), Fault::Close),
                (Framing::UntilClose, Fault::Close),
                (Framing::UntilClose, Fault::Reset),
                (Framing::Http2, Fault::Close),
                (Framing::Http2, Fault::Reset),
            ] {
                let answer = Answer::new(framing, media_type(path), stream.as_bytes(), 40);
                // Odd, so that every place in an event and in a frame is met somewhere.
                for at in (cases.len() % 7..answer.len()).step_by(23) {
                    cases.push((path, stream, framing, fault, at, answer.clone()));
                }
            }
        }
        let count = cases.len();
        let verdicts =
            futures::stream::iter(cases).map(|(path, stream, framing, fault, at, answer)| {
                let gateway = gateway.clone();
                async move {
                    let (status, text, failed) =
                        gateway.ask(path, framing, answer.cut(at, fault)).await;
                    let shown = || {
                        let text = String::from_utf8_lossy(&text);
                        format!("{version:?} {path} {framing:?} {fault:?} at {at}: {status} {text}")
                    };
                    let verdict = judge(path, stream.as_bytes(), status, &text, failed, shown);
                    assert_ne!(verdict, Verdict::Untold, "{}", shown());
                    verdict
                }
            });
        let verdicts: Vec<_> = verdicts.buffer_unordered(AT_ONCE).collect().await;
        let promoted = verdicts.iter().filter(|it| **it == Verdict::Promoted(502)).count();
        let rescued = verdicts.iter().filter(|it| **it == Verdict::Rescued).count();
        println!("{version:?}: {count} cuts, {promoted} promoted, {rescued} rescued");
        assert!(promoted > 0 && rescued > 0);
    }
}

// S1 S2 S4
#[tokio::test(flavor = "multi_thread")]
async fn every_fault_in_place_of_a_streams_end_is_an_error_to_its_client() {
    let layer = ErrorNormalizationLayer::new()
        .first_event_timeout(Duration::from_millis(300))
        .idle_timeout(Duration::from_millis(300));
    for version in VERSIONS {
        let gateway = Gateway::start(version, layer.clone()).await;
        let mut cases = Vec::new();
        for (path, stream) in HEALTHY {
            for (framing, fault) in [
                (Framing::Chunked, Fault::BadChunk),
                (Framing::Chunked, Fault::Close),
                (Framing::Chunked, Fault::Reset),
                (Framing::Chunked, Fault::Stall),
                (Framing::Http2, Fault::Close),
                (Framing::Http2, Fault::GoAway),
                (Framing::Http2, Fault::Reset),
                (Framing::Http2, Fault::RstStream),
                (Framing::Http2, Fault::Stall),
            ] {
                // Nothing, something, and all but the end of the last event.
                for length in [0, stream.len() / 2, stream.len() - 6] {
                    cases.push((path, stream, framing, fault, length));
                }
            }
        }
        let all = futures::stream::iter(cases).map(|(path, stream, framing, fault, length)| {
            let gateway = gateway.clone();
            async move {
                let sent = &stream.as_bytes()[..length];
                let answer = Answer::new(framing, media_type(path), sent, 1).endless(fault);
                let (status, text, failed) = gateway.ask(path, framing, answer).await;
                let shown = || {
                    let text = String::from_utf8_lossy(&text);
                    format!("{version:?} {path} {framing:?} {fault:?} {length}: {status} {text}")
                };
                let verdict = judge(path, stream.as_bytes(), status, &text, failed, shown);
                let status = if fault == Fault::Stall { 504 } else { 502 };
                // The last event of a chat is behind its marker.
                let complete = path == CHAT && length > stream.len() / 2;
                match verdict {
                    Verdict::Promoted(promoted) => assert_eq!(promoted, status, "{}", shown()),
                    Verdict::Rescued => assert!(length > 0 && !complete, "{}", shown()),
                    Verdict::Whole => assert!(complete, "{}", shown()),
                    Verdict::Untold => panic!("{}", shown()),
                }
            }
        });
        all.buffer_unordered(AT_ONCE).collect::<()>().await;
    }
}

// H1 H12
#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_stream_in_single_bytes_is_the_same_unless_its_length_is_a_lie() {
    for version in VERSIONS {
        let gateway = Gateway::start(version, ErrorNormalizationLayer::new()).await;
        for (path, stream) in HEALTHY {
            for framing in [
                Framing::Chunked,
                Framing::Length(0),
                Framing::Length(5),
                Framing::Length(-20),
                Framing::UntilClose,
                Framing::Http2,
            ] {
                let answer = Answer::new(framing, media_type(path), stream.as_bytes(), 1).step(1);
                let (status, text, failed) = gateway.ask(path, framing, answer).await;
                let shown = || format!("{path} {framing:?}: {}", String::from_utf8_lossy(&text));
                let verdict = judge(path, stream.as_bytes(), status, &text, failed, shown);
                if matches!(framing, Framing::Length(lie) if lie < 0) {
                    assert_eq!(verdict, Verdict::Rescued, "{}", shown());
                } else {
                    assert!(verdict == Verdict::Whole && text == stream.as_bytes(), "{}", shown());
                }
            }
        }
    }
}

// H1
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_that_breaks_is_an_error_or_no_json() {
    let small = r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
    let large = small.replace("Hi", &"é".repeat(50_000));
    let layer = ErrorNormalizationLayer::new().promote_within(Duration::from_millis(300));
    for version in VERSIONS {
        let gateway = Gateway::start(version, layer.clone()).await;
        let mut cases = Vec::new();
        for body in [small, &large] {
            for (framing, fault) in [
                (Framing::Chunked, Fault::BadChunk),
                (Framing::Chunked, Fault::Close),
                (Framing::Chunked, Fault::Reset),
                (Framing::Length(0), Fault::Close),
                (Framing::Length(0), Fault::Reset),
                (Framing::Length(7), Fault::Close),
                (Framing::Length(-7), Fault::Close),
                (Framing::UntilClose, Fault::Close),
                (Framing::UntilClose, Fault::Reset),
                (Framing::Http2, Fault::Close),
                (Framing::Http2, Fault::GoAway),
                (Framing::Http2, Fault::Reset),
                (Framing::Http2, Fault::RstStream),
            ] {
                let answer = Answer::new(framing, "application/json", body.as_bytes(), 500);
                if matches!(fault, Fault::BadChunk | Fault::GoAway | Fault::RstStream) {
                    cases.push((body, framing, fault, answer.endless(fault)));
                    continue;
                }
                let length = answer.len();
                for at in [0, 17, 70, length / 2, length - 30, length - 3, length] {
                    cases.push((body, framing, fault, answer.clone().cut(at, fault)));
                }
            }
        }
        let all = futures::stream::iter(cases).map(|(body, framing, fault, answer)| {
            let gateway = gateway.clone();
            async move {
                let length = answer.len();
                let (status, text, failed) = gateway.ask(CHAT, framing, answer).await;
                let start = String::from_utf8_lossy(&text[..text.len().min(300)]);
                let shown = format!("{version:?} {framing:?} {fault:?} {length}: {status} {start}");
                let json = serde_json::from_slice::<serde_json::Value>(&text);
                match status {
                    0 | 200 => {
                        assert!(failed || json.is_err() || text == body.as_bytes(), "{shown}");
                    }
                    502 => assert!(json.unwrap()["error"]["category"].is_string(), "{shown}"),
                    _ => panic!("{shown}"),
                }
                // Small, and of a known length: read before it is released.
                if matches!(framing, Framing::Length(_)) && body.len() < 1000 {
                    assert!(status == 502 || text == body.as_bytes(), "{shown}");
                }
            }
        });
        all.buffer_unordered(AT_ONCE).collect::<()>().await;
    }
}
