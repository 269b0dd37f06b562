//! Answers 503, in the client's own API dialect, while the service cannot serve.
//!
//! A model that is still loading answers 405, 404 or 200, depending on the server, and clients draw
//! the wrong conclusions: they give up, or book an empty success. This gate asks a shared probe and
//! answers for the server until it is ready: always 503 with `retry-after`, never 405, 404 or 200.
//!
//! # Rules
//!
//! | state | request | health endpoints |
//! |---|---|---|
//! | [`Ready`](State::Ready) | passes | 200 `ready` |
//! | [`Starting`](State::Starting) | 503, `retry-after` the ETA if known; may [wait](ReadinessLayer::hold) | 503 `not_ready` |
//! | [`Incomplete`](State::Incomplete) | 503 | 503 `not_ready` |
//! | [`Draining`](State::Draining) | 503, `connection: close` over HTTP/1; requests under way finish | 503 `draining` |
//! | [`Failed`](State::Failed) | 503 | 503 `not_ready` |
//! | model unknown | passes, or [404](UnknownModel::NotFound) | |
//!
//! 1. Order: the process gate, before a byte of the body is read; the model's name; the model's
//!    gate; then the work.
//! 2. The decision is made in `call`, once per request, from the state at that moment. A flip is
//!    visible to the next request, in both directions, without a restart.
//! 3. `poll_ready` forwards the inner service. While the process gate is closed it does not: a
//!    request is refused without waiting for a service that is not needed. A request that is refused
//!    or [held](ReadinessLayer::hold) gives back what the inner service had reserved.
//! 4. OPTIONS and the paths of [health checks](ReadinessLayer::exempt) always pass; `/v1/models` does
//!    not. Use axum's `route_layer` where its own 404 and 405 should win over the gate.
//! 5. A [model](ModelRegistry) that is served in parts is incomplete while one of them is missing: see
//!    [`Diagnosis`]. An engine that knows better than any probe [tells](ModelRegistry::follow) what
//!    there is; if it stops telling, the gate closes. All others are [asked](crate::ProbeDriver), each
//!    in [its own way](preset).
//! 6. The text says nothing of roles, workers or topology, and is made in
//!    [one place](NotReady::message).
//! 7. Requests are [counted](InFlight) from the moment they pass to the end of their answers' bodies.
//!    Whoever stops a process closes the gate first, then waits for them:
//!    [`ReadyFlag::drained`](crate::ReadyFlag::drained),
//!    [`ModelRegistry::drained`](crate::ModelRegistry::drained).
//!
//! # Example: a model that is still loading
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_inference::{ReadinessLayer, ReadyFlag, readiness::State};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let flag = ReadyFlag::new();
//! let mut service = ServiceBuilder::new()
//!     .layer(ReadinessLayer::new(flag.clone()))
//!     .service_fn(async |_: Request<()>| {
//!         Ok::<_, tower::BoxError>(Response::new(Empty::<bytes::Bytes>::new()))
//!     });
//! let chat = || Request::post("/v1/chat/completions").body(()).expect("valid");
//!
//! let refused = service.ready().await?.call(chat()).await?;
//! assert_eq!(refused.status(), 503);
//! assert!(refused.headers().contains_key("retry-after"));
//!
//! flag.set(State::Ready);
//! assert_eq!(service.ready().await?.call(chat()).await?.status(), 200);
//! # Ok::<_, tower::BoxError>(())
//! # }).unwrap();
//! ```

mod driver;
mod flag;
mod future;
mod hold;
mod in_flight;
mod layer;
mod line;
mod monitor;
mod not_ready;
pub mod preset;
mod probe;
mod registry;
mod reporter;
mod service;
mod state;
mod topology;
mod update;
mod wake;

pub(crate) use self::not_ready::unknown_model;
pub use self::{
    driver::{ProbeDriver, ProbeHandle},
    flag::ReadyFlag,
    future::ResponseFuture,
    in_flight::InFlight,
    layer::ReadinessLayer,
    monitor::Phase,
    not_ready::NotReady,
    preset::{Outcome, Preset},
    probe::{ProbeFn, ReadinessProbe, Verdict, probe_fn},
    registry::{Breakdown, ModelRegistry, Snapshot, UnknownModel},
    reporter::Reporter,
    service::Readiness,
    state::State,
    topology::{Diagnosis, Unit},
    update::Update,
    wake::Wake,
};
