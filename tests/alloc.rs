//! What the healthy path and the registry of models cost, counted by the allocator.

#![allow(clippy::unwrap_used, reason = "clippy allows it in test functions, not in their helpers")]

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response};
use http_body_util::Empty;
use std::{convert::Infallible, future::ready, hint::black_box};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_inference::{
    ErrorNormalizationLayer, ModelRegistry, ReadinessLayer, ReadinessProbe, RequestHead,
    readiness::{State, Unit, UnknownModel, Verdict},
};

const MANY: usize = 100_000;

/// Adds a model.
type Fill = fn(&ModelRegistry, &str);

/// What a name of a model looks like, at its longest.
fn name(n: usize) -> String {
    format!("meta-llama/Llama-3.1-8B-Instruct-{n:06}")
}

/// A request whose path names the model, so that naming it allocates nothing.
fn request(model: &str) -> Request<()> {
    Request::post(format!("/v1beta/models/{model}:generateContent")).body(()).unwrap()
}

/// Once before it counts, for what is made once a thread.
fn warm_then_count(mut work: impl FnMut()) -> AllocationInfo {
    work();
    measure(work)
}

#[test]
fn a_hundred_thousand_models_cost_at_most_512_bytes_each() {
    let fill: [(&str, Fill); 2] = [
        ("a state", |models, name| models.set(name, State::Ready)),
        ("a unit with a need", |models, name| {
            let unit = Unit::new("decode").with_role("decode").with_need(["prefill"]);
            models.set_unit(name, "default", unit);
        }),
    ];
    for (what, fill) in fill {
        let names: Vec<String> = (0..MANY).map(name).collect();
        let models = ModelRegistry::new();
        let cost = measure(|| names.iter().for_each(|name| fill(&models, name)));
        let each = cost.bytes_current / i64::try_from(MANY).unwrap();
        eprintln!("{what}: {each} bytes a model");
        assert!(each <= 512, "{what}: {each} bytes a model");
        assert_eq!(models.snapshot().models().count(), MANY);
    }
}

#[test]
fn asking_for_a_model_allocates_nothing() {
    for unknown in [UnknownModel::Pass, UnknownModel::NotFound] {
        let models = ModelRegistry::new().unknown_model(unknown);
        models.set("known", State::Ready);
        models.set_unit("known", "default", Unit::new("u"));
        models.alias("alias", "known");
        models.alias("dangling", "nobody");
        for model in ["known", "alias", "dangling", "unknown"] {
            let request = request(model);
            assert_eq!(RequestHead::of(&request).model(), Some(model));
            let cost = warm_then_count(|| {
                black_box(models.check(RequestHead::of(&request)));
                black_box(models.closed());
            });
            assert_eq!(cost.count_total, 0, "{model} {unknown:?}");
        }
    }
}

// R16
#[test]
fn a_million_names_that_clients_invent_are_not_kept() {
    let models = ModelRegistry::new().unknown_model(UnknownModel::NotFound);
    models.set("known", State::Ready);
    // The first look of a thread makes its place among the readers.
    assert_eq!(models.state("unknown"), None);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut names = 0;
    for _ in 0..1_000 {
        let requests: Vec<_> = (0..1_000)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                request(&format!("{seed:x}"))
            })
            .collect();
        let cost = measure(|| {
            for request in &requests {
                names += 1;
                assert_eq!(models.check(RequestHead::of(request)), Verdict::UnknownModel);
            }
        });
        assert_eq!(cost.count_total, 0, "{cost:?}");
    }
    assert_eq!(names, 1_000_000);
    assert_eq!(models.snapshot().models().count(), 1);
}

#[test]
fn a_request_that_is_no_operation_passes_both_layers_without_an_allocation() {
    let models = ModelRegistry::new();
    models.set("known", State::Ready);
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let mut service = ServiceBuilder::new()
        .layer(ErrorNormalizationLayer::new())
        .layer(ReadinessLayer::new(models))
        .service(inner);
    let mut requests: Vec<_> =
        (0..2).map(|_| Request::get("/v1/files").body(()).unwrap()).collect();
    let cost = warm_then_count(|| {
        let request = requests.pop().unwrap();
        let answer = async { service.ready().await.unwrap().call(request).await.unwrap() };
        assert_eq!(answer.now_or_never().unwrap().status(), 200);
    });
    assert_eq!(cost.count_total, 0, "{cost:?}");
}

/// Frames without an end.
struct Endless(&'static [u8]);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(self.0)))))
    }
}

#[test]
fn an_untouched_event_costs_no_allocation_and_is_the_same_frame() {
    let table: [(&str, &[u8]); 4] = [
        (
            "/v1/chat/completions",
            b"data: {\"error\":null,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"an \\\"error\\\"\"}}]}\n\n",
        ),
        (
            "/v1/responses",
            b"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"a\"}\n\n",
        ),
        (
            "/v1/messages",
            b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\n",
        ),
        ("/api/chat", b"{\"message\":{\"content\":\"a\"},\"done\":false}\n"),
    ];
    for (path, frame) in table {
        let media_type =
            if path == "/api/chat" { "application/x-ndjson" } else { "text/event-stream" };
        let inner = service_fn(move |_: Request<()>| {
            let answer = Response::builder().header("content-type", media_type);
            ready(Ok::<_, Infallible>(answer.body(Endless(frame)).unwrap()))
        });
        let service = ServiceBuilder::new().layer(ErrorNormalizationLayer::new()).service(inner);
        let request = Request::post(path).body(()).unwrap();
        let answer = service.oneshot(request).now_or_never().unwrap().unwrap();
        let mut body = Box::pin(answer.into_body());
        let cost = warm_then_count(|| {
            for _ in 0..100 {
                let next = http_body_util::BodyExt::frame(&mut body.as_mut()).now_or_never();
                let data = next.unwrap().unwrap().unwrap().into_data().unwrap();
                assert_eq!((data.as_ptr(), data.len()), (frame.as_ptr(), frame.len()));
            }
        });
        assert_eq!(cost.count_total, 0, "{path}: {cost:?}");
    }
}
