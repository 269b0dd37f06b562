//! The future of one answer: called, waiting, or refused.

use super::{hold::Turn, layer::Config, service::Refusal};
use crate::{
    body::{Guard, ResponseBody},
    head::RequestHead,
};
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tower::{Service, ServiceExt, util::Oneshot};

pin_project! {
    /// Response future of [`Readiness`](super::Readiness).
    ///
    /// Dropping it drops the call, or the place in whichever line the request waits, with it.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S::Future, Waiting<S, B>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, W> {
        Called { #[pin] future: F, guard: Option<Guard> },
        Detour { detour: Detour<W> },
    }
}

/// What is rare, boxed or small, so that moving and dropping the rest is cheap.
enum Detour<W> {
    Waiting(Pin<Box<W>>),
    Refused { refusal: Option<Refusal>, config: Arc<Config> },
}

pin_project! {
    /// A request that waits for its turn, if it needs one, then for a service that has reserved
    /// nothing yet.
    struct Waiting<S, B>
    where
        S: Service<Request<B>>,
    {
        config: Arc<Config>,
        #[pin]
        turn: Option<Turn>,
        waits: Option<(S, Request<B>)>,
        guard: Option<Guard>,
        #[pin]
        call: Option<Oneshot<S, Request<B>>>,
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    #[inline]
    pub(super) fn called(future: S::Future, guard: Option<Guard>) -> Self {
        Self { state: State::Called { future, guard } }
    }

    /// The service has not been asked whether it is ready.
    pub(super) fn waiting(
        service: S,
        request: Request<B>,
        config: Arc<Config>,
        guard: Option<Guard>,
    ) -> Self {
        let waits = Some((service, request));
        Self::boxed(Waiting { config, turn: None, waits, guard, call: None })
    }

    pub(super) fn held(turn: Turn, service: S, request: Request<B>, config: Arc<Config>) -> Self {
        let waits = Some((service, request));
        Self::boxed(Waiting { config, turn: Some(turn), waits, guard: None, call: None })
    }

    fn boxed(waiting: Waiting<S, B>) -> Self {
        Self { state: State::Detour { detour: Detour::Waiting(Box::pin(waiting)) } }
    }

    /// The answer is written when it is asked for, where it is wanted.
    pub(super) fn refused(refusal: Refusal, config: Arc<Config>) -> Self {
        let detour = Detour::Refused { refusal: Some(refusal), config };
        Self { state: State::Detour { detour } }
    }
}

impl<S, B, ResB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResB>>,
{
    type Output = Result<Response<ResponseBody<ResB>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Called { future, guard } => {
                Poll::Ready(guarded(ready!(future.poll(cx)), guard.take()))
            }
            StateProj::Detour { detour } => detour.poll(cx),
        }
    }
}

impl<W> Detour<W> {
    #[cold]
    #[inline(never)]
    fn poll<B, E>(&mut self, cx: &mut Context<'_>) -> Poll<W::Output>
    where
        W: Future<Output = Result<Response<ResponseBody<B>>, E>>,
    {
        match self {
            Self::Waiting(future) => future.as_mut().poll(cx),
            Self::Refused { refusal, config } => {
                let refusal = refusal.take().expect("a future is not polled after it is ready");
                Poll::Ready(Ok(refusal.answer(config).map(ResponseBody::full)))
            }
        }
    }
}

impl<S, B, ResB> Future for Waiting<S, B>
where
    S: Service<Request<B>, Response = Response<ResB>>,
{
    type Output = Result<Response<ResponseBody<ResB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some((_, request)) = this.waits {
            if let Some(turn) = this.turn.as_mut().as_pin_mut() {
                let decided = ready!(turn.poll(cx, RequestHead::of(request)));
                this.turn.set(None);
                match decided {
                    Ok(guard) => *this.guard = guard,
                    Err(verdict) => {
                        let response = this.config.refuse(verdict, request).answer(this.config);
                        *this.waits = None;
                        return Poll::Ready(Ok(response.map(ResponseBody::full)));
                    }
                }
            }
        }
        if let Some((service, request)) = this.waits.take() {
            this.call.set(Some(service.oneshot(request)));
        }
        let call = this.call.as_mut().as_pin_mut();
        let call = call.expect("a future is not polled after it is ready");
        let result = ready!(call.poll(cx));
        this.call.set(None);
        Poll::Ready(guarded(result, this.guard.take()))
    }
}

/// A failure ends the guard, an answer does with its body.
#[inline]
fn guarded<B, E>(
    result: Result<Response<B>, E>,
    guard: Option<Guard>,
) -> Result<Response<ResponseBody<B>>, E> {
    result.map(|response| response.map(|body| ResponseBody::guarded(body, guard)))
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Called { .. } => "called",
            State::Detour { detour: Detour::Waiting(_) } => "waiting",
            State::Detour { detour: Detour::Refused { .. } } => "refused",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
