//! The service: asks the probe, then the inner service.

use super::{
    InFlight, ReadinessProbe, ResponseFuture, State, Verdict, layer::Config,
    not_ready::unknown_model,
};
use crate::{
    body::{Guard, ResponseBody},
    dialect::{Client, RequestedDialect},
    error::InferenceError,
    head::RequestHead,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tower::Service;

/// Answers 503, in the client's dialect, while the probe says "not ready"; see the
/// [module docs](super).
///
/// Keeps the inner service's error. A request that is refused or held gives back what the inner
/// service's `poll_ready` reserved, so that a closed gate starves no other clone.
#[derive(Debug)]
pub struct Readiness<S, P> {
    inner: S,
    gate: Arc<Gate<P>>,
    /// The inner service said that it is ready, and has not been called since.
    inner_is_ready: bool,
}

/// What all clones share, in one piece, so that a clone for each request touches one counter.
#[derive(Debug)]
struct Gate<P> {
    probe: P,
    in_flight: Option<InFlight>,
    config: Arc<Config>,
}

impl<S, P> Readiness<S, P> {
    pub(super) fn new(inner: S, probe: P, config: Arc<Config>) -> Self {
        let in_flight = config.in_flight.clone();
        let gate = Arc::new(Gate { probe, in_flight, config });
        Self { inner, gate, inner_is_ready: false }
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

/// The clone's inner service has not been asked whether it is ready.
impl<S: Clone, P> Clone for Readiness<S, P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), gate: Arc::clone(&self.gate), inner_is_ready: false }
    }
}

impl<S, P, ReqB, ResB> Service<Request<ReqB>> for Readiness<S, P>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
    P: ReadinessProbe,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqB>;

    /// Forwards the inner service, unless the process gate is closed: then a request is answered
    /// without waiting for it.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if !self.inner_is_ready && self.gate.probe.closed().is_none() {
            ready!(self.inner.poll_ready(cx))?;
            self.inner_is_ready = true;
        }
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        // Before the state is read: see `InFlight::begin`.
        let guard = self.gate.in_flight.as_ref().map(InFlight::begin);
        let verdict = self.gate.probe.check(RequestHead::of(&request));
        if matches!(verdict, Verdict::Ready) && mem::take(&mut self.inner_is_ready) {
            return ResponseFuture::called(self.inner.call(request), guard);
        }
        self.detour(verdict, request, guard)
    }
}

impl<S: Clone, P> Readiness<S, P> {
    /// All that is not the way of a request to a service that is ready, so that this way is short.
    #[cold]
    #[inline(never)]
    fn detour<B>(
        &mut self,
        verdict: Verdict,
        request: Request<B>,
        guard: Option<Guard>,
    ) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        let config = &self.gate.config;
        let head = RequestHead::of(&request);
        let was_ready = mem::take(&mut self.inner_is_ready);
        if verdict == Verdict::Ready || config.always_passes(head) {
            if was_ready {
                return ResponseFuture::called(self.inner.call(request), guard);
            }
            // The gate was closed when this instance was polled, and the request passes after all.
            return ResponseFuture::waiting(self.inner.clone(), request, Arc::clone(config), guard);
        }
        drop(guard);
        if was_ready {
            // Gives back the reservation.
            self.inner = self.inner.clone();
        }
        match config.hold.as_ref().and_then(|it| it.join(&verdict, head, config.release_every)) {
            Some(turn) => {
                ResponseFuture::held(turn, self.inner.clone(), request, Arc::clone(config))
            }
            None => ResponseFuture::refused(config.refuse(verdict, &request), Arc::clone(config)),
        }
    }
}

impl Config {
    fn always_passes(&self, head: RequestHead<'_>) -> bool {
        head.method() == Method::OPTIONS || self.is_exempt(head.uri().path())
    }

    /// What is said to a request that does not pass.
    pub(super) fn refuse<B>(&self, verdict: Verdict, request: &Request<B>) -> Refusal {
        let head = RequestHead::of(request);
        let (error, drains) = match verdict {
            Verdict::NotReady(it) => {
                let drains = it.state() == State::Draining;
                (it.into_error(), drains)
            }
            Verdict::UnknownModel => (unknown_model(head.model()), false),
            Verdict::Ready => unreachable!("a request that may pass is not refused"),
        };
        // The connection would only lead back here. Other versions have no such header.
        let closes = drains && request.version() <= Version::HTTP_11;
        let requested = head.extensions().get().map(|it: &RequestedDialect| Box::new(it.clone()));
        Refusal { error, client: Client::of(head), requested, closes }
    }
}

/// What is said to a request that does not pass; small, since it is kept beside a future.
pub(super) struct Refusal {
    error: InferenceError,
    client: Client,
    requested: Option<Box<RequestedDialect>>,
    closes: bool,
}

impl Refusal {
    /// The answer.
    pub(super) fn answer(self, config: &Config) -> Response<Bytes> {
        let Self { error, client, requested, closes } = self;
        let requested = requested.as_deref().map(RequestedDialect::get);
        let dialect = requested.or(config.dialect.as_deref()).unwrap_or_else(|| client.dialect());
        let mut response = client.answer(error, dialect, &config.disclosure);
        if closes {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}
