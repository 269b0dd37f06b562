//! What the types of the crate promise to those who put them together: auto-traits, sizes, and the
//! stacks they fit into, each compiled unannotated and asked once.

use axum::{Router, body::Body as AxumBody, routing::post};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::Value;
use std::{
    convert::Infallible,
    future::Ready,
    marker::PhantomPinned,
    mem::size_of,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
    time::Duration,
};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::trace::TraceLayer;
use tower_inference::{
    Category, ErrorNormalization, ErrorNormalizationLayer, InferenceError, ModelName,
    ModelNameLayer, ModelRegistry, Origin, ProbeDriver, Readiness, ReadinessLayer, ReadyFlag,
    RequestBody, RequestHead, RequestedModel, body, dialect, endpoints, error_normalization,
    framing, model_name, observe, provider, readiness,
};

fn is_plain<T: Send + Sync + Unpin>() {}
fn is_shared<T: Send + Sync + Unpin + Clone>() {}
fn is_default<T: Default>() {}
fn is_body<T: Body<Data = Bytes, Error = BoxError>>() {}

#[test]
fn values_go_anywhere() {
    is_shared::<dialect::Client>();
    is_shared::<dialect::Disclosure>();
    is_shared::<dialect::Operation>();
    is_shared::<dialect::ProviderContext>();
    is_shared::<dialect::Seen<'_>>();
    is_shared::<dialect::StatusPolicy>();
    is_shared::<dialect::View<'_>>();
    is_plain::<Box<dyn dialect::Dialect>>();
    is_shared::<endpoints::Endpoint>();
    is_shared::<Category>();
    is_shared::<InferenceError>();
    is_shared::<Origin>();
    is_shared::<error_normalization::TerminalMarker>();
    is_shared::<error_normalization::Unrecognised>();
    is_shared::<framing::json::Json<'_>>();
    is_plain::<framing::json::Members<'_>>();
    is_plain::<framing::json::Items<'_>>();
    is_shared::<framing::json_keys::FindString>();
    is_shared::<framing::json_keys::Found<'_>>();
    is_plain::<framing::sse::Blocks>();
    is_shared::<framing::sse::Event<'_>>();
    is_shared::<RequestHead<'_>>();
    is_shared::<RequestedModel>();
    is_shared::<observe::Completion<'_>>();
    is_shared::<observe::Probed<'_>>();
    is_shared::<observe::StreamEnd<'_>>();
    is_shared::<observe::StreamOutcome>();
    is_plain::<Box<dyn observe::Observe>>();
    is_shared::<provider::Failure<'_>>();
    is_shared::<provider::Providers>();
    is_plain::<Box<dyn provider::Provider>>();
    is_shared::<ModelRegistry>();
    is_shared::<ReadyFlag>();
    is_shared::<readiness::Breakdown>();
    is_shared::<readiness::Diagnosis<'_>>();
    is_shared::<readiness::NotReady>();
    is_shared::<readiness::ProbeFn<fn(RequestHead<'_>) -> readiness::Verdict>>();
    is_shared::<readiness::Outcome>();
    is_shared::<readiness::Phase>();
    is_shared::<readiness::Preset>();
    is_shared::<readiness::ProbeHandle>();
    is_shared::<readiness::Reporter>();
    is_shared::<readiness::Snapshot>();
    is_shared::<readiness::preset::Answer<'_>>();
    is_shared::<readiness::State>();
    is_shared::<readiness::Unit>();
    is_shared::<readiness::UnknownModel>();
    is_shared::<readiness::Update>();
    is_shared::<readiness::Verdict>();
}

#[test]
fn adapters_are_what_their_parts_are() {
    type Inner = Ready<Result<Response<Full<Bytes>>, Infallible>>;
    type Leaf = tower::util::ServiceFn<fn(Request<RequestBody<Full<Bytes>>>) -> Inner>;

    is_shared::<ErrorNormalizationLayer>();
    is_shared::<ErrorNormalization<Leaf>>();
    is_plain::<error_normalization::ResponseBody<Full<Bytes>>>();
    is_plain::<error_normalization::ResponseFuture<Inner, Full<Bytes>>>();

    is_shared::<ReadinessLayer<ModelRegistry>>();
    is_shared::<Readiness<Leaf, ModelRegistry>>();
    is_plain::<body::ResponseBody<Full<Bytes>>>();
    is_plain::<readiness::ResponseFuture<Leaf, RequestBody<Full<Bytes>>>>();
    is_shared::<readiness::InFlight>();
    is_shared::<readiness::Wake>();

    is_plain::<ProbeDriver<Leaf>>();

    is_shared::<ModelNameLayer<ModelRegistry>>();
    is_shared::<ModelName<Leaf, ModelRegistry>>();
    is_plain::<RequestBody<Full<Bytes>>>();
    is_plain::<model_name::ResponseFuture<Leaf, Full<Bytes>>>();
}

#[test]
fn bodies_that_are_not_unpin_nor_sync_will_do() {
    fn is_send<T: Send>() {}
    // A body of axum is `Send` only; one that holds an async block is not even `Unpin`.
    struct Pinned {
        _pinned: PhantomPinned,
    }
    impl Body for Pinned {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(None)
        }
    }
    is_send::<error_normalization::ResponseBody<AxumBody>>();
    is_send::<body::ResponseBody<AxumBody>>();
    is_send::<RequestBody<AxumBody>>();
    is_body::<error_normalization::ResponseBody<Pinned>>();
    is_body::<body::ResponseBody<Pinned>>();
    is_body::<RequestBody<Pinned>>();
}

