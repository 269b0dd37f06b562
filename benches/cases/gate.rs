//! A request that passes: `oneshot` clones the service for each request, as hyper and axum do, `kept`
//! polls and calls one service, `boxed` is the first over a service whose future is boxed.

use super::Work;
use axum::{
    body::Body as AxumBody,
    middleware::{Next, from_fn},
};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    marker::PhantomData,
    pin::pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll, Waker},
};
use tower::{
    Layer, Service, ServiceExt,
    filter::FilterLayer,
    layer::util::{Identity, Stack},
    limit::ConcurrencyLimitLayer,
    load_shed::LoadShedLayer,
    util::BoxCloneService,
};
use tower_http::{
    map_response_body::MapResponseBodyLayer, set_header::SetResponseHeaderLayer,
    validate_request::ValidateRequestHeaderLayer,
};
use tower_inference::{
    ErrorNormalizationLayer, ModelRegistry, ReadinessLayer, ReadyFlag, readiness::State,
};

type Body = Full<Bytes>;

/// No operation whose answers are read: it only passes.
const FILES: &str = "/v1/files";
const TOKENS: &str = "/v1beta/models/meta-llama-3.1-8b-instruct-050:countTokens";

/// Answers at once.
struct Bare<B>(PhantomData<fn() -> B>);

/// Answers at once, in a box.
struct Boxed<B>(PhantomData<fn() -> B>);

impl<B> Clone for Bare<B> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<B> Clone for Boxed<B> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<B: From<&'static str>> Service<Request<B>> for Bare<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(B::from("{}"))))
    }
}

impl<B: From<&'static str> + Send + 'static> Service<Request<B>> for Boxed<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(B::from("{}")))).boxed()
    }
}

fn request<B: From<&'static str>>(uri: &Uri) -> Request<B> {
    let mut request = Request::new(B::from("{}"));
    *request.uri_mut() = uri.clone();
    request
}

pub(super) fn oneshot<S, B, R>(path: &'static str, service: S) -> Work
where
    S: Service<Request<B>, Response = Response<R>> + Clone + 'static,
    B: From<&'static str>,
{
    let uri = Uri::from_static(path);
    Box::new(move |times| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..times {
            let answer = pin!(service.clone().oneshot(request(&uri))).poll(&mut cx);
            assert!(matches!(black_box(&answer), Poll::Ready(Ok(_))), "answers at once");
        }
    })
}

fn kept<S, B, R>(path: &'static str, mut service: S) -> Work
where
    S: Service<Request<B>, Response = Response<R>> + 'static,
    B: From<&'static str>,
{
    let uri = Uri::from_static(path);
    Box::new(move |times| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..times {
            assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))), "is ready");
            let answer = pin!(service.call(request(&uri))).poll(&mut cx);
            assert!(matches!(black_box(&answer), Poll::Ready(Ok(_))), "answers at once");
        }
    })
}

/// A registry of this many models, all ready.
fn registry(models: usize) -> ModelRegistry {
    let registry = ModelRegistry::new();
    for n in 0..models {
        registry.set(&format!("meta-llama-3.1-8b-instruct-{n:03}"), State::Ready);
    }
    registry
}

fn gate(models: usize) -> ReadinessLayer<ModelRegistry> {
    ReadinessLayer::new(registry(models))
}

fn stacked<P>(gate: ReadinessLayer<P>) -> Stack<ReadinessLayer<P>, ErrorNormalizationLayer> {
    Stack::new(gate, ErrorNormalizationLayer::new())
}

async fn run_next(request: Request<AxumBody>, next: Next) -> Response<AxumBody> {
    next.run(request).await
}

#[allow(clippy::result_large_err, reason = "tower-http's signature")]
fn accept(_: &mut Request<Body>) -> Result<(), Response<Body>> {
    Ok(())
}

macro_rules! cases {
    ($($name:ident: $body:ty, $path:expr, $layer:expr;)*) => {
        pub(crate) mod oneshot {
            use super::*;
            $(pub(crate) fn $name() -> Work {
                super::oneshot::<_, $body, _>($path, $layer.layer(Bare(PhantomData)))
            })*
        }

        pub(crate) mod kept {
            use super::*;
            $(pub(crate) fn $name() -> Work {
                super::kept::<_, $body, _>($path, $layer.layer(Bare(PhantomData)))
            })*
        }

        pub(crate) mod boxed {
            use super::*;
            $(pub(crate) fn $name() -> Work {
                super::oneshot::<_, $body, _>($path, $layer.layer(Boxed(PhantomData)))
            })*
        }
    };
}

cases! {
    bare: Body, FILES, Identity::new();
    boolean: Body, FILES, ReadinessLayer::new(Arc::new(AtomicBool::new(true)));
    flag: Body, FILES, ReadinessLayer::new(ReadyFlag::ready());
    registry: Body, FILES, gate(0);
    registry_of_100: Body, TOKENS, gate(100);
    normalization: Body, FILES, ErrorNormalizationLayer::new();
    both: Body, FILES, stacked(ReadinessLayer::new(ReadyFlag::ready()));
    both_of_100: Body, TOKENS, stacked(gate(100));
    load_shed: Body, FILES, LoadShedLayer::new();
    filter: Body, FILES, FilterLayer::new(|it: Request<Body>| Ok::<_, Infallible>(it));
    validate_request: Body, FILES, ValidateRequestHeaderLayer::custom(accept);
    set_header: Body, FILES, SetResponseHeaderLayer::overriding(
        header::SERVER, HeaderValue::from_static("bench")
    );
    map_body: Body, FILES, MapResponseBodyLayer::new(|body: Body| body);
    concurrency_limit: Body, FILES, ConcurrencyLimitLayer::new(8);
    box_clone: Body, FILES, BoxCloneService::layer();
    axum_bare: AxumBody, FILES, Identity::new();
    axum_from_fn: AxumBody, FILES, from_fn(run_next);
}
