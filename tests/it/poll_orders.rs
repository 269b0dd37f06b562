//! Every order in which callers may poll, call, clone, cancel and drop.

use crate::support::post;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use proptest::prelude::*;
use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tower::{Layer, Service, limit::ConcurrencyLimit};
use tower_inference::{
    ModelRegistry, Readiness, ReadinessLayer, ReadinessProbe, RequestedModel,
    body::ResponseBody,
    readiness::{State, UnknownModel},
};

/// Panics if it is called without having said that it is ready, or has said so to another clone.
#[derive(Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Full<Bytes>>> for Strict {
    type Response = Response<Slow>;
    type Error = Infallible;
    type Future = SlowCall;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> SlowCall {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        SlowCall(0)
    }
}

/// Answers when it is polled for the second time.
struct SlowCall(u8);

impl Future for SlowCall {
    type Output = Result<Response<Slow>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.0 += 1;
        if self.0 < 2 { Poll::Pending } else { Poll::Ready(Ok(Response::new(Slow(0)))) }
    }
}

/// Data, a pause, data, trailers, the end.
struct Slow(u8);

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0 += 1;
        match self.0 {
            1 | 3 => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x"))))),
            2 => Poll::Pending,
            4 => Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new())))),
            _ => Poll::Ready(None),
        }
    }
}

const PERMITS: usize = 3;
const PLACES: usize = 4;
const MODELS: [&str; 3] = ["a", "b", "c"];
const STATES: [State; 4] = [State::Ready, State::starting(), State::Failed, State::Draining];

type Inner = ConcurrencyLimit<Strict>;
type Gate = Readiness<Inner, ModelRegistry>;
type Call = Pin<Box<<Gate as Service<Request<Full<Bytes>>>>::Future>>;

/// A gate, those who use it, and what they have under way.
struct World {
    models: ModelRegistry,
    layer: ReadinessLayer<ModelRegistry>,
    inner: Inner,
    /// With it, whether it may be called.
    gates: Vec<(Gate, bool)>,
    calls: Vec<Call>,
    bodies: Vec<Pin<Box<ResponseBody<Slow>>>>,
    cancelled: usize,
}

impl World {
    fn new() -> Self {
        let models = ModelRegistry::new().unknown_model(UnknownModel::NotFound);
        for model in MODELS {
            models.set(model, State::Ready);
        }
        // It never runs out: the clock stands still.
        let layer = ReadinessLayer::new(models.clone())
            .hold(Duration::from_secs(60), PLACES)
            .release_rate(u32::MAX);
        let inner = ConcurrencyLimit::new(Strict::default(), PERMITS);
        let gates = vec![(layer.layer(inner.clone()), false)];
        Self { models, layer, inner, gates, calls: Vec::new(), bodies: Vec::new(), cancelled: 0 }
    }

    /// Does one thing. `which` says to whom, and `how` with what.
    fn step(&mut self, action: u8, which: usize, how: usize) {
        let cx = &mut Context::from_waker(Waker::noop());
        match action {
            0 => self.poll_ready(which),
            1 | 2 => {
                self.poll_ready(which);
                self.call(which, how);
            }
            3 => {
                let (gate, _) = &self.gates[which % self.gates.len()];
                let gate = gate.clone();
                if self.gates.len() < 6 {
                    self.gates.push((gate, false));
                }
            }
            4 if self.gates.len() > 1 => {
                self.gates.swap_remove(which % self.gates.len());
            }
            5 => self.models.set(MODELS[which % MODELS.len()], STATES[how % STATES.len()]),
            6 if how % 2 == 0 => self.models.set_process(State::Ready),
            6 => self.models.set_process(STATES[which % STATES.len()]),
            7 => drop(self.models.remove(MODELS[which % MODELS.len()])),
            8 | 9 if !self.calls.is_empty() => {
                let at = which % self.calls.len();
                if let Poll::Ready(answer) = self.calls[at].as_mut().poll(cx) {
                    self.calls.swap_remove(at);
                    let body = answer.expect("the service does not fail").into_body();
                    self.bodies.push(Box::pin(body));
                }
            }
            10 if !self.bodies.is_empty() => {
                let at = which % self.bodies.len();
                if let Poll::Ready(None) = self.bodies[at].as_mut().poll_frame(cx) {
                    self.bodies.swap_remove(at);
                }
            }
            11 if !self.calls.is_empty() => {
                self.calls.swap_remove(which % self.calls.len());
                self.cancelled += 1;
            }
            12 if !self.bodies.is_empty() => {
                self.bodies.swap_remove(which % self.bodies.len());
                self.cancelled += 1;
            }
            _ => {}
        }
        assert!(self.layer.waiting() <= PLACES);
        assert!(self.layer.waiting() <= self.calls.len());
        assert!(self.count() <= self.calls.len() + self.bodies.len());
    }

