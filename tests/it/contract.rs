//! What the services promise as `tower::Service`s.

use crate::script::Script;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio_test::{assert_pending, assert_ready};
use tower::{BoxError, Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_inference::{
    Category, ErrorNormalizationLayer, InferenceError, ModelNameLayer, ReadinessLayer, ReadyFlag,
    RequestBody, RequestedModel, observe::Observe, readiness::State,
};

/// Waits until `service` is ready for a request with a body like `Body`.
async fn ready_for<Body, S: Service<Request<Body>, Error: std::fmt::Debug>>(
    service: &mut S,
) -> &mut S {
    service.ready().await.unwrap()
}

/// Panics if it is called without having said that it is ready.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<B> Service<Request<B>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Full<Bytes>>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        ready(Ok(Response::new(Full::from("{}"))))
    }
}

fn chat() -> Request<Full<Bytes>> {
    let body = Full::from("{\"model\":\"m\"}");
    Request::post("/v1/chat/completions").body(body).unwrap()
}

#[tokio::test]
async fn the_inner_service_is_only_called_when_ready_whatever_the_gate_does() {
    let flag = ReadyFlag::ready();
    let stack = || {
        let gate = ReadinessLayer::new(flag.clone()).layer(Strict::default());
        ModelNameLayer::new().layer(ErrorNormalizationLayer::new().layer(gate))
    };
    let exempt = || Request::get("/health").body(Full::default()).unwrap();
    for before in [State::Ready, State::starting()] {
        for after in [State::Ready, State::starting()] {
            for request in [chat(), exempt()] {
                let is_exempt = request.uri().path() == "/health";
                flag.set(before);
                let mut service = stack();
                ready_for::<Full<Bytes>, _>(&mut service).await;
                let mut clone = service.clone();
                flag.set(after);
                let answer = service.call(request.clone()).await.unwrap();
                let expected = if is_exempt || after.is_ready() { 200 } else { 503 };
                assert_eq!(answer.status(), expected, "{before:?} then {after:?}");
                let clone = ready_for::<Full<Bytes>, _>(&mut clone).await;
                let answer = clone.call(request).await.unwrap();
                assert_eq!(answer.status(), expected, "a clone, {before:?} then {after:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_gives_back_what_the_inner_service_reserved() {
    let limited = ConcurrencyLimit::new(Strict::default(), 1);
    let flag = ReadyFlag::ready();
    let mut service = ReadinessLayer::new(flag.clone()).layer(limited.clone());
    for _ in 0..1000 {
        flag.set(State::Ready);
        ready_for::<Full<Bytes>, _>(&mut service).await;
        flag.set(State::starting());
        assert_eq!(service.call(chat()).await.unwrap().status(), 503);
        let mut other = limited.clone();
        let mut poll = tokio_test::task::spawn(ServiceExt::<Request<()>>::ready(&mut other));
        assert_ready!(poll.poll()).unwrap();
    }
}

#[tokio::test]
async fn a_closed_gate_does_not_wait_for_the_inner_service() {
    let limited = ConcurrencyLimit::new(Strict::default(), 1);
    let mut busy = limited.clone();
    ready_for::<(), _>(&mut busy).await;
    let flag = ReadyFlag::new();
    let mut service = ReadinessLayer::new(flag.clone()).layer(limited);
    let poll = |service: &mut tower_inference::Readiness<_, _>| {
        tokio_test::task::spawn(ServiceExt::<Request<Full<Bytes>>>::ready(service))
            .poll()
            .is_ready()
    };
    assert!(poll(&mut service));
    assert_eq!(service.call(chat()).await.unwrap().status(), 503);
    flag.set(State::Ready);
    assert!(!poll(&mut service), "now the inner service is waited for");
    drop(busy);
    assert!(poll(&mut service));
}

#[tokio::test]
async fn a_request_that_passes_a_closed_gate_waits_in_its_own_future() {
    let limited = ConcurrencyLimit::new(Strict::default(), 1);
    let mut busy = limited.clone();
    ready_for::<(), _>(&mut busy).await;
    let mut service = ReadinessLayer::new(ReadyFlag::new()).layer(limited);
    let request = Request::get("/health").body(()).unwrap();
    let mut answer = tokio_test::task::spawn(ready_for::<(), _>(&mut service).await.call(request));
    assert_pending!(answer.poll());
    drop(busy);
    assert!(answer.is_woken());
    assert_eq!(assert_ready!(answer.poll()).unwrap().status(), 200);
}

#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Observe for Count {
    fn failed(&self, _: &InferenceError) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Fails to become ready, and panics if it is touched again.
#[derive(Clone, Default)]
struct Broken(usize);

impl Service<Request<()>> for Broken {
    type Response = Response<Empty<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Empty<Bytes>>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0 += 1;
        assert_eq!(self.0, 1, "touched after it failed");
        let error = InferenceError::new(Category::Overloaded, "no connection is left");
        Poll::Ready(Err(std::io::Error::other(error).into()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        panic!("called after it failed");
    }
}

#[tokio::test]
async fn an_error_of_poll_ready_is_latched_and_answered() {
    let heard = Count::default();
    let layer = ErrorNormalizationLayer::new().observe(heard.clone());
    let mut service = layer.layer(Broken::default());
    for _ in 0..3 {
        let request = Request::post("/v1/messages").body(()).unwrap();
        let answer = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(answer.status(), 503);
        let error = answer.extensions().get::<InferenceError>().unwrap();
        assert_eq!(error.message(), "no connection is left");
    }
    assert_eq!(heard.0.load(Ordering::Relaxed), 1, "the observer hears it once");
    let clone = service.clone();
    assert_eq!(clone.get_ref().0, 1, "the clone's inner service is its own");
}

#[tokio::test]
async fn an_inner_service_that_is_not_ready_is_waited_for() {
    let (mock, mut handle) = tower_test::mock::pair::<Request<()>, Response<Empty<Bytes>>>();
    handle.allow(0);
    let mut service = ErrorNormalizationLayer::new().layer(mock);
    let mut poll = tokio_test::task::spawn(service.ready());
    assert_pending!(poll.poll());
    handle.allow(1);
    assert!(poll.is_woken());
    assert_ready!(poll.poll()).unwrap();
}

fn named() -> impl Service<
    Request<RequestBody<Script>>,
    Response = Response<(Option<String>, Bytes)>,
    Error = BoxError,
    Future: Send,
> + Clone {
    service_fn(async |request: Request<RequestBody<Script>>| {
        let name = request.extensions().get::<RequestedModel>().map(|m| m.as_str().to_owned());
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, BoxError>(Response::new((name, body)))
    })
}

async fn name_of(request: http::request::Builder, body: Script) -> (Option<String>, Bytes) {
    let service = ModelNameLayer::new().max_look_ahead(64).layer(named());
    service.oneshot(request.body(body).unwrap()).await.unwrap().into_body()
}

#[tokio::test]
async fn the_model_is_found_and_the_body_is_whole() {
    const CHAT: &str = "/v1/chat/completions";
    let json = "{\"stream\":true,\"model\":\"m\"}";
    let post = || Request::post(CHAT);
    let table = [
        (post(), json, Some("m")),
        (post().header("content-type", "application/json; charset=utf-8"), json, Some("m")),
        (post().header("content-type", "application/vnd.x+json"), json, Some("m")),
        (post().header("content-type", "application/x-www-form-urlencoded"), json, Some("m")),
        (post().header("content-type", "application/grpc"), json, None),
        (post().header("content-type", "multipart/form-data; boundary=x"), json, None),
        (post().header("content-encoding", "gzip"), json, None),
        (post(), "{\"stream\":true}", None),
        (post(), "not json", None),
        (post(), "", None),
        (post(), "{\"model\":\"\"}", None),
        (Request::post("/openai/deployments/d/chat/completions"), json, Some("d")),
        (post().extension(RequestedModel::new("known")), json, Some("known")),
        (
            post(),
            "{\"a\":\"0123456789012345678901234567890123456789012345678901234567890\",\"model\":\"m\"}",
            None,
        ),
    ];
    for (request, body, expected) in table {
        let shown = format!("{request:?} {body}");
        let frames = Script::frames(body.as_bytes().chunks(5));
        let (name, out) = name_of(request, frames).await;
        assert_eq!((name.as_deref(), &out[..]), (expected, body.as_bytes()), "{shown}");
    }
}

#[tokio::test]
async fn a_body_of_countless_small_frames_is_read_ahead_only_so_far() {
    let (blanks, json) = (vec![" "; 20_000], "{\"model\":\"m\"}");
    let service = ModelNameLayer::new().layer(named());
    let body = Script::frames(blanks.iter().copied().chain([json]));
    let request = Request::post("/v1/chat/completions").body(body).unwrap();
    let (name, out) = service.oneshot(request).await.unwrap().into_body();
    assert_eq!(name, None);
    assert_eq!(out, [&blanks.concat(), json].concat());
}

#[tokio::test]
async fn a_failing_body_fails_where_it_is_read() {
    let body = Script::frames(["{\"a\":1,"]).then(crate::script::Step::Error("gone"));
    let service = ModelNameLayer::new().layer(named());
    let request = Request::post("/v1/chat/completions").body(body).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap_err().to_string(), "gone");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_waited_for_only_so_long() {
    let body = Script::frames(["{\"a\":1,"])
        .then(crate::script::Step::Wait(Duration::from_secs(60)))
        .then(crate::script::data("\"model\":\"m\"}"));
    let service =
        ModelNameLayer::new().layer(service_fn(async |request: Request<RequestBody<Script>>| {
            Ok::<_, BoxError>(Response::new(request.extensions().get::<RequestedModel>().is_some()))
        }));
    let start = tokio::time::Instant::now();
    let request = Request::post("/v1/chat/completions").body(body).unwrap();
    assert!(!service.oneshot(request).await.unwrap().into_body());
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

// H15
#[tokio::test]
async fn no_byte_is_read_while_the_process_gate_is_closed() {
    let flag = ReadyFlag::new();
    let stack = ModelNameLayer::new()
        .unless_closed(flag.clone())
        .layer(ReadinessLayer::new(flag).layer(Strict::default()));
    let request = Request::post("/v1/chat/completions")
        .body(Script::new([crate::script::Step::Silence]))
        .unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(5), stack.oneshot(request)).await;
    assert_eq!(answer.unwrap().unwrap().status(), 503);
}

#[tokio::test]
async fn a_slow_upload_holds_no_reservation() {
    let limited = ConcurrencyLimit::new(Strict::default(), 1);
    let mut service = ModelNameLayer::new().layer(limited.clone());
    let request = Request::post("/v1/chat/completions")
        .body(Script::new([crate::script::Step::Silence]))
        .unwrap();
    let service = ready_for::<Script, _>(&mut service).await;
    let mut waiting = tokio_test::task::spawn(service.call(request));
    assert_pending!(waiting.poll());
    let other = Request::get("/").body(()).unwrap();
    assert_eq!(limited.oneshot(other).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_read_whole_can_be_sent_again() {
    let whole = "{\"model\":\"m\"}";
    let clones = service_fn(async |request: Request<RequestBody<Script>>| {
        let body = request.into_body();
        let again = body.try_clone();
        let first = body.collect().await?.to_bytes();
        let second = match again {
            Some(body) => Some(body.collect().await?.to_bytes()),
            None => None,
        };
        Ok::<_, BoxError>(Response::new((first, second)))
    });
    let send = |body: Script| {
        let request = Request::post("/v1/chat/completions").body(body).unwrap();
        ModelNameLayer::new().layer(clones).oneshot(request)
    };
    // This one does not say that it has ended, and the name is found before the end is seen.
    let (first, second) = send(Script::frames([whole])).await.unwrap().into_body();
    assert_eq!((&first[..], second), (whole.as_bytes(), None));
    let (first, second) = send(Script::frames(["{\"a\":", "1"])).await.unwrap().into_body();
    assert_eq!(Some(first), second);

    let same = service_fn(async |request: Request<RequestBody<Full<Bytes>>>| {
        Ok::<_, BoxError>(Response::new(request.into_body().try_clone().is_some()))
    });
    assert!(ModelNameLayer::new().layer(same).oneshot(chat()).await.unwrap().into_body());
}