#[test]
fn bodies_have_a_default_where_the_inner_one_has() {
    is_default::<error_normalization::ResponseBody<Empty<Bytes>>>();
    is_default::<body::ResponseBody<Empty<Bytes>>>();
    is_default::<RequestBody<Empty<Bytes>>>();
    assert!(error_normalization::ResponseBody::<Empty<Bytes>>::default().is_end_stream());
    assert!(body::ResponseBody::<Empty<Bytes>>::default().is_end_stream());
    assert!(RequestBody::<Empty<Bytes>>::default().is_end_stream());
}

#[test]
fn the_error_is_one_word_wide() {
    assert_eq!(size_of::<InferenceError>(), size_of::<usize>());
    assert_eq!(size_of::<Option<InferenceError>>(), size_of::<usize>());
    assert_eq!(size_of::<Result<(), InferenceError>>(), size_of::<usize>());
}

const CHAT: &str = "/v1/chat/completions";

fn chat(body: &'static str) -> Request<Full<Bytes>> {
    Request::post(CHAT).body(Full::from(body)).expect("valid")
}

/// A request for a model that is loading, in the place that needs the body to be read.
const FOR_A_COLD_MODEL: &str = r#"{"messages":[],"model":"cold"}"#;

fn registry() -> ModelRegistry {
    let models = ModelRegistry::new();
    models.set("cold", readiness::State::starting());
    models
}

/// Asserts that the gate answered, for this model.
async fn assert_refused<B>(response: Response<B>)
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    let body = response.into_body().collect().await.expect("whole").to_bytes();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["error"]["code"], "model_not_ready");
    assert_eq!(body["error"]["model"], "cold");
}

