//! The future of one answer: called, waiting for the inner service, or refused.

use crate::body::ResponseBody;
use bytes::Bytes;
use http::Response;
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

pin_project! {
    /// Response future of [`Readiness`](super::Readiness).
    ///
    /// Dropping it drops the call, or the place in the inner service's queue, with it.
    pub struct ResponseFuture<F, W> {
        #[pin]
        state: State<F, W>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, W> {
        Called { #[pin] future: F },
        // Boxed: it holds a service and a request, and is rare.
        Waiting { future: Pin<Box<W>> },
        Refused { response: Option<Response<Bytes>> },
    }
}

impl<F, W> ResponseFuture<F, W> {
    pub(super) fn called(future: F) -> Self {
        Self { state: State::Called { future } }
    }

    pub(super) fn waiting(future: W) -> Self {
        Self { state: State::Waiting { future: Box::pin(future) } }
    }

    pub(super) fn refused(response: Response<Bytes>) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }
}

impl<F, W, B, E> Future for ResponseFuture<F, W>
where
    F: Future<Output = Result<Response<B>, E>>,
    W: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match self.project().state.project() {
            StateProj::Called { future } => ready!(future.poll(cx)),
            StateProj::Waiting { future } => ready!(future.as_mut().poll(cx)),
            StateProj::Refused { response } => {
                let response = response.take().expect("a future is not polled after it is ready");
                return Poll::Ready(Ok(response.map(ResponseBody::full)));
            }
        };
        Poll::Ready(result.map(|response| response.map(ResponseBody::pass)))
    }
}

impl<F, W> fmt::Debug for ResponseFuture<F, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Called { .. } => "called",
            State::Waiting { .. } => "waiting",
            State::Refused { .. } => "refused",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
