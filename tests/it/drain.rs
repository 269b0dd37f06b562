//! Requests under way, counted to the end of their bodies, and the end of a gate.

use crate::{
    script::{Script, Step, data},
    support::{post, send},
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use std::{
    future::{poll_fn, ready},
    pin::pin,
    time::Duration,
};
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task::spawn};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_inference::{
    ModelRegistry, Readiness, ReadinessLayer, ReadinessProbe, ReadyFlag, RequestedModel,
    readiness::State,
};

const SECOND: Duration = Duration::from_secs(1);

/// A gate around a service that answers with this body.
fn gate<P: ReadinessProbe + Clone>(
    probe: P,
    body: fn() -> Script,
) -> Readiness<
    impl Service<Request<Full<Bytes>>, Response = Response<Script>, Error = BoxError, Future: Send>
    + Clone,
    P,
> {
    ReadinessLayer::new(probe)
        .layer(service_fn(move |_| ready(Ok::<_, BoxError>(Response::new(body())))))
}

fn chat() -> Request<Full<Bytes>> {
    post("/v1/chat/completions", "{}")
}

// T8
#[tokio::test]
async fn a_request_counts_until_its_body_has_ended_or_failed_or_is_dropped() {
    let frames: fn() -> Script = || Script::frames(["a", "b"]);
    let trailers: fn() -> Script = || Script::new([Step::Trailers(HeaderMap::new())]);
    let fails: fn() -> Script = || Script::new([data("a"), Step::Error("gone")]);
    let sized: fn() -> Script = || Script::sized("whole");
    // How many frames are read, and whether the request still counts then.
    let table = [
        ("never read", frames, 0, true),
        ("half read", frames, 1, true),
        ("not yet ended", frames, 2, true),
        ("ended", frames, 3, false),
        ("before its trailers", trailers, 0, true),
        ("after its trailers", trailers, 2, false),
        ("before it fails", fails, 1, true),
        ("failed", fails, 2, false),
        ("of known length", sized, 1, true),
    ];
    for (what, body, read, counts) in table {
        let flag = ReadyFlag::ready();
        let counter = flag.in_flight().unwrap();
        let service = gate(flag.clone(), body);
        let mut answer = pin!(service.oneshot(chat()));
        assert_eq!(counter.count(), 0, "{what}: before it passes");
        let mut answer = poll_fn(|cx| answer.as_mut().poll(cx)).await.unwrap();
        assert_eq!(counter.count(), 1, "{what}: at its head");
        for _ in 0..read {
            let _ = answer.body_mut().frame().await;
        }
        assert_eq!(counter.count(), usize::from(counts), "{what}");
        drop(answer);
        assert_eq!(counter.count(), 0, "{what}: dropped");
    }
}

#[tokio::test]
async fn a_request_without_an_answer_counts_until_then() {
    let flag = ReadyFlag::ready();
    let counter = flag.in_flight().unwrap();
    let failing = service_fn(async |_: Request<Full<Bytes>>| {
        tokio::task::yield_now().await;
        Err::<Response<Script>, _>(BoxError::from("broken"))
    });
    let mut service = ReadinessLayer::new(flag.clone()).layer(failing);
    let mut call = Box::pin(service.ready().await.unwrap().call(chat()));
    assert_eq!(counter.count(), 1);
    assert!((&mut call).await.is_err());
    assert_eq!(counter.count(), 0, "its future is kept, and counts no more");
    drop(service.ready().await.unwrap().call(chat()));
    assert_eq!(counter.count(), 0);
    flag.set(State::Failed);
    let refused = service.ready().await.unwrap().call(chat());
    assert_eq!(counter.count(), 0, "a refused request never counts");
    drop(refused);
}

