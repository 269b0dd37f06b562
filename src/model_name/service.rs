//! The service: names the model, then calls the inner service.

use super::{RequestBody, ResponseFuture, layer::Config};
use crate::{
    head::{RequestHead, RequestedModel},
    readiness::ReadinessProbe,
};
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body::Body;
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::{BoxError, Service};

/// Puts the requested model into the request's extensions; see the [module docs](super).
///
/// Answers nothing and never fails by itself: response and error are the inner service's.
#[derive(Clone, Debug)]
pub struct ModelName<S, P = ()> {
    inner: S,
    gate: P,
    config: Arc<Config>,
}

impl<S, P> ModelName<S, P> {
    pub(super) fn new(inner: S, gate: P, config: Arc<Config>) -> Self {
        Self { inner, gate, config }
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

/// Where the name of a request's model is to be found.
enum Place {
    /// Nowhere, or it is known to everybody already.
    Nowhere,
    /// In the head.
    Head(RequestedModel),
    /// In the body, if at all.
    Body,
}

impl<S, P, B> Service<Request<B>> for ModelName<S, P>
where
    S: Service<Request<RequestBody<B>>> + Clone,
    P: ReadinessProbe,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.place(&request) {
            Place::Nowhere => {
                ResponseFuture::called(self.inner.call(request.map(RequestBody::new)))
            }
            Place::Head(model) => {
                let mut request = request.map(RequestBody::new);
                request.extensions_mut().insert(model);
                ResponseFuture::called(self.inner.call(request))
            }
            Place::Body => {
                // Gives back the reservation; a clone has none.
                self.inner = self.inner.clone();
                ResponseFuture::looking(self.inner.clone(), request, Arc::clone(&self.config))
            }
        }
    }
}

impl<S, P: ReadinessProbe> ModelName<S, P> {
    fn place<B: Body>(&self, request: &Request<B>) -> Place {
        let head = RequestHead::of(request);
        if head.extensions().get::<RequestedModel>().is_some() {
            return Place::Nowhere;
        }
        if let Some(model) = head.path_model().or_else(|| self.header_model(head.headers())) {
            return Place::Head(RequestedModel::new(model));
        }
        let may_name = !request.body().is_end_stream() && may_be_json(head.headers());
        if may_name && self.gate.closed().is_none() { Place::Body } else { Place::Nowhere }
    }

    fn header_model<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        headers.get(self.config.header.as_ref()?)?.to_str().ok().filter(|model| !model.is_empty())
    }
}

/// Whether a body may be JSON that can be read as it is: it says so, or says nothing, or what `curl
/// -d` says of everything.
fn may_be_json(headers: &HeaderMap) -> bool {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return false;
    }
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence = content_type.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence.ends_with(b"/json")
        || essence.ends_with(b"+json")
        || essence == b"application/x-www-form-urlencoded"
        || essence == b"text/plain"
}