#[tokio::test]
async fn axum_takes_the_six_lines() {
    let proxy = service_fn(async |_: axum::extract::Request| {
        Ok::<_, Infallible>(Response::new(AxumBody::from("{}")))
    });

    let models = registry();
    let app = Router::new().fallback_service(proxy).layer(
        ServiceBuilder::new()
            .layer(ModelNameLayer::new().unless_closed(models.clone()))
            .layer(ErrorNormalizationLayer::new())
            .layer(ReadinessLayer::new(models.clone())),
    );
    let app: Router = app;

    assert_refused(app.clone().oneshot(chat(FOR_A_COLD_MODEL)).await.expect("infallible")).await;
    models.set("cold", readiness::State::Ready);
    let answer = app.oneshot(chat(FOR_A_COLD_MODEL)).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn axum_takes_each_layer_by_itself_also_behind_its_routes() {
    let app: Router = Router::new()
        .route(CHAT, post(async || "{}"))
        .route_layer(ReadinessLayer::new(Arc::new(AtomicBool::new(false))))
        .layer(ErrorNormalizationLayer::new())
        .layer(ModelNameLayer::new());

    let refused = app.clone().oneshot(chat("")).await.expect("infallible");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let unknown = Request::get("/nowhere").body(AxumBody::empty()).expect("valid");
    assert_eq!(app.oneshot(unknown).await.expect("infallible").status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn hyper_serves_the_stack() {
    let models = registry();
    let stack = ServiceBuilder::new()
        .layer(ModelNameLayer::new().unless_closed(models.clone()))
        .layer(ErrorNormalizationLayer::new())
        .layer(ReadinessLayer::new(models))
        .service_fn(async |request: Request<RequestBody<Incoming>>| {
            let body = request.into_body().collect().await?.to_bytes();
            Ok::<_, BoxError>(Response::new(Full::new(body)))
        });

    let (client, server) = tokio::io::duplex(1 << 16);
    let service = TowerToHyperService::new(stack);
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let serving = tokio::spawn(connection);
    let (mut send, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(client)).await.expect("in memory");
    let sending = tokio::spawn(connection);

    let answer = send.send_request(chat(FOR_A_COLD_MODEL)).await.expect("answered");
    assert_refused(answer).await;
    let answer = send.send_request(chat(r#"{"model":"warm"}"#)).await;
    let answer = answer.expect("answered").into_body().collect().await.expect("whole");
    assert_eq!(answer.to_bytes(), r#"{"model":"warm"}"#);

    drop(send);
    sending.await.expect("no panic").expect("closed");
    serving.await.expect("no panic").expect("closed");
}

#[tokio::test]
async fn a_function_with_a_full_body_is_enough() {
    let models = registry();
    let stack = ServiceBuilder::new()
        .layer(ModelNameLayer::new().unless_closed(models.clone()))
        .layer(ErrorNormalizationLayer::new())
        .layer(ReadinessLayer::new(models))
        .service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("{}")))
        });

    assert_refused(stack.clone().oneshot(chat(FOR_A_COLD_MODEL)).await.expect("infallible")).await;
    assert_eq!(stack.oneshot(chat("{}")).await.expect("infallible").status(), StatusCode::OK);
}

#[tokio::test]
async fn twice_stacked_the_outermost_dialect_wins() {
    let models = registry();
    let once = |models: &ModelRegistry| {
        ServiceBuilder::new()
            .layer(ModelNameLayer::new().unless_closed(models.clone()))
            .layer(ErrorNormalizationLayer::new())
            .layer(ReadinessLayer::new(models.clone()))
            .into_inner()
    };
    let leaf = service_fn(async |_: Request<RequestBody<RequestBody<Full<Bytes>>>>| {
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from("{}")))
    });
    let twice = once(&ModelRegistry::new()).layer(once(&models).layer(leaf));
    let again = ErrorNormalizationLayer::new().dialect(dialect::Anthropic).layer(twice.clone());

    assert_refused(twice.oneshot(chat(FOR_A_COLD_MODEL)).await.expect("infallible")).await;
    let answer = again.oneshot(chat(FOR_A_COLD_MODEL)).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = answer.into_body().collect().await.expect("whole").to_bytes();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(
        (&body["type"], &body["error"]["type"]),
        (&"error".into(), &"overloaded_error".into())
    );
}

#[tokio::test(start_paused = true)]
async fn the_layers_stand_among_those_of_tower_and_tower_http() {
    let models = registry();
    let stack = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(ModelNameLayer::new().unless_closed(models.clone()))
        .layer(ErrorNormalizationLayer::new())
        .load_shed()
        .buffer(8)
        .concurrency_limit(1)
        .rate_limit(100, Duration::from_secs(1))
        .timeout(Duration::from_millis(50))
        .layer(ReadinessLayer::new(models))
        .layer(TraceLayer::new_for_http())
        .service_fn(async |request: Request<RequestBody<Full<Bytes>>>| {
            if request.extensions().get::<RequestedModel>().is_some() {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("{}")))
        });

    assert_refused(stack.clone().oneshot(chat(FOR_A_COLD_MODEL)).await.expect("infallible")).await;
    let healthy = stack.clone().oneshot(chat("{}")).await.expect("infallible");
    assert_eq!(healthy.status(), StatusCode::OK);
    let late = stack.oneshot(chat(r#"{"model":"slow"}"#)).await.expect("infallible");
    assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
    let error = late.extensions().get::<InferenceError>().expect("we put it there");
    assert_eq!((error.category(), error.origin()), (Category::Timeout, Origin::Service));
}

#[tokio::test]
async fn the_readme_shows_what_the_layers_answer() {
    let readme = include_str!("../../README.md");
    let upstream = async |request: Request<Full<Bytes>>| {
        let asked = request.into_body().collect().await?.to_bytes();
        let stream =
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"The answer is\"}}]}\n\n";
        assert_eq!(asked, r#"{"stream":true}"#);
        Ok::<_, BoxError>(
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(Full::<Bytes>::from(stream))?,
        )
    };
    let flag = ReadyFlag::new();
    let stack = ServiceBuilder::new()
        .layer(ErrorNormalizationLayer::new())
        .layer(ReadinessLayer::new(flag.clone()))
        .service_fn(upstream);
    let ask = async || {
        let answer = stack.clone().oneshot(chat(r#"{"stream":true}"#)).await.expect("infallible");
        let body = answer.into_body().collect().await.expect("whole").to_bytes();
        String::from_utf8(body.to_vec()).expect("UTF-8")
    };

    flag.set(readiness::State::Starting { eta: Some(Duration::from_secs(30)) });
    for answer in [ask().await, {
        flag.set(readiness::State::Ready);
        ask().await
    }] {
        assert!(readme.contains(answer.trim_end()), "not in the README: {answer}");
    }
}
