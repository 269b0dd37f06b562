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

const DONE: &str = "a response future is not polled after it is ready";

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Called { #[pin] future: F, exchange: Exchange },
        Detour { detour: Detour<B> },
    }
}

/// What an answer goes through that does not simply pass; apart, so that passing is cheap.
enum Detour<B> {
    Reading(Option<Box<Reading<B>>>),
    Opening(Option<(response::Parts, Pin<Box<Watched<B>>>)>, Option<Instant>),
    Answered(Option<Box<Response<ResponseBody<B>>>>),
}

impl<B> Detour<B> {
    fn answered(response: Response<ResponseBody<B>>) -> Self {
        Self::Answered(Some(Box::new(response)))
    }
}

impl<F, B> ResponseFuture<F, B> {
    #[inline]
    pub(super) fn called(future: F, exchange: Exchange) -> Self {
        Self { state: State::Called { future, exchange } }
    }

    #[cold]
    pub(super) fn latched(exchange: &Exchange, error: InferenceError) -> Self {
        let response = exchange.render(empty_head(), exchange.complete(error));
        Self { state: State::Detour { detour: Detour::answered(response) } }
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

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let detour = match state.as_mut().project() {
                // Called => (answered | Detour)
                StateProj::Called { future, exchange } => match ready!(future.poll(cx)) {
                    Ok(response) => match judge(&response, exchange) {
                        None => {
                            exchange.completed(response.status());
                            return Poll::Ready(Ok(response.map(ResponseBody::pass)));
                        }
                        Some(verdict) => Detour::begin(response, verdict, exchange.clone()),
                    },
                    Err(error) => Detour::failed(error, exchange),
                },
                // Detour => answered
                StateProj::Detour { detour } => return detour.poll(cx).map(Ok),
            };
            state.set(State::Detour { detour });
        }
    }
}

impl<B> Detour<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    #[cold]
    #[inline(never)]
    fn failed(error: impl Into<BoxError>, exchange: &Exchange) -> Self {
        let error = exchange.read_service_error(error.into());
        Self::answered(exchange.replace(empty_head(), error))
    }

    #[inline(never)]
    fn begin(response: Response<B>, verdict: Verdict, exchange: Exchange) -> Self {
        let (head, body) = response.into_parts();
        match verdict {
            Verdict::Render(error) => {
                let error = exchange.complete(error);
                Self::answered(exchange.replace(head, error))
            }
            Verdict::ReadError => {
                Self::Reading(Some(Box::new(Reading::error(head, body, exchange))))
            }
            Verdict::Check => Self::Reading(Some(Box::new(Reading::check(head, body, exchange)))),
            Verdict::Watch(operation) => {
                Self::Opening(Some((head, Box::pin(Watched::new(body, operation, exchange)))), None)
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<ResponseBody<B>>> {
        Poll::Ready(match self {
            Self::Reading(reading) => {
                let decision = ready!(reading.as_mut().expect(DONE).poll(cx));
                reading.take().expect(DONE).finish(decision)
            }
            // The head leaves with the first meaningful event, or the failure before it.
            Self::Opening(answer, since) => {
                let (_, body) = answer.as_mut().expect(DONE);
                let opening = ready!(body.as_mut().poll_open(cx, since));
                let (mut head, body) = answer.take().expect(DONE);
                match opening {
                    Opening::Open => {
                        remove_fixed(&mut head.headers);
                        Response::from_parts(head, ResponseBody::watched(body))
                    }
                    Opening::Failed(error) => body.exchange().replace(head, error),
                }
            }
            Self::Answered(response) => *response.take().expect(DONE),
        })
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
            State::Detour { detour: Detour::Reading(..) } => "reading",
            State::Detour { detour: Detour::Opening(..) } => "opening",
            State::Detour { detour: Detour::Answered(..) } => "answered",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