// R15
#[tokio::test(start_paused = true)]
async fn a_drain_refuses_what_is_new_and_lets_what_is_under_way_finish() {
    let models = ModelRegistry::new();
    models.set("m", State::Ready);
    let service =
        gate(models.clone(), || Script::new([data("a"), Step::Wait(5 * SECOND), data("b")]));
    let before = service.clone().oneshot(chat()).await.unwrap();
    let counter = models.in_flight().unwrap();
    let mut idle = spawn(counter.idle());
    assert_pending!(idle.poll());

    let begin = Instant::now();
    for _ in 0..10 {
        models.begin_drain();
    }
    let refused = send(&service, chat()).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.header("connection"), "close");
    assert_eq!(refused.error().label(), Some("draining"));
    assert_eq!(counter.count(), 1);
    assert!(!models.drained(SECOND).await, "the deadline comes first");
    assert_eq!(begin.elapsed(), SECOND);

    let reader = tokio::spawn(before.into_body().collect());
    assert!(models.drained(60 * SECOND).await);
    assert_eq!(begin.elapsed(), 6 * SECOND);
    assert_eq!(reader.await.unwrap().unwrap().to_bytes(), "ab");
    assert!(idle.is_woken());
    assert_ready!(idle.poll());
    assert!(models.drained(Duration::ZERO).await, "it stays so");
}

// R15
#[tokio::test]
async fn only_a_drain_over_http_1_closes_the_connection() {
    let flag = ReadyFlag::new();
    let service = gate(flag.clone(), Script::default);
    let versions = [
        (Version::HTTP_10, true),
        (Version::HTTP_11, true),
        (Version::HTTP_2, false),
        (Version::HTTP_3, false),
    ];
    for state in [State::Draining, State::starting(), State::Failed, State::Incomplete] {
        flag.set(state);
        for (version, is_1) in versions {
            let mut request = chat();
            *request.version_mut() = version;
            let answer = send(&service, request).await;
            let closes = answer.headers().contains_key("connection");
            assert_eq!(closes, is_1 && state == State::Draining, "{state:?} {version:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_answers_those_who_wait_and_waits_for_none_of_them() {
    let flag = ReadyFlag::new();
    let layer = ReadinessLayer::new(flag.clone()).hold(60 * SECOND, 9);
    let service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, BoxError>(Response::new(Script::default()))
    }));
    let waiting = tokio::spawn(async move { send(&service, chat()).await });
    tokio::task::yield_now().await;
    assert_eq!((layer.waiting(), flag.in_flight().unwrap().count()), (1, 0));
    flag.set(State::Draining);
    assert!(flag.drained(Duration::ZERO).await);
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.header("connection")), (503, "close"));
}

#[tokio::test(start_paused = true)]
async fn a_released_request_counts_like_any_other() {
    let flag = ReadyFlag::new();
    let layer = ReadinessLayer::new(flag.clone()).hold(60 * SECOND, 9);
    let service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, BoxError>(Response::new(Script::frames(["a"])))
    }));
    let waiting = tokio::spawn(service.oneshot(chat()));
    tokio::task::yield_now().await;
    flag.set(State::Ready);
    let answer = waiting.await.unwrap().unwrap();
    let counter = flag.in_flight().unwrap();
    assert_eq!(counter.count(), 1);
    answer.into_body().collect().await.unwrap();
    assert_eq!(counter.count(), 0);
}

#[tokio::test]
async fn whoever_drains_one_of_two_probes_waits_for_the_requests_of_both() {
    let (flag, models) = (ReadyFlag::ready(), ModelRegistry::new());
    let service = gate((flag.clone(), models.clone()), || Script::frames(["a"]));
    let mut request = chat();
    request.extensions_mut().insert(RequestedModel::new("m"));
    let answer = service.oneshot(request).await.unwrap();
    flag.set(State::Draining);
    assert!(!flag.drained(Duration::ZERO).await);
    assert!(!models.drained(Duration::ZERO).await);
    drop(answer);
    assert!(flag.drained(Duration::ZERO).await);
    assert!(models.drained(Duration::ZERO).await);
}