    fn poll_ready(&mut self, which: usize) {
        let at = which % self.gates.len();
        let (gate, ready) = &mut self.gates[at];
        let cx = &mut Context::from_waker(Waker::noop());
        *ready = gate.poll_ready(cx).map(Result::unwrap).is_ready();
    }

    fn call(&mut self, which: usize, how: usize) {
        let at = which % self.gates.len();
        let (gate, ready) = &mut self.gates[at];
        if std::mem::take(ready) {
            let path = if how % 8 == 7 { "/health" } else { "/v1/chat/completions" };
            let mut request = post(path, "{}");
            request.extensions_mut().insert(RequestedModel::new(MODELS[how % MODELS.len()]));
            self.calls.push(Box::pin(gate.call(request)));
        }
    }

    fn count(&self) -> usize {
        self.models.in_flight().expect("a registry counts").count()
    }

    /// Drops all that is left, and looks for what it left behind.
    fn end(mut self) {
        self.gates.clear();
        self.calls.clear();
        self.bodies.clear();
        assert_eq!((self.layer.waiting(), self.count()), (0, 0));
        let cx = &mut Context::from_waker(Waker::noop());
        let mut permits = vec![self.inner; PERMITS];
        for service in &mut permits {
            assert!(service.poll_ready(cx).is_ready(), "a permit is lost");
        }
        assert!(permits[0].clone().poll_ready(cx).is_pending(), "a permit too many");
    }
}

/// Timers need a runtime; this one's clock stands still.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn no_order_calls_a_service_that_is_not_ready_or_loses_anything() {
    let runtime = runtime();
    let _context = runtime.enter();
    let steps = prop::collection::vec((0..13_u8, 0..8_usize, 0..24_usize), 1..60);
    proptest!(ProptestConfig::with_cases(10_000), |(steps in steps)| {
        let mut world = World::new();
        for (action, which, how) in steps {
            world.step(action, which, how);
        }
        world.end();
    });
}

/// `TOWER_INFERENCE_CANCELS` sets how many of them.
#[test]
fn cancelled_requests_leave_every_counter_at_zero() {
    let cancels = std::env::var("TOWER_INFERENCE_CANCELS");
    let cancels = cancels.map_or(20_000, |it| it.parse().expect("a number"));
    let runtime = runtime();
    let _context = runtime.enter();
    let mut world = World::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from((seed >> 11) % below).expect("it is small")
    };
    while world.cancelled < cancels {
        let action = u8::try_from(random(13)).expect("it is small");
        // Mostly open, or most requests would be refused.
        world.step(action, random(64), random(64));
        if random(4) == 0 {
            world.models.set_process(State::Ready);
            world.models.set(MODELS[random(3)], STATES[random(2)]);
        }
    }
    world.end();
}

#[test]
fn a_request_may_be_dropped_after_any_number_of_polls() {
    let runtime = runtime();
    let _context = runtime.enter();
    for held in [false, true] {
        for polls in 0..8 {
            let mut world = World::new();
            if held {
                world.models.set("a", State::starting());
            }
            world.step(1, 0, 0);
            for poll in 0..polls {
                if poll == 1 {
                    world.models.set("a", State::Ready);
                }
                world.step(8, 0, 0);
                world.step(10, 0, 0);
            }
            world.end();
        }
    }
}

#[test]
fn a_future_that_is_polled_again_may_panic_and_counts_no_twice() {
    let runtime = runtime();
    let _context = runtime.enter();
    for state in STATES {
        let mut world = World::new();
        world.models.set("a", state);
        world.step(1, 0, 0);
        world.models.set("a", State::Ready);
        let mut call = world.calls.remove(0);
        let cx = &mut Context::from_waker(Waker::noop());
        let answer = loop {
            if let Poll::Ready(answer) = call.as_mut().poll(cx) {
                break answer.unwrap();
            }
        };
        let refused = answer.status() == 503;
        let again = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx).is_ready()));
        assert!(again.is_err() || !refused, "{state:?}");
        drop(again);
        drop(answer);
        drop(call);
        world.end();
    }
}

#[test]
fn those_who_wait_hold_no_permit() {
    let runtime = runtime();
    let _context = runtime.enter();
    let mut world = World::new();
    world.models.set("a", State::starting());
    for _ in 0..PLACES {
        world.step(1, 0, 0);
        world.step(8, 0, 0);
    }
    assert_eq!(world.layer.waiting(), PLACES);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut permits = vec![world.inner.clone(); PERMITS];
    for service in &mut permits {
        assert!(service.poll_ready(cx).is_ready());
    }
    drop(permits);
    world.end();
}
