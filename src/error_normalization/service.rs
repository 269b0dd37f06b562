//! The service: every failure of the inner one becomes an answer.

use super::{ResponseBody, ResponseFuture, config::Config, exchange::Exchange, service_error};
use crate::{error::InferenceError, head::RequestHead};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tower::{BoxError, Service};

/// Answers what the inner service fails at, in the client's dialect; see the [module docs](super).
///
/// Its error is [`Infallible`], since every error is answered. An error of the inner `poll_ready`
/// is latched: this instance answers it from then on and never touches the inner service again; a
/// clone starts afresh. So it belongs outside of a balancer, never inside: a balancer drops members
/// by that error.
#[derive(Debug)]
pub struct ErrorNormalization<S> {
    inner: S,
    config: Arc<Config>,
    latched: Option<InferenceError>,
}

impl<S> ErrorNormalization<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config, latched: None }
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
}

/// The clone's inner service is another one: what this one failed at is not its failure.
impl<S: Clone> Clone for ErrorNormalization<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.config))
    }
}

impl<S> ErrorNormalization<S> {
    #[cold]
    fn latch(&mut self, error: BoxError) {
        let error = service_error::read(error, &self.config);
        if let Some(observer) = &self.config.observer {
            observer.failed(&error);
        }
        self.latched = Some(error);
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for ErrorNormalization<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future, ResB>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.latched.is_none() {
            if let Err(error) = ready!(self.inner.poll_ready(cx)) {
                self.latch(error.into());
            }
        }
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let exchange = Exchange::of(RequestHead::of(&request), &self.config);
        match &self.latched {
            Some(error) => ResponseFuture::latched(&exchange, error.clone()),
            None => ResponseFuture::called(self.inner.call(request), exchange),
        }
    }
}
