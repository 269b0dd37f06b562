//! What tests of whole stacks share: the stack of the crate's documentation, a request, an answer.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::{convert::Infallible, fmt::Debug};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_inference::{
    ErrorNormalizationLayer, InferenceError, ModelNameLayer, ReadinessLayer, ReadinessProbe,
    RequestBody, dialect::Dialect,
};

/// The three layers around `inner`, every option at its default.
pub(crate) fn stack<P, S, B, ResB>(
    probe: P,
    inner: S,
) -> impl Service<
    Request<B>,
    Response = Response<impl Body<Data = Bytes, Error = BoxError>>,
    Error = Infallible,
> + Clone
where
    P: ReadinessProbe + Clone,
    S: Service<Request<RequestBody<B>>, Response = Response<ResB>, Error: Into<BoxError>> + Clone,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
    ResB: Body<Data = Bytes, Error: Into<BoxError>>,
{
    ServiceBuilder::new()
        .layer(ModelNameLayer::new().unless_closed(probe.clone()))
        .layer(ErrorNormalizationLayer::new())
        .layer(ReadinessLayer::new(probe))
        .service(inner)
}

/// The same for clients of one dialect, whatever they ask for.
pub(crate) fn stack_in<P, S, B, ResB>(
    dialect: impl Dialect + Copy + 'static,
    probe: P,
    inner: S,
) -> impl Service<
    Request<B>,
    Response = Response<impl Body<Data = Bytes, Error = BoxError>>,
    Error = Infallible,
> + Clone
where
    P: ReadinessProbe + Clone,
    S: Service<Request<RequestBody<B>>, Response = Response<ResB>, Error: Into<BoxError>> + Clone,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
    ResB: Body<Data = Bytes, Error: Into<BoxError>>,
{
    ServiceBuilder::new()
        .layer(ModelNameLayer::new().unless_closed(probe.clone()))
        .layer(ErrorNormalizationLayer::new().dialect(dialect))
        .layer(ReadinessLayer::new(probe).dialect(dialect))
        .service(inner)
}

/// An inner service that answers every request so.
pub(crate) fn always<B>(
    answer: impl Fn() -> Response<Full<Bytes>> + Clone,
) -> impl Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone {
    service_fn(move |_| std::future::ready(Ok(answer())))
}

/// An inner service that must not be called.
pub(crate) fn untouched<B>()
-> impl Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone {
    always(|| panic!("the inner service is called"))
}

/// A JSON answer with this status.
pub(crate) fn json(status: u16, body: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))
        .expect("the status is valid")
}

/// A JSON request.
pub(crate) fn post(path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))
        .expect("the path is valid")
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    head: response::Parts,
    body: Bytes,
}

/// Sends a request to a clone of the service.
pub(crate) async fn send<S, B, ResB>(service: &S, request: Request<B>) -> Answer
where
    S: Service<Request<B>, Response = Response<ResB>, Error: Debug> + Clone,
    ResB: Body<Data = Bytes, Error: Debug>,
{
    let answer = service.clone().oneshot(request).await.expect("the service answers");
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("the body is whole").to_bytes();
    Answer { head, body }
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.head.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.to_str().expect("the header is text")
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The error that was left in the extensions.
    #[track_caller]
    pub(crate) fn error(&self) -> &InferenceError {
        self.head.extensions.get().expect("an answer of ours carries its error")
    }
}
