//! The future of one answer: called, or looking for the name first.

use super::{RequestBody, layer::Config};
use crate::{
    body::Replay,
    framing::json_keys::{FindString, Found},
    head::RequestedModel,
};
use bytes::Bytes;
use http::{Request, request};
use http_body::Body;
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::time::Sleep;
use tower::{BoxError, Service, ServiceExt, util::Oneshot};

/// Longest name of a model, as it is written in JSON, in bytes.
const LONGEST_NAME: usize = 512;

pin_project! {
    /// Response future of [`ModelName`](super::ModelName).
    ///
    /// Dropping it drops the request, wherever it is.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<RequestBody<B>>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<Request<RequestBody<B>>>,
    {
        Called { #[pin] future: S::Future },
        Looking { looking: Option<Box<Looking<S, B>>> },
        Waiting { future: Pin<Box<Oneshot<S, Request<RequestBody<B>>>>> },
    }
}

/// A request whose body is being looked through, holding a service that has reserved nothing.
struct Looking<S, B> {
    service: S,
    head: request::Parts,
    body: Replay<B>,
    find: FindString,
    length: usize,
    config: Arc<Config>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<RequestBody<B>>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(super) fn called(future: S::Future) -> Self {
        Self { state: State::Called { future } }
    }

    pub(super) fn looking(service: S, request: Request<B>, config: Arc<Config>) -> Self {
        let (head, body) = request.into_parts();
        let looking = Looking {
            service,
            head,
            body: Replay::new(body),
            find: FindString::new("model", LONGEST_NAME),
            length: 0,
            config,
            sleep: None,
        };
        Self { state: State::Looking { looking: Some(Box::new(looking)) } }
    }
}

impl<S, B> Future for ResponseFuture<S, B>
where
    S: Service<Request<RequestBody<B>>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Called { future } => return future.poll(cx),
                StateProj::Waiting { future } => return future.as_mut().poll(cx),
                // Looking => Waiting: the name is known, or there is none.
                StateProj::Looking { looking } => {
                    const LOOKING: &str = "the request is taken only when the state changes";
                    let model = ready!(looking.as_mut().expect(LOOKING).poll(cx));
                    let mut looking = looking.take().expect(LOOKING);
                    if let Some(model) = model {
                        looking.head.extensions.insert(model);
                    }
                    let body = RequestBody::replayed(looking.body);
                    let request = Request::from_parts(looking.head, body);
                    State::Waiting { future: Box::pin(looking.service.oneshot(request)) }
                }
            };
            state.set(next);
        }
    }
}

impl<S, B> Looking<S, B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// The name, or `None` when there is none, or none within the limits.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<RequestedModel>> {
        while self.length < self.config.max_look_ahead && !self.body.is_full() {
            let Poll::Ready(frame) = self.body.poll_ahead(cx) else {
                let timeout = self.config.look_ahead_timeout;
                let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
                ready!(sleep.as_mut().poll(cx));
                return Poll::Ready(None);
            };
            let Some(data) = frame.and_then(|frame| frame.data_ref()) else {
                return Poll::Ready(None);
            };
            let room = self.config.max_look_ahead - self.length;
            self.length += data.len();
            match self.find.push(&data[..data.len().min(room)]) {
                Some(Found::Value(model)) => {
                    return Poll::Ready((!model.is_empty()).then(|| RequestedModel::new(model)));
                }
                Some(Found::Nothing) => return Poll::Ready(None),
                None => {}
            }
        }
        Poll::Ready(None)
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<RequestBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Called { .. } => "called",
            State::Looking { .. } => "looking",
            State::Waiting { .. } => "waiting",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
