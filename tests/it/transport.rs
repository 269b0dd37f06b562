//! Healthy answers over real connections, HTTP/1.1 and HTTP/2, with and without the layers.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version, response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use std::{convert::Infallible, net::SocketAddr};
use tower::{BoxError, Service, ServiceBuilder, service_fn};
use tower_inference::{
    ErrorNormalizationLayer, ModelNameLayer, ModelRegistry, ReadinessLayer, readiness::State,
};

type Body = BoxBody<Bytes, Infallible>;

const CHAT: &str = "/v1/chat/completions";

const EVENTS: [&str; 4] = [
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi \\\"error\\\":1\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
];

/// What the upstream answers, by the `x-case` of the request; it reads the request's body first.
fn healthy(case: &str, sent: &Bytes) -> Response<Body> {
    let answer = Response::builder().header("x-sent", sent.len());
    let whole = |text: Bytes| Full::from(text).boxed();
    match case {
        "json" => answer
            .header("content-type", "application/json")
            .header("etag", "\"1\"")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body(whole("{\"id\":\"chatcmpl-1\",\"choices\":[]}".into())),
        "audio" => {
            answer.header("content-type", "audio/mpeg").body(whole(Bytes::from(vec![7; 100_000])))
        }
        "none" => answer.status(204).body(whole(Bytes::new())),
        "trailers" => {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-checksum", "1".parse().unwrap());
            let frames = [Frame::data(Bytes::from_static(b"abc")), Frame::trailers(trailers)];
            let body = StreamBody::new(futures::stream::iter(frames.map(Ok))).boxed();
            answer.header("trailer", "x-checksum").body(body)
        }
        "stream" => {
            let frames = EVENTS.map(|event| Ok(Frame::data(Bytes::from(event))));
            let body = StreamBody::new(futures::stream::iter(frames)).boxed();
            answer.header("content-type", "text/event-stream").body(body)
        }
        other => panic!("no case {other}"),
    }
    .unwrap()
}

async fn upstream<B>(request: Request<B>) -> Result<Response<Body>, BoxError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    let sent = body.collect().await.map_err(Into::into)?.to_bytes();
    Ok(healthy(head.headers["x-case"].to_str().unwrap(), &sent))
}

/// Serves `service` on a port of its own.
pub(crate) async fn serve<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>, Future: Send, Error: Into<BoxError>>
        + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(connection), service).await;
            });
        }
    });
    address
}

async fn ask(
    address: SocketAddr,
    version: Version,
    path: &str,
    case: &str,
) -> (response::Parts, Bytes, Option<HeaderMap>) {
    let client = Client::builder(TokioExecutor::new())
        .http2_only(version == Version::HTTP_2)
        .build_http::<Full<Bytes>>();
    let request = Request::post(format!("http://{address}{path}"))
        .header("x-case", case)
        .header("te", "trailers")
        .header("content-type", "application/json")
        .body(Full::from("{\"model\":\"m\",\"messages\":[]}"))
        .unwrap();
    let (mut head, body) = client.request(request).await.unwrap().into_parts();
    head.headers.remove("date");
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    (head, body.to_bytes(), trailers)
}

// H8 H18
#[tokio::test]
async fn healthy_answers_are_the_same_with_and_without_the_layers() {
    let models = ModelRegistry::new();
    models.set("m", State::Ready);
    let layered = ServiceBuilder::new()
        .layer(ModelNameLayer::new().unless_closed(models.clone()))
        .layer(ErrorNormalizationLayer::new())
        .layer(ReadinessLayer::new(models))
        .service_fn(upstream);
    let bare = serve(service_fn(upstream)).await;
    let layered = serve(layered).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (path, case) in [
            (CHAT, "json"),
            (CHAT, "stream"),
            ("/v1/messages", "json"),
            ("/v1/audio/speech", "audio"),
            ("/v1/files", "audio"),
            ("/other", "trailers"),
            ("/other", "stream"),
            (CHAT, "none"),
        ] {
            let (head, body, trailers) = ask(bare, version, path, case).await;
            let (head2, body2, trailers2) = ask(layered, version, path, case).await;
            let shown = format!("{version:?} {path} {case}");
            assert_eq!(head2.version, version);
            assert_eq!((head2.status, head2.headers), (head.status, head.headers), "{shown}");
            assert_eq!(body2, body, "{shown}");
            assert_eq!(trailers2, trailers, "{shown}");
            assert_eq!(trailers.is_some(), case == "trailers", "{shown}");
        }
    }
}

// H1
#[tokio::test]
async fn a_replaced_answer_has_the_length_it_declares() {
    let failing = ErrorNormalizationLayer::new();
    let failing = ServiceBuilder::new().layer(failing).service_fn(async |_: Request<Incoming>| {
        let body = Full::<Bytes>::from("an error of another length");
        Ok::<_, BoxError>(
            Response::builder().status(500).header("content-length", 26).body(body).unwrap(),
        )
    });
    let address = serve(failing).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (head, body, _) = ask(address, version, "/v1/chat/completions", "").await;
        assert_eq!(head.headers["content-length"], body.len().to_string());
        assert_eq!(head.headers.get_all("content-length").iter().count(), 1);
        assert!(!head.headers.contains_key("transfer-encoding"));
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
    }
}

#[tokio::test]
async fn what_came_before_a_failing_body_is_written() {
    let failing = ErrorNormalizationLayer::new();
    let failing = ServiceBuilder::new().layer(failing).service_fn(async |_: Request<Incoming>| {
        let event = "event: content-delta\ndata: {\"type\":\"content-delta\"}\n\n";
        let body = Full::<Bytes>::from(event);
        let answer = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, BoxError>(answer.body(body).unwrap())
    });
    let address = serve(failing).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::post(format!("http://{address}/v2/chat")).body(Full::default()).unwrap();
    let mut body = client.request(request).await.unwrap().into_body();
    let mut text = Vec::new();
    let failed = loop {
        match body.frame().await {
            Some(Ok(frame)) => text.extend_from_slice(frame.data_ref().unwrap()),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    let text = String::from_utf8(text).unwrap();
    assert!(failed && text.contains("message-end") && text.contains("upstream_error"), "{text}");
}
