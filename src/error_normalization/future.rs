//! The future of one answer: called, read or opened, answered.

use super::{
    ResponseBody,
    exchange::Exchange,
    judge::{Verdict, judge},
    reading::Reading,
    watched::{Opening, Watched},
};
use crate::error::InferenceError;
use bytes::Bytes;
use http::{HeaderMap, Response, response};
use http_body::Body;
use pin_project_lite::pin_project;
use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::Instant;
use tower::BoxError;

/// Headers that a stream cannot keep whose end may be of ours.
const OF_A_FIXED_BODY: [&str; 10] = [
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-md5",
    "content-range",
    "digest",
    "etag",
    "repr-digest",
    "signature",
    "signature-input",
];

pin_project! {
    /// Response future of [`ErrorNormalization`](super::ErrorNormalization). Never fails.
    ///
    /// Dropping it at any point drops the inner future, or the inner body, with it.
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Called { #[pin] future: F, exchange: Option<Exchange> },
        Reading { reading: Option<Box<Reading<B>>> },
        Opening { head: Option<response::Parts>, body: Option<Pin<Box<Watched<B>>>>, since: Option<Instant> },
        Latched { exchange: Option<Exchange>, error: Option<InferenceError> },
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(super) fn called(future: F, exchange: Exchange) -> Self {
        Self { state: State::Called { future, exchange: Some(exchange) } }
    }

    pub(super) fn latched(exchange: Exchange, error: InferenceError) -> Self {
        Self { state: State::Latched { exchange: Some(exchange), error: Some(error) } }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const DONE: &str = "a response future is not polled after it is ready";
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                // Called => (answered | Reading | Opening)
                StateProj::Called { future, exchange } => {
                    let result = ready!(future.poll(cx));
                    let exchange = exchange.take().expect(DONE);
                    match result {
                        Ok(response) => match received(response, exchange) {
                            Received::Answer(response) => return Poll::Ready(Ok(response)),
                            Received::Next(state) => state,
                        },
                        Err(error) => {
                            let error = exchange.read_service_error(error.into());
                            return Poll::Ready(Ok(exchange.replace(empty_head(), error)));
                        }
                    }
                }
                // Reading => answered
                StateProj::Reading { reading } => {
                    let decision = ready!(reading.as_mut().expect(DONE).poll(cx));
                    let reading = reading.take().expect(DONE);
                    return Poll::Ready(Ok(reading.finish(decision)));
                }
                // Opening => answered: the head leaves with the first meaningful event, or the
                // failure before it.
                StateProj::Opening { head, body, since } => {
                    let opening = ready!(body.as_mut().expect(DONE).as_mut().poll_open(cx, since));
                    let (mut head, body) = (head.take().expect(DONE), body.take().expect(DONE));
                    return Poll::Ready(Ok(match opening {
                        Opening::Open => {
                            remove_fixed(&mut head.headers);
                            Response::from_parts(head, ResponseBody::watched(body))
                        }
                        Opening::Failed(error) => body.exchange().replace(head, error),
                    }));
                }
                // Latched => answered
                StateProj::Latched { exchange, error } => {
                    let exchange = exchange.take().expect(DONE);
                    let error = exchange.complete(error.take().expect(DONE));
                    return Poll::Ready(Ok(exchange.render(empty_head(), error)));
                }
            };
            state.set(next);
        }
    }
}

/// What the head of the inner answer leads to.
#[allow(clippy::large_enum_variant, reason = "matched on at once, never stored")]
enum Received<F, B> {
    Answer(Response<ResponseBody<B>>),
    Next(State<F, B>),
}

fn received<F, B>(response: Response<B>, exchange: Exchange) -> Received<F, B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (head, body) = response.into_parts();
    match (judge(&head, &exchange), exchange.client.operation()) {
        (Verdict::ReadError, _) => {
            let reading = Some(Box::new(Reading::error(head, body, exchange)));
            Received::Next(State::Reading { reading })
        }
        (Verdict::Check, _) => {
            let reading = Some(Box::new(Reading::check(head, body, exchange)));
            Received::Next(State::Reading { reading })
        }
        (Verdict::Watch, Some(operation)) => {
            let body = Some(Box::pin(Watched::new(body, operation, exchange)));
            Received::Next(State::Opening { head: Some(head), body, since: None })
        }
        (Verdict::Render(error), _) => {
            let error = exchange.complete(error);
            Received::Answer(exchange.replace(head, error))
        }
        (Verdict::Pass | Verdict::Watch, _) => {
            exchange.completed(head.status);
            Received::Answer(Response::from_parts(head, ResponseBody::pass(body)))
        }
    }
}

fn empty_head() -> response::Parts {
    Response::new(()).into_parts().0
}

fn remove_fixed(headers: &mut HeaderMap) {
    for name in OF_A_FIXED_BODY {
        headers.remove(name);
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Called { .. } => "called",
            State::Reading { .. } => "reading",
            State::Opening { .. } => "opening",
            State::Latched { .. } => "latched",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
