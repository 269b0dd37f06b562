//! The service: asks the probe, then the inner service.

use super::{ReadinessProbe, ResponseFuture, Verdict, layer::Config, not_ready::unknown_model};
use crate::{body::ResponseBody, dialect::Client, error::InferenceError, head::RequestHead};
use http::{Request, Response};
use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tower::{Service, ServiceExt, util::Oneshot};

/// Answers 503, in the client's dialect, while the probe says "not ready"; see the
/// [module docs](super).
///
/// Keeps the inner service's error. A refusal gives back what the inner service's `poll_ready`
/// reserved, so that a closed gate starves no other clone.
#[derive(Debug)]
pub struct Readiness<S, P> {
    inner: S,
    probe: P,
    config: Arc<Config>,
    /// The inner service said that it is ready, and has not been called since.
    inner_is_ready: bool,
}

impl<S, P> Readiness<S, P> {
    pub(super) fn new(inner: S, probe: P, config: Arc<Config>) -> Self {
        Self { inner, probe, config, inner_is_ready: false }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, unwrapped.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Why this request is refused; `None` if it may pass.
    fn judge(&self, head: RequestHead<'_>) -> Option<InferenceError>
    where
        P: ReadinessProbe,
    {
        let error = match self.probe.check(head) {
            Verdict::Ready => return None,
            Verdict::NotReady(not_ready) => not_ready.into_error(),
            Verdict::UnknownModel => unknown_model(head.model()),
        };
        let passes =
            head.method() == http::Method::OPTIONS || self.config.is_exempt(head.uri().path());
        (!passes).then_some(error)
    }
}

/// The clone's inner service has not been asked whether it is ready.
impl<S: Clone, P: Clone> Clone for Readiness<S, P> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.probe.clone(), Arc::clone(&self.config))
    }
}

impl<S, P, ReqB, ResB> Service<Request<ReqB>> for Readiness<S, P>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
    P: ReadinessProbe,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Oneshot<S, Request<ReqB>>>;

    /// Forwards the inner service, unless the process gate is closed: then a request is answered
    /// without waiting for it.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if !self.inner_is_ready && self.probe.closed().is_none() {
            ready!(self.inner.poll_ready(cx))?;
            self.inner_is_ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let head = RequestHead::of(&request);
        let was_ready = mem::take(&mut self.inner_is_ready);
        match self.judge(head) {
            None if was_ready => ResponseFuture::called(self.inner.call(request)),
            // The gate was closed when this instance was polled, and the request passes after all.
            None => ResponseFuture::waiting(self.inner.clone().oneshot(request)),
            Some(error) => {
                if was_ready {
                    // Gives back the reservation.
                    self.inner = self.inner.clone();
                }
                let client = Client::of(head);
                let dialect = self.config.dialect.as_deref().unwrap_or_else(|| client.dialect());
                ResponseFuture::refused(client.answer(error, dialect, &self.config.disclosure))
            }
        }
    }
}
